package channel

import (
	"slices"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
)

// A room is the presence of one topic as the channels of one route on this
// replica see it. It turns the tracker's events into presence_diff and
// presence_state so that for every client the state it was given, and the diffs
// it got after that, are exact: none missed, none twice.
//
// The idea: published is the state at the last diff that was sent, if it is
// known: the last that the tracker gave, and the diffs since. A client may be
// given it at any time, for what came since is in pending and will reach that
// client with all others. When it is not known, and for a channel that tracked
// something already, the tracker is asked for the state in its place in the
// sequence of events (Refresh); what is pending is sent before that place, so
// that the place is a diff boundary. The client waits, and gets no diffs while
// it does (unless it had some before it asked; see seat).
//
// Where there is a Fetch, no state outlives the diff after it: the next one who
// asks has everything fetched anew.
//
// Refresh is called before PushPresenceState returns. So a channel that pushes
// the state and then tracks itself sees its own entry come by diff, unless the
// state had to wait for the topic to be complete; and one that tracks itself
// first finds its entry in the state.
type room struct {
	// static after newRoom
	rooms   *rooms
	key     roomKey
	fetcher fetcher // called by step
	metas   *metas  // nil without Route.NewMetas
	tally   *tally  // nil unless clients are shown counts; owned by step

	// guarded by rooms.mu
	inside int

	// ctl orders the calls into the tracker, which are made without mu: the
	// tracker calls event. It is taken before mu.
	ctl   sync.Mutex
	watch presenceWatch
	ended bool

	// in guards what the tracker brings, apart from mu so that the tracker does
	// not wait while a large room is being sent to. It is taken after mu.
	in      sync.Mutex
	stopped bool
	running bool // step is being called
	inbox   []arrival

	// mu is held while frames go to the links: a member that is removed gets
	// nothing after that.
	mu      sync.Mutex
	closed  bool
	pending diffs         // came, and are not sent
	pace    pace          // of sending them
	late    time.Duration // how late the timer was that has them sent now
	// present counts who is in the topic, roughly: it sizes the window.
	present    int
	complete   bool
	counted    []byte // the last presence_count, where that is shown
	members    []*member
	waiting    []*member // for the state, in the order of asking
	published  published
	refreshing bool       // a State event will come
	window     *roomTimer // while it runs diffs are merged
	stateTimer *roomTimer // while it runs the state may wait
}

// arrival is what came from the tracker: a state, or the diffs between two.
type arrival struct {
	state    *presence.List
	diffs    diffs
	complete bool
}

// published is the state that clients hold after the last diff. It is put
// together when somebody wants it. See room.publishes.
type published struct {
	list  *presence.List // nil: not known
	since diffs          // sent after it
}

func (p *published) state() *presence.List {
	if p.list != nil && !p.since.empty() {
		p.list = p.list.Apply(p.since.take())
	}
	return p.list
}

// roomTimer has an identity, so that one that fires while it is being stopped
// is not taken for its successor.
type roomTimer struct {
	due  time.Time
	stop func() bool
}

// seat is a member's part in its room.
type seat struct {
	in      bool
	waiting bool
	overdue bool // gets the next state, complete or not
	synced  bool // was given a state
	// undecided: its join is so new that what Join sent to itself has not been
	// handled. That is where channels ask for the state, so the diffs of this
	// moment are held: dropped when it asks, for they are in the state, else
	// sent as one.
	undecided bool
	// early: was sent diffs, but no state yet. A client keeps these and applies
	// them after the state, which is harmless only if all later ones up to that
	// state are among them: so they are not withheld from it.
	early bool

	index int            // in members
	held  *presence.Diff // nil: none
}

func newRoom(rs *rooms, key roomKey, route *Route) *room {
	r := &room{rooms: rs, key: key, fetcher: fetcher{endpoint: rs.endpoint, route: route, topic: key.topic}}
	if route.NewMetas != nil {
		r.metas = &metas{endpoint: rs.endpoint, route: route, topic: key.topic}
	}
	if route.Presence == PresenceCounts {
		r.tally = &tally{}
	}
	return r
}

// add makes m get the diffs from now on.
func (r *room) add(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.seat.in || r.closed || m.route.Presence == PresenceNone {
		return
	}
	m.seat = seat{in: true, index: len(r.members), undecided: r.tally == nil}
	r.members = append(r.members, m)
}

// settle ends the time in which m is expected to ask for the state.
func (r *room) settle(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	held := m.seat.held
	m.seat.undecided, m.seat.held = false, nil
	if m.seat.in && held != nil && !held.Empty() {
		m.seat.early = !m.seat.synced
		m.Deliver(r.diffOf(*held).out)
	}
}

// remove makes m get nothing any more.
func (r *room) remove(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !m.seat.in {
		return
	}
	last := len(r.members) - 1
	r.members[m.seat.index] = r.members[last]
	r.members[m.seat.index].seat.index = m.seat.index
	r.members[last] = nil
	r.members = r.members[:last]
	if m.seat.waiting {
		r.waiting = slices.DeleteFunc(r.waiting, func(w *member) bool { return w == m })
		r.stopStateTimer()
	}
	m.seat = seat{}
}

// want makes the room watch the topic.
func (r *room) want() error {
	r.ctl.Lock()
	defer r.ctl.Unlock()
	return r.wantLocked()
}

func (r *room) wantLocked() error {
	if r.ended {
		return ErrClosed
	}
	if r.watch != nil {
		return nil
	}
	r.mu.Lock()
	r.refreshing = true // the first event is one
	r.mu.Unlock()
	watch, err := r.rooms.source.watch(r.key.topic, r.event)
	if err != nil {
		r.mu.Lock()
		r.refreshing = false
		r.mu.Unlock()
		return err
	}
	r.watch = watch
	return nil
}

// push gives m the state: now if it is known, else as soon as it is.
func (r *room) push(m *member) error {
	r.ctl.Lock()
	defer r.ctl.Unlock()
	if err := r.wantLocked(); err != nil {
		return err
	}
	tracks := m.tracks()
	r.mu.Lock()
	if !m.seat.in {
		r.mu.Unlock()
		return ErrClosed
	}
	m.seat.undecided, m.seat.held = false, nil
	if !m.seat.waiting && r.complete && !tracks {
		if state := r.published.state(); state != nil {
			r.sendState(m, state)
			r.mu.Unlock()
			return nil
		}
	}
	if !m.seat.waiting {
		m.seat.waiting = true
		r.waiting = append(r.waiting, m)
		r.startStateTimer()
	}
	// While the topic is known to be incomplete, the state is asked for when it
	// is complete, or when the time is up.
	ask := !r.refreshing && r.complete
	r.refreshing = r.refreshing || ask
	r.mu.Unlock()
	if ask {
		r.watch.Refresh()
	}
	return nil
}

// refresh asks the tracker for the state, for those who wait.
func (r *room) refresh() {
	r.ctl.Lock()
	defer r.ctl.Unlock()
	if r.watch == nil || r.ended {
		return
	}
	r.mu.Lock()
	ask := !r.refreshing && len(r.waiting) > 0
	r.refreshing = r.refreshing || ask
	r.mu.Unlock()
	if ask {
		r.watch.Refresh()
	}
}

// end stops the watch, when the last member is gone.
func (r *room) end() {
	r.ctl.Lock()
	defer r.ctl.Unlock()
	r.ended = true
	if r.watch != nil {
		r.watch.Stop()
	}
	if r.metas != nil {
		r.metas.end()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.pending, r.published = diffs{}, published{}
	if r.window != nil {
		r.window.stop()
	}
	r.stopStateTimer()
	r.in.Lock()
	defer r.in.Unlock()
	r.stopped, r.inbox = true, nil
}

// event is what the tracker calls. It only notes what came: diffs that wait
// here become one arrival, so the inbox stays small whatever a fetch takes.
func (r *room) event(ev presence.Event) {
	r.in.Lock()
	defer r.in.Unlock()
	if r.stopped {
		return
	}
	if r.metas != nil {
		r.metas.event(ev)
	}
	if r.fetcher.route.Presence == PresenceNone {
		return
	}
	last := len(r.inbox) - 1
	if last < 0 || ev.State != nil || r.inbox[last].state != nil {
		r.inbox = append(r.inbox, arrival{state: ev.State})
		last++
	}
	r.inbox[last].diffs.add(ev.Diff.Visible())
	r.inbox[last].complete = ev.Complete
	r.start()
}

// start calls step until there is nothing to do, on a goroutine that exists only
// that long. r.in is held.
func (r *room) start() {
	if r.running || r.stopped {
		return
	}
	r.running = true
	r.rooms.endpoint.running.Go(func() {
		for r.step() {
		}
	})
}

// next takes the next event; without one the goroutine ends. r.mu is held.
func (r *room) next() (ev arrival, ok bool) {
	r.in.Lock()
	defer r.in.Unlock()
	if len(r.inbox) == 0 {
		r.inbox, r.running = nil, false
		return ev, false
	}
	ev = r.inbox[0]
	r.inbox = r.inbox[1:]
	return ev, true
}

// step does one thing that is due, and tells whether there was one. Fetch is
// called, and frames are encoded, between two holds of mu; nobody else moves the
// sequence meanwhile.
func (r *room) step() bool {
	r.mu.Lock()
	if r.due() {
		diff := r.take()
		r.mu.Unlock()
		r.flush(diff)
		return true
	}
	ev, ok := r.next()
	if !ok {
		r.mu.Unlock()
		return false
	}
	r.complete = ev.complete
	if ev.state == nil {
		now := time.Now()
		for _, d := range ev.diffs.list {
			joins, leaves := sessions(d.Joins), sessions(d.Leaves)
			r.present += joins - leaves
			r.pace.came(now, joins, leaves)
		}
		r.pending.add(ev.diffs.list...)
		completed := ev.complete && len(r.waiting) > 0
		r.mu.Unlock()
		if completed {
			r.refresh()
		}
		return true
	}
	ev.state = ev.state.Visible()
	r.present = sessions(ev.state.Presences)
	diff, asked := r.take(), len(r.waiting) > 0
	r.mu.Unlock()

	var out *roomDiff
	if !diff.Empty() {
		out = r.fetchDiff(diff)
	}
	state, lasts, counted := ev.state, ev.complete, []byte(nil)
	if r.tally != nil {
		r.tally.reset(state.Presences)
		counted = r.tally.json()
	} else if asked {
		var fetched bool
		state, fetched = r.fetchList(state)
		lasts = lasts && fetched
		state.JSON() // encodes it, for all who will be given it
	}

	r.mu.Lock()
	if out != nil {
		r.sendDiff(out)
	}
	r.counted = counted
	r.refreshing = false
	again := r.serve(state, ev.complete, lasts, asked || r.tally != nil || r.fetcher.route.Fetch == nil)
	r.mu.Unlock()
	if again {
		r.refresh()
	}
	return true
}

// due tells whether what is pending goes now. If not, and there is something, a
// timer sees to it. r.mu is held.
func (r *room) due() bool {
	if r.pending.empty() || r.closed {
		return false
	}
	now := time.Now()
	at := r.pace.due(now, max(r.present, len(r.members)))
	if !at.After(now) {
		return true
	}
	if r.window != nil && at.Before(r.window.due) && r.window.stop() {
		r.window = nil
	}
	if r.window == nil {
		t := &roomTimer{due: at}
		t.stop = r.rooms.endpoint.running.After(at.Sub(now), func() { r.windowEnd(t) })
		r.window = t
	}
	return false
}

// take takes what is pending. r.mu is held.
func (r *room) take() presence.Diff {
	if r.window != nil {
		r.window.stop()
		r.window = nil
	}
	r.pace.took()
	return r.pending.take()
}

// flush sends a diff at the end of a window, or at once. It may be empty after
// merging; then it is as if nothing had come.
func (r *room) flush(diff presence.Diff) {
	if diff.Empty() {
		return
	}
	out := r.fetchDiff(diff)
	if out == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sendDiff(out)
}

// serve gives the state to those who wait for it, and tells whether it has to
// be asked for again. One that lasts is also for who comes later. r.mu is held.
func (r *room) serve(state *presence.List, complete, lasts, fetched bool) (again bool) {
	if r.closed {
		return false
	}
	if !fetched { // nobody waited; who has come meanwhile asks anew
		return len(r.waiting) > 0
	}
	if lasts && r.publishes() {
		r.published = published{list: state}
	}
	r.waiting = slices.DeleteFunc(r.waiting, func(m *member) bool {
		if !complete && !m.seat.overdue {
			return false
		}
		m.seat.waiting, m.seat.overdue = false, false
		r.sendState(m, state)
		return true
	})
	r.stopStateTimer()
	return false
}

// publishes tells whether the state is worth keeping: not for one client, which
// has it. Most rooms stay such, and it would be 270 bytes for each; who comes
// second has the tracker asked. Of counts it is kept, since they are what is
// pushed. r.mu is held.
func (r *room) publishes() bool { return len(r.members) > 1 || r.tally != nil }

// sendState pushes presence_state to one client: the same bytes to all, in a frame
// with the client's join_ref. r.mu is held.
func (r *room) sendState(m *member, state *presence.List) {
	event, payload := eventPresenceCount, r.counted
	if r.tally == nil {
		event, payload = eventPresenceState, state.JSON()
	}
	frames, err := m.conn.encodeShared(wire.Message{Kind: wire.KindPush, JoinRef: m.ask.JoinRef, Topic: r.key.topic, Event: event, Payload: wire.RawPayload(payload)})
	if err == nil {
		m.seat.synced, m.seat.early = true, false
		m.forward(frames)
	}
}

// sendDiff sends presence_diff to all but those who wait for a state that it
// will be in. r.mu is held.
func (r *room) sendDiff(d *roomDiff) {
	switch {
	case r.tally != nil: // counts stay published: the newest ones
		r.counted = d.out.Payload.Bytes()
	case r.publishes() && r.fetcher.route.Fetch == nil && r.published.list != nil:
		r.published.since.add(d.shown)
	default:
		r.published = published{}
	}
	if r.closed {
		return
	}
	began := time.Now()
	for _, m := range r.members {
		switch {
		case m.seat.undecided:
			held := d.shown
			if m.seat.held != nil {
				held = m.seat.held.Merge(held)
			}
			m.seat.held = &held
		case m.seat.waiting && !m.seat.early:
		default:
			m.seat.early = !m.seat.synced
			m.Deliver(d.out)
		}
	}
	now := time.Now()
	r.pace.sent(now, r.late+now.Sub(began))
	r.late = 0
}

func (r *room) windowEnd(t *roomTimer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.window != t {
		return
	}
	r.window, r.late = nil, time.Since(t.due)
	if !r.pending.empty() {
		r.in.Lock()
		defer r.in.Unlock()
		r.start()
	}
}

func (r *room) startStateTimer() {
	if r.stateTimer == nil && !r.closed {
		t := &roomTimer{}
		t.stop = r.rooms.endpoint.running.After(r.rooms.endpoint.config.StateTimeout, func() { r.stateDue(t) })
		r.stateTimer = t
	}
}

// stopStateTimer stops it when nobody waits any more.
func (r *room) stopStateTimer() {
	if r.stateTimer != nil && (r.closed || len(r.waiting) == 0) {
		r.stateTimer.stop()
		r.stateTimer = nil
	}
}

// stateDue ends the waiting for completeness: for all who wait, also those who
// have waited less.
func (r *room) stateDue(t *roomTimer) {
	r.mu.Lock()
	if r.stateTimer != t {
		r.mu.Unlock()
		return
	}
	r.stateTimer = nil
	for _, m := range r.waiting {
		m.seat.overdue = true
	}
	r.mu.Unlock()
	r.refresh()
}

func sessions(list []presence.Presence) (n int) {
	for _, p := range list {
		n += len(p.Metas)
	}
	return n
}
