package room

import "github.com/rollcall-go/rollcall/presence"

// A Member is a client's channel, of which the machine looks at the seat only.
type Member interface {
	// Seat returns the seat that the member keeps for the machine: always the same.
	Seat() *Seat
}

// A Seat is a member's place in its room. Its zero value is that of a member that has
// not joined. It belongs to the machine.
type Seat struct {
	state seatState
	index int32          // in Machine.seats
	held  *presence.Diff // the diffs that a new seat was not sent, nil for none
}

// seatState is what a member was sent, and what it waits for.
type seatState uint8

const (
	seatNone     seatState = iota
	seatNew                // what Join sent to itself is not handled: diffs are held
	seatWaiting            // waits for the state; diffs are withheld, for they will be in it
	seatLive               // was sent nothing
	seatEarly              // was sent diffs and no state
	seatCatching           // was sent diffs, and waits for the state
	seatSynced             // was given a state
)

// receives reports whether the seat is sent diffs.
func (s seatState) receives() bool { return s >= seatLive }

// waits reports whether the seat waits for the state.
func (s seatState) waits() bool { return s == seatWaiting || s == seatCatching }

// seats are the seats of a room: those that are sent diffs first.
type seats struct {
	all       []Member
	receiving int
}

func (ss *seats) receivers() []Member { return ss.all[:ss.receiving:ss.receiving] }

func (ss *seats) others() []Member { return ss.all[ss.receiving:] }

// add adds a seat.
func (ss *seats) add(m Member, state seatState) {
	s := m.Seat()
	*s = Seat{state: seatNone, index: int32(len(ss.all))}
	ss.all = append(ss.all, m)
	ss.set(m, state)
}

// set changes the state of a seat.
func (ss *seats) set(m Member, state seatState) {
	s := m.Seat()
	was := s.state
	s.state = state
	switch {
	case state.receives() && !was.receives():
		ss.swap(s.index, int32(ss.receiving))
		ss.receiving++
	case was.receives() && !state.receives():
		ss.receiving--
		ss.swap(s.index, int32(ss.receiving))
	}
}

// remove takes a seat out.
func (ss *seats) remove(m Member) {
	ss.set(m, seatNone)
	last := len(ss.all) - 1
	ss.swap(m.Seat().index, int32(last))
	ss.all[last] = nil
	ss.all = ss.all[:last]
	*m.Seat() = Seat{}
}

func (ss *seats) swap(i, j int32) {
	a, b := ss.all[i], ss.all[j]
	ss.all[i], ss.all[j] = b, a
	a.Seat().index, b.Seat().index = j, i
}
