package channel

import (
	"fmt"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/channel/internal/fastlane"
	"github.com/rollcall-go/rollcall/channel/internal/room"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
)

// A topicRoom turns a tracker's events for one topic into presence frames for the
// channels of one route on this replica. What is sent, and when, is decided by a
// [room.Machine]; this is the shell around it.
//
// One goroutine at a time acts: it gives the machine an input and carries out what it
// wants, before the next input. No lock is held meanwhile, so that the tracker, which
// only leaves its events in the inbox, waits for no round of frames. A channel acts
// itself where no other goroutine does, for its own input alone; else it waits until
// its input is dealt with. So Refresh is called before PushPresenceState returns, and a
// member that is removed gets nothing after that. Fetch runs beside the acting goroutine.
type topicRoom struct {
	// static after newTopicRoom
	rooms   *rooms
	key     roomKey
	fetcher fetcher // called for one action at a time
	metas   *metas  // nil without Route.NewMetas

	// guarded by rooms.mu
	inside int

	// guarded by mu
	mu     sync.Mutex
	acting bool
	inbox  []errand // empty unless acting
	watch  presenceWatch
	fault  error // why the topic is not watched, nil if it was not tried
	ended  bool

	// owned by the acting goroutine
	machine   *room.Machine
	stopTimer func() bool // nil: not set
}

// An errand is an input that waits.
type errand struct {
	room.Input
	done chan struct{} // closed when it is dealt with; nil: nothing waits for that
}

// Seat is its place in the room.
func (m *member) Seat() *room.Seat { return &m.seat }

func newTopicRoom(rs *rooms, key roomKey, route *Route) *topicRoom {
	r := &topicRoom{
		rooms: rs, key: key,
		fetcher: fetcher{endpoint: rs.endpoint, route: route, topic: key.topic},
		machine: room.New(room.Config{
			StateTimeout: rs.endpoint.config.StateTimeout, Window: route.DiffWindow,
			Fetches: route.Fetch != nil, Counts: route.Presence == PresenceCounts,
		}),
	}
	if route.NewMetas != nil {
		r.metas = &metas{endpoint: rs.endpoint, route: route, topic: key.topic}
	}
	return r
}

// add makes m get the diffs from now on. It does not wait for those being sent.
func (r *topicRoom) add(m *member) {
	if m.route.Presence != PresenceNone {
		r.do(room.Input{Kind: room.Joined, Member: m}, false)
	}
}

// settle ends the time in which m is expected to ask for the state.
func (r *topicRoom) settle(m *member) {
	r.do(room.Input{Kind: room.Settled, Member: m}, false)
}

// remove makes m get nothing after it returned.
func (r *topicRoom) remove(m *member) {
	r.do(room.Input{Kind: room.Left, Member: m}, true)
}

// want makes the room watch the topic.
func (r *topicRoom) want() error {
	if watched, _ := r.watched(); !watched {
		r.do(room.Input{Kind: room.WatchWanted}, true)
	}
	_, err := r.watched()
	return err
}

// watched reports whether the topic is watched, or else why not.
func (r *topicRoom) watched() (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return false, ErrClosed
	}
	return r.watch != nil, r.fault
}

// push gives m the state: now if it is known, else as soon as it is.
func (r *topicRoom) push(m *member) error {
	if err := r.want(); err != nil {
		return err
	}
	tracks, left := m.holds()
	if left {
		return ErrClosed
	}
	r.do(room.Input{Kind: room.StateWanted, Member: m, Tracks: tracks}, true)
	return nil
}

// end stops the watch, when the last member is gone.
func (r *topicRoom) end() {
	r.mu.Lock()
	r.ended = true
	r.mu.Unlock()
	r.do(room.Input{Kind: room.Ended}, true)
	if r.metas != nil {
		r.metas.end()
	}
}

// event is what the tracker calls. Events that wait are one input.
func (r *topicRoom) event(ev presence.Event) {
	if r.metas != nil {
		r.metas.event(ev)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended || r.fetcher.route.Presence == PresenceNone {
		return
	}
	if last := len(r.inbox) - 1; last >= 0 && r.inbox[last].Kind == room.Told {
		r.inbox[last].Events = append(r.inbox[last].Events, ev)
	} else {
		r.inbox = append(r.inbox, errand{Input: room.Input{Kind: room.Told, Events: []presence.Event{ev}}})
	}
	if !r.acting {
		r.acting = true
		r.rooms.endpoint.running.Go(r.act)
	}
}

// do has an input dealt with: by this goroutine unless another one acts. Then it is left
// to that one, and waited for if wait is set.
func (r *topicRoom) do(in room.Input, wait bool) {
	r.mu.Lock()
	if r.acting {
		e := errand{Input: in}
		if wait {
			e.done = make(chan struct{})
		}
		r.inbox = append(r.inbox, e)
		r.mu.Unlock()
		if wait {
			<-e.done
		}
		return
	}
	r.acting = true
	r.mu.Unlock()
	r.handle(in)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.acting = len(r.inbox) > 0; r.acting {
		r.rooms.endpoint.running.Go(r.act)
	}
}

// act deals with the inbox until it is empty.
func (r *topicRoom) act() {
	for {
		r.mu.Lock()
		if len(r.inbox) == 0 {
			r.inbox, r.acting = nil, false
			r.mu.Unlock()
			return
		}
		next := r.inbox[0]
		r.inbox[0] = errand{}
		r.inbox = r.inbox[1:]
		r.mu.Unlock()
		r.handle(next.Input)
		if next.done != nil {
			close(next.done)
		}
	}
}

// handle has the machine deal with an input, and carries out what it wants, in order.
func (r *topicRoom) handle(in room.Input) {
	actions := r.machine.Step(time.Now(), in)
	for i := 0; i < len(actions); i++ {
		if answer, ok := r.carryOut(actions[i]); ok {
			actions = append(actions, r.machine.Step(time.Now(), answer)...)
		}
	}
}

// carryOut does what the machine wants, and returns its answer where it has one at once.
func (r *topicRoom) carryOut(a room.Action) (answer room.Input, ok bool) {
	switch a.Kind {
	case room.Watch:
		watch, err := r.rooms.source.watch(r.key.topic, r.event)
		r.mu.Lock()
		defer r.mu.Unlock()
		if err != nil {
			r.fault = err
			return room.Input{Kind: room.WatchFailed}, true
		}
		r.watch, r.fault = watch, nil
	case room.Refresh:
		r.watch.Refresh()
	case room.StopWatch:
		r.watch.Stop()
	case room.FetchDiff:
		r.rooms.endpoint.running.Go(func() {
			r.do(room.Input{Kind: room.DiffFetched, Diff: r.fetcher.presentDiff(a.Diff)}, false)
		})
	case room.FetchList:
		r.rooms.endpoint.running.Go(func() {
			list, ok := r.fetcher.presentList(a.List)
			list.JSON() // encodes it, for all that will be given it
			r.do(room.Input{Kind: room.ListFetched, List: list, OK: ok}, false)
		})
	case room.SendDiff:
		return r.send(a.To, eventPresenceDiff, a.Diff.JSON()), true
	case room.SendCounts:
		return r.send(a.To, eventPresenceCount, countsJSON(a.Counts)), true
	case room.SendHeld:
		r.send(a.To, eventPresenceDiff, a.Diff.JSON())
	case room.SendState:
		r.answer(a.To, eventPresenceState, a.List.JSON())
	case room.PushCounts:
		r.answer(a.To, eventPresenceCount, countsJSON(a.Counts))
	case room.SetTimer:
		r.setTimer(a.At)
	case room.ClearTimer:
		r.clearTimer()
	}
	return room.Input{}, false
}

// send sends a round: one broadcast for all, encoded once.
func (r *topicRoom) send(to []room.Member, event string, payload []byte) room.Input {
	b := &fastlane.Broadcast{
		Broadcast:   Broadcast{Topic: r.key.topic, Event: event, Payload: wire.RawPayload(payload)},
		LowPriority: true,
	}
	began := time.Now()
	for _, c := range to {
		c.(*member).Deliver(b)
	}
	return room.Input{Kind: room.Sent, Took: time.Since(began)}
}

// answer pushes to clients what they asked for: the same bytes to all, each in a frame
// with the client's join_ref.
func (r *topicRoom) answer(to []room.Member, event string, payload []byte) {
	for _, c := range to {
		m := c.(*member)
		frames, err := m.conn.encodeShared(wire.Message{
			Kind: wire.KindPush, JoinRef: m.ask.JoinRef, Topic: r.key.topic, Event: event, Payload: wire.RawPayload(payload),
		})
		if err == nil {
			m.forward(frames)
		}
	}
}

func (r *topicRoom) setTimer(at time.Time) {
	r.clearTimer()
	r.stopTimer = r.rooms.endpoint.running.After(time.Until(at), func() {
		r.do(room.Input{Kind: room.TimerFired}, false)
	})
}

// clearTimer stops the timer. One that has fired meanwhile finds nothing due.
func (r *topicRoom) clearTimer() {
	if r.stopTimer != nil {
		r.stopTimer()
		r.stopTimer = nil
	}
}

func countsJSON(c room.Counts) []byte {
	return fmt.Appendf(nil, `{"keys":%d,"sessions":%d}`, c.Keys, c.Sessions)
}

// presenceSource is what the glue needs of a *presence.Tracker.
type presenceSource interface {
	session() *presence.Session
	// watch is [presence.Tracker.Watch].
	watch(topic string, handle func(presence.Event)) (presenceWatch, error)
}

type presenceWatch interface {
	Refresh()
	Stop()
}

type trackerSource struct{ tracker *presence.Tracker }

func (t trackerSource) session() *presence.Session { return t.tracker.NewSession() }

func (t trackerSource) watch(topic string, handle func(presence.Event)) (presenceWatch, error) {
	return t.tracker.Watch(topic, handle)
}

// rooms are the rooms of an endpoint. A topic has one, and one more for each
// route that asks for something of its own.
type rooms struct {
	endpoint *Endpoint
	source   presenceSource

	mu  sync.Mutex
	all map[roomKey]*topicRoom
}

type roomKey struct {
	topic string
	route *Route // nil for routes that share a room
}

func newRooms(e *Endpoint, source presenceSource) *rooms {
	return &rooms{endpoint: e, source: source, all: map[roomKey]*topicRoom{}}
}

// enter counts one more channel into its room. It costs nothing in the tracker
// before a channel tracks or asks for the state.
func (rs *rooms) enter(topic string, route *Route) *topicRoom {
	key := roomKey{topic: topic}
	if route.Fetch != nil || route.NewMetas != nil || route.Presence != PresenceFull || route.DiffWindow != 0 {
		key.route = route
	}
	if r := rs.count(key, nil); r != nil {
		return r
	}
	// Made without the lock: an allocation can wait for the garbage collector, and all
	// joins with it.
	return rs.count(key, newTopicRoom(rs, key, route))
}

// count counts one more channel into the room of key, where there is none into
// made. It is nil where there is neither.
func (rs *rooms) count(key roomKey, made *topicRoom) *topicRoom {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.all[key]
	if r == nil {
		if made == nil {
			return nil
		}
		r = made
		rs.all[key] = r
	}
	r.inside++
	return r
}

// leave counts a channel out that was removed from the room.
func (rs *rooms) leave(r *topicRoom) {
	rs.mu.Lock()
	r.inside--
	last := r.inside == 0
	if last {
		delete(rs.all, r.key)
	}
	rs.mu.Unlock()
	if last {
		r.end()
	}
}
