package room

import (
	"slices"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

// A Machine is the presence of one topic as the clients of a route see it; see the
// package documentation. It is for one caller at a time. Times must not go back.
type Machine struct {
	config Config    // static after New
	began  time.Time // just before the first input

	seats seats
	// waiting are the members that wait for the state, in the order of asking. The first
	// overdue of them get the next one, complete or not.
	waiting []Member
	overdue int

	watched    bool
	ended      bool
	refreshing bool // the tracker will tell the state
	complete   bool // the topic is, after what was dealt with
	present    int  // sessions in the topic, roughly: it sizes the window

	told      []arrival
	pending   Diffs // dealt with, and not sent
	answer    answer
	published published
	tally     *tally // nil without Config.Counts

	pace     pace
	late     time.Duration // how late the timer was that has the next diff sent
	window   instant       // when pending is to be looked at, 0 for never
	stateDue instant       // when the waiting are overdue, 0 while none waits
	timer    instant       // what the timer is set to, 0 for not set

	out []Action // of the input that is dealt with
}

// answer is what the machine waits for before it deals with anything else.
type answer uint8

const (
	answerNone answer = iota
	answerSent
	answerDiff // fetched
	answerList // fetched
)

// arrival is what the tracker told: a state, or the diffs between two.
type arrival struct {
	state    *presence.List
	diffs    Diffs
	complete bool
}

// published is the state that clients hold after the last diff. It is put together when
// it is wanted.
type published struct {
	list  *presence.List // nil: not known
	since Diffs          // sent after it
}

func (p *published) state() *presence.List {
	if !p.since.Empty() {
		p.list = p.list.Apply(p.since.Take())
	}
	return p.list
}

// New returns the machine of an empty room.
func New(config Config) *Machine {
	m := &Machine{config: config, pace: pace{fixed: config.Window}}
	if config.Counts {
		m.tally = &tally{keys: map[string]int{}}
	}
	return m
}

// Step deals with one input and returns what is to be done, in order.
func (m *Machine) Step(at time.Time, in Input) []Action {
	if m.ended {
		return nil
	}
	if m.began.IsZero() {
		m.began = at.Add(-1) // so that no instant is 0
	}
	now := at.Sub(m.began)
	switch in.Kind {
	case WatchWanted:
		m.watch()
	case WatchFailed:
		m.watched, m.refreshing = false, false
	case Joined:
		m.join(in.Member)
	case Settled:
		m.settle(in.Member)
	case StateWanted:
		m.want(now, in.Member, in.Tracks)
	case Left:
		m.leave(in.Member)
	case Told:
		for _, ev := range in.Events {
			m.tell(ev)
		}
		m.proceed(now)
	case DiffFetched:
		m.answer = answerNone
		m.send(now, Action{Kind: SendDiff, Diff: in.Diff})
		m.proceed(now)
	case ListFetched:
		m.answer = answerNone
		m.serve(in.List, m.complete && in.OK)
		m.proceed(now)
	case Sent:
		m.answer = answerNone
		m.sent(now, in.Took)
		m.proceed(now)
	case TimerFired:
		m.fire(now)
	case Ended:
		m.end()
	}
	m.arm()
	out := m.out
	m.out = nil
	return out
}

func (m *Machine) do(a Action) { m.out = append(m.out, a) }

func (m *Machine) watch() {
	if !m.watched {
		m.watched, m.refreshing = true, true // its first event is a state
		m.do(Action{Kind: Watch})
	}
}

// refresh asks for the state, unless it will be told anyway.
func (m *Machine) refresh() {
	if !m.refreshing {
		m.refreshing = true
		m.do(Action{Kind: Refresh})
	}
}

func (m *Machine) join(c Member) {
	switch {
	case c.Seat().state != seatNone:
	case m.tally != nil:
		m.seats.add(c, seatLive)
	default:
		m.seats.add(c, seatNew)
	}
}

func (m *Machine) settle(c Member) {
	s := c.Seat()
	if s.state != seatNew {
		return
	}
	held := s.held
	s.held = nil
	if held == nil || held.Empty() {
		m.seats.set(c, seatLive)
		return
	}
	m.seats.set(c, seatEarly)
	m.do(Action{Kind: SendHeld, To: []Member{c}, Diff: *held})
}

func (m *Machine) want(now instant, c Member, tracks bool) {
	s := c.Seat()
	s.held = nil // it will be in the state
	switch {
	case s.state == seatNone:
		return
	case s.state.waits():
	case m.complete && !tracks && m.known():
		m.seats.set(c, seatSynced)
		m.push([]Member{c}, m.published.state())
		return
	case s.state == seatEarly:
		m.wait(now, c, seatCatching)
	default:
		m.wait(now, c, seatWaiting)
	}
	// While the topic is known to be incomplete, the state is asked for when it is
	// complete, or when the time is up.
	if m.complete {
		m.refresh()
	}
}

func (m *Machine) wait(now instant, c Member, state seatState) {
	m.seats.set(c, state)
	m.waiting = append(m.waiting, c)
	if m.stateDue == 0 {
		m.stateDue = now + m.config.StateTimeout
	}
}

func (m *Machine) leave(c Member) {
	s := c.Seat()
	if s.state == seatNone {
		return
	}
	if s.state.waits() {
		at := slices.Index(m.waiting, c)
		m.waiting = slices.Delete(m.waiting, at, at+1)
		if at < m.overdue {
			m.overdue--
		}
		m.waited()
	}
	m.seats.remove(c)
}

// waited ends the state timeout where no member waits any more.
func (m *Machine) waited() {
	if len(m.waiting) == 0 {
		m.waiting, m.stateDue = nil, 0
	}
}

// tell notes an event. Diffs that wait here become one arrival.
func (m *Machine) tell(ev presence.Event) {
	last := len(m.told) - 1
	if last < 0 || ev.State != nil || m.told[last].state != nil {
		m.told = append(m.told, arrival{state: ev.State})
		last++
	}
	m.told[last].diffs.Add(ev.Diff.Visible())
	m.told[last].complete = ev.Complete
}

// fire ends what the timer was set for.
func (m *Machine) fire(now instant) {
	m.timer = 0
	if m.stateDue != 0 && now >= m.stateDue {
		m.stateDue = 0
		m.overdue = len(m.waiting)
		m.refresh()
	}
	if m.window != 0 && now >= m.window {
		m.late, m.window = now-m.window, 0
		m.proceed(now)
	}
}

func (m *Machine) end() {
	if m.watched {
		m.do(Action{Kind: StopWatch})
	}
	m.ended = true
	m.told, m.pending, m.published = nil, Diffs{}, published{}
	m.window, m.stateDue = 0, 0
}

// proceed does what is due, as far as that goes without an answer.
func (m *Machine) proceed(now instant) {
	for m.answer == answerNone {
		if m.due(now) {
			m.flush(now)
			continue
		}
		if len(m.told) == 0 {
			m.told = nil
			return
		}
		next := m.told[0]
		m.complete = next.complete
		if next.state != nil && !m.pending.Empty() { // its place is to be a diff boundary
			m.flush(now)
			continue
		}
		m.told = m.told[1:]
		if next.state != nil {
			m.meet(next.state.Visible())
		} else {
			m.change(now, next.diffs.list)
		}
	}
}

// change deals with diffs.
func (m *Machine) change(now instant, diffs []presence.Diff) {
	for _, d := range diffs {
		joins, leaves := sessions(d.Joins), sessions(d.Leaves)
		m.present += joins - leaves
		m.pace.came(now, joins, leaves)
	}
	m.pending.Add(diffs...)
	if m.complete && len(m.waiting) > 0 {
		m.refresh()
	}
}

// meet deals with a state. Nothing is pending.
func (m *Machine) meet(state *presence.List) {
	m.present = sessions(state.Presences)
	m.refreshing = false
	switch {
	case m.tally != nil:
		m.tally.reset(state.Presences)
		m.tally.known = m.tally.known || m.complete
		m.serve(nil, false)
	case !m.config.Fetches:
		m.serve(state, m.complete)
	case len(m.waiting) > 0:
		m.refreshing = true // those that come while it is fetched are served with it
		m.answer = answerList
		m.do(Action{Kind: FetchList, List: state})
	}
}

// serve gives the state to those that wait. One that lasts is also for those that come
// later.
func (m *Machine) serve(state *presence.List, lasts bool) {
	m.refreshing = false
	if lasts && m.publishes() {
		m.published = published{list: state}
	}
	ready := len(m.waiting)
	if !m.complete {
		ready = m.overdue
	}
	if ready == 0 {
		return
	}
	served := m.waiting[:ready:ready]
	m.waiting, m.overdue = m.waiting[ready:], 0
	m.waited()
	for _, c := range served {
		m.seats.set(c, seatSynced)
	}
	m.push(served, state)
}

func (m *Machine) push(to []Member, state *presence.List) {
	if m.tally != nil {
		m.do(Action{Kind: PushCounts, To: to, Counts: m.tally.counts()})
	} else {
		m.do(Action{Kind: SendState, To: to, List: state})
	}
}

// known reports whether the published state is known.
func (m *Machine) known() bool {
	return m.published.list != nil || m.tally != nil && m.tally.known
}

// publishes reports whether a state is worth keeping: not for one client, which has it.
// Most rooms stay such, and it would be 270 bytes for each; for the second client the
// tracker is asked.
func (m *Machine) publishes() bool { return len(m.seats.all) > 1 }

// due reports whether what is pending goes now. If not, and there is something, the
// timer sees to it.
func (m *Machine) due(now instant) bool {
	if m.pending.Empty() {
		return false
	}
	at := m.pace.due(now, max(m.present, len(m.seats.all)))
	if at <= now {
		return true
	}
	if m.window == 0 || at < m.window {
		m.window = at
	}
	return false
}

// flush sends what is pending, or has it fetched before. It may be empty after merging;
// then it is as if nothing had come.
func (m *Machine) flush(now instant) {
	m.window = 0
	m.pace.took()
	diff := m.pending.Take()
	switch {
	case diff.Empty():
	case m.tally != nil:
		if m.tally.apply(diff) {
			m.send(now, Action{Kind: SendCounts, Counts: m.tally.counts()})
		}
	case m.config.Fetches:
		m.answer = answerDiff
		m.do(Action{Kind: FetchDiff, Diff: diff})
	default:
		m.send(now, Action{Kind: SendDiff, Diff: diff})
	}
}

// send has a round sent, to all but those that hold it or wait for a state that it will
// be in.
func (m *Machine) send(now instant, round Action) {
	if m.published.list != nil && m.publishes() && !m.config.Fetches {
		m.published.since.Add(round.Diff)
	} else {
		m.published = published{}
	}
	for _, c := range m.seats.others() {
		if s := c.Seat(); s.state == seatNew {
			s.hold(round.Diff)
		}
	}
	round.To = m.seats.receivers()
	if len(round.To) == 0 {
		m.sent(now, 0)
		return
	}
	for _, c := range round.To {
		if s := c.Seat(); s.state == seatLive {
			s.state = seatEarly
		}
	}
	m.answer = answerSent
	m.do(round)
}

func (s *Seat) hold(d presence.Diff) {
	if s.held != nil {
		d = s.held.Merge(d)
	}
	s.held = &d
}

func (m *Machine) sent(now instant, took time.Duration) {
	m.pace.sent(now, m.late+took)
	m.late = 0
}

// arm sets the timer to what is due next.
func (m *Machine) arm() {
	next := m.window
	if next == 0 || m.stateDue != 0 && m.stateDue < next {
		next = m.stateDue
	}
	switch {
	case next == m.timer:
	case next == 0:
		m.do(Action{Kind: ClearTimer})
	default:
		m.do(Action{Kind: SetTimer, At: m.began.Add(next)})
	}
	m.timer = next
}
