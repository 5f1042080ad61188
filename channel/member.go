package channel

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-go/rollcall/channel/internal/room"
	"github.com/rollcall-go/rollcall/presence"
)

// member is the life of one joined channel: its mailbox, and what its callbacks
// lead to. Everything that happens to it is mail, handled in order, from its
// join to its end.
type member struct {
	// What each broadcast and each diff looks at comes first, so that it is one
	// line of the processor's cache.
	conn       *Conn    // static after newMember
	intercepts []string // set by the mailbox before the state is stateJoined, then static
	// toCome counts the broadcasts that are in the mailbox. While there are
	// any, further ones queue behind them, so that a client gets broadcasts in
	// order even where some are intercepted.
	toCome atomic.Int64
	state  atomic.Int32
	// What nobody looks at is here too where the line has room for it.
	accepted bool // Join accepted, and nothing was in the way; owned by the mailbox
	// turn is where its join is. It is changed under admission.mu, and not after
	// the mailbox was released but by the mailbox, which reads it without.
	turn turn
	// seat is the member's place in its room, which owns it.
	seat room.Seat

	// static after newMember
	id    uint64
	route *Route
	topic string
	ask   ask
	room  *topicRoom // nil without presence
	box   mailbox[mail]

	// set by the mailbox before the state is stateJoined, then static
	socket  Socket
	channel Channel

	// joiner is its join in admission, nil where that has none of it; changed as
	// turn is.
	joiner *joiner

	// current is what the message being handled is answered to, nil outside
	// HandleIn.
	current atomic.Pointer[ReplyRef]

	// guarded by conn.mu
	successor *member
	stopTimer func() bool

	// guarded by mu
	mu       sync.Mutex
	left     bool // leaveTopic ran
	detached bool // detach ran
	lost     bool // the connection was, and nobody meant it
	place    *subscription
	external map[string][]*subscription
	lease    *presence.Session
}

// ask is what of a phx_join is needed to the end.
type ask struct{ JoinRef, Ref Ref }

const (
	stateJoining int32 = iota
	stateJoined
	stateEnding // Terminate may run
	stateGone
)

// mail is one of the types below.
type mail any

type (
	mailJoin  struct{ params Payload }
	mailIn    struct{ message Message }
	mailLeave struct{ message Message }
	mailOut   struct{ dispatch *dispatch } // intercepted
	mailFrame struct{ frame *Frame }       // behind an intercepted one
	mailInfo  struct{ value any }
	mailStop  struct{ reason Reason }
	// mailSettled comes behind what Join sent to itself, and ends
	// the time in which diffs are held; see package room.
	mailSettled struct{}
)

// newMember makes the channel of a join. It counts as running until it is gone.
// c.mu is held.
func newMember(c *Conn, a action) *member {
	m := &member{conn: c, id: a.id, route: a.route, topic: a.message.Topic, ask: ask{a.message.JoinRef, a.message.Ref}}
	m.socket.m = m
	e := c.endpoint
	if e.rooms != nil {
		m.room = e.rooms.enter(m.topic, m.route)
	}
	e.running.Add(1)
	m.box.init(&e.running, e.config.MailboxSize, e.config.MailboxBytes, true, m.handle)
	m.box.force(mailJoin{a.message.Payload})
	return m
}

// begin lets the join run: at once, or when the channel before it on this topic
// is gone, or when that takes too long (B050). c.mu is held.
func (m *member) begin(before *member) {
	if before == nil {
		m.admit()
		return
	}
	before.successor = m
	e := m.conn.endpoint
	m.stopTimer = e.after(e.config.DuplicateTimeout, func() {
		e.logger.Warn("channel: still busy, its topic goes to a new join", "topic", m.topic)
		before.state.Store(stateGone)
		before.detach()
		m.conn.mu.Lock()
		defer m.conn.mu.Unlock()
		m.admit()
	})
}

// release is begin for a successor. c.mu is held.
func (m *member) release() {
	if m.stopTimer() { // else it has begun
		m.admit()
	}
}

// admit has the join take its turn. c.mu is held.
func (m *member) admit() {
	if m.conn.closed { // nobody waits for it any more
		m.box.release()
		return
	}
	m.conn.endpoint.admission.enter(m)
}

// withdraw ends its waiting for a turn, if it does, because of mail that it has.
func (m *member) withdraw() {
	if m.state.Load() == stateJoining {
		m.conn.endpoint.admission.withdraw(m)
	}
}

// give puts mail into the mailbox. It may be called with conn.mu held.
func (m *member) give(v mail, size int) bool {
	err := m.box.put(v, size)
	if full := (*overflow)(nil); errors.As(err, &full) {
		m.box.replace(mailStop{Crashed(full)}, func() {
			m.conn.endpoint.counters.overflows.Add(1)
			m.conn.Reject(Rejection{Cause: CauseMailbox, Topic: m.topic, Limit: full.limit, Err: full})
		})
		m.withdraw()
	}
	return err == nil
}

// deliver gives it a broadcast on its topic: the frame goes straight to the
// link unless the channel intercepts the event.
func (m *member) deliver(d *dispatch) {
	if state := m.state.Load(); state != stateJoined && (state != stateJoining || m.settled() != stateJoined) {
		return
	}
	if slices.Contains(m.intercepts, d.Event) {
		m.queue(mailOut{d})
		return
	}
	if f := d.frame(m.conn.dialect, m.conn.endpoint.logger); f != nil {
		m.forward(f)
	}
}

// settled is the state when the answer to the join, which may be on its way out
// at this moment, has gone: who has it gets every broadcast from then on.
func (m *member) settled() int32 {
	m.conn.mu.Lock()
	defer m.conn.mu.Unlock()
	return m.state.Load()
}

// forward sends a frame that must not overtake a broadcast.
func (m *member) forward(f *Frame) {
	if m.toCome.Load() > 0 {
		m.queue(mailFrame{f})
		return
	}
	m.conn.link.Send(f)
}

func (m *member) queue(v mail) {
	m.toCome.Add(1)
	if !m.give(v, 0) {
		m.toCome.Add(-1)
	}
}

// handle is what the mailbox calls.
func (m *member) handle(v mail) {
	switch v := v.(type) {
	case mailJoin:
		m.join(v.params)
	case mailIn:
		m.conn.endpoint.admission.leave(m)
		ref := ReplyRef{m: m, ref: v.message.Ref}
		m.current.Store(&ref)
		m.act("HandleIn", &ref, func() Result {
			return m.handleIn(v.message)
		})
		m.current.Store(nil)
	case mailLeave:
		m.end(ReasonLeft, &v.message)
	case mailOut:
		m.act("HandleOut", nil, func() Result {
			return m.channel.(Interceptor).HandleOut(&m.socket, v.dispatch.Event, v.dispatch.Payload)
		})
		m.toCome.Add(-1)
	case mailFrame:
		m.conn.link.Send(v.frame)
		m.toCome.Add(-1)
	case mailInfo:
		h, ok := m.channel.(InfoHandler)
		if !ok { // B069
			m.conn.endpoint.logger.Warn("channel: message for a channel without HandleInfo", "topic", m.topic, "type", fmt.Sprintf("%T", v.value))
			return
		}
		m.act("HandleInfo", nil, func() Result { return h.HandleInfo(&m.socket, v.value) })
	case mailSettled:
		m.conn.endpoint.admission.leave(m)
		m.room.settle(m)
	case mailStop:
		if !m.accepted { // its join never ran
			m.refuse(reasonJoinCrashed)
			return
		}
		m.end(v.reason, nil)
	}
}

// handleIn calls HandleIn, and tells of it when it has returned (B127).
func (m *member) handleIn(msg Message) Result {
	t := &m.conn.endpoint.telemetry
	began := t.handleInBegan(m.route, m.topic)
	res := m.channel.HandleIn(&m.socket, msg.Event, msg.Payload)
	if !began.IsZero() {
		t.handleIn(HandleInEvent{Socket: &m.socket, Event: msg.Event, Payload: msg.Payload, Ref: msg.Ref, Duration: t.since(began)})
	}
	return res
}

// errPanic is what a panic of a callback is reported as.
var errPanic = errors.New("panic")

// guard runs a callback and makes an error of its panic.
func (m *member) guard(where string, f func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			m.conn.endpoint.logPanic(where, v, "topic", m.topic, "remote", addrString(m.conn.remote))
			err = fmt.Errorf("%w in %s: %v", errPanic, where, v)
		}
	}()
	f()
	return nil
}

// act runs a callback and does what its result says. to is what it may answer.
func (m *member) act(where string, to *ReplyRef, callback func() Result) {
	var res Result
	if err := m.guard(where, func() { res = callback() }); err != nil {
		m.end(Crashed(err), nil)
		return
	}
	if res.reply {
		err := errors.New("a reply, but no message to answer")
		if to != nil {
			err = to.Reply(res.status, res.response)
		}
		if err != nil && !errors.Is(err, ErrClosed) {
			m.conn.endpoint.logger.Error("channel: bad result of "+where, "topic", m.topic, "error", err)
			if to != nil {
				m.end(Crashed(err), nil)
				return
			}
		}
	}
	if res.stop {
		m.end(res.reason, nil)
	}
}

func (m *member) join(params Payload) {
	e := m.conn.endpoint
	if m.conn.isClosed() || m.state.Load() == stateGone { // nobody waits for it any more
		m.refuse(reasonJoinCrashed)
		return
	}
	if m.turn != turnRuns {
		m.turnedAway()
		return
	}
	began := e.telemetry.joinBegan(m.route, m.topic)
	var took time.Duration
	var answer any
	var err error
	if crash := m.guard("Join", func() {
		m.channel = m.route.New()
		if i, ok := m.channel.(Interceptor); ok {
			m.intercepts = slices.Clone(i.Intercept())
		}
		answer, err = m.channel.Join(&m.socket, params)
	}); crash != nil {
		err = crash
	}
	if !began.IsZero() {
		took = e.telemetry.since(began)
		defer func() { // when the client has been told
			e.telemetry.join(JoinEvent{Socket: &m.socket, Params: params, Duration: took, Err: err})
		}()
	}
	if err != nil {
		m.refuse(m.refusal(err))
		return
	}
	var response Payload
	if response, err = m.accept(answer); err != nil {
		e.logger.Error("channel: join", "topic", m.topic, "error", err)
		m.detach()
		m.terminate(Crashed(err))
		m.refuse(reasonJoinCrashed)
		return
	}
	m.accepted = true
	e.counters.channels.Add(1)

	m.conn.mu.Lock()
	m.conn.perform(m.conn.session.joined(m.id, response))
	if m.state.CompareAndSwap(stateJoining, stateJoined) && m.room != nil { // not when it was cut off
		m.room.add(m)
		m.box.force(mailSettled{})
	}
	m.conn.mu.Unlock()
	if m.room == nil {
		e.admission.leave(m)
	}
	if m.route.NewMetas != nil && m.room != nil {
		if err := m.room.want(); err != nil {
			e.logger.Error("channel: HandleMetas", "topic", m.topic, "error", err)
		}
	}
	if m.route.PushState {
		if err := m.socket.PushPresenceState(); err != nil {
			e.logger.Error("channel: presence_state", "topic", m.topic, "error", err)
		}
	}
}

// turnedAway ends a join that did not get its turn.
func (m *member) turnedAway() {
	turn := m.turn
	m.refuse(reasonOverloaded)
	limits := &m.conn.endpoint.config
	switch turn {
	case turnCrowded:
		m.conn.Reject(Rejection{Cause: CauseOverloaded, Topic: m.topic, Limit: limits.MaxJoinsWaiting})
	case turnLate:
		m.conn.Reject(Rejection{Cause: CauseOverloaded, Topic: m.topic, Limit: limits.JoinWait})
	}
}

// accept readies what may fail of an accepted join, before the client is told.
func (m *member) accept(answer any) (Payload, error) {
	response, err := NewPayload(answer)
	if err != nil {
		return Payload{}, err
	}
	// Refs that fit into a text frame need not fit into a binary one, and what an
	// application's serializer says is not known.
	if response.binary || m.conn.dialect.index < 0 {
		if _, err := m.conn.dialect.Encode(reply(m.ask.JoinRef, m.ask.Ref, m.topic, statusOK, response)); err != nil {
			return Payload{}, err
		}
	}
	place, err := m.conn.endpoint.pubsub.subscribe(m.topic, m)
	if err != nil {
		return Payload{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left { // cut off meanwhile
		m.conn.endpoint.pubsub.unsubscribe(place)
	} else {
		m.place = place
	}
	return response, nil
}

// refusal is the response to a join that err refused.
func (m *member) refusal(err error) Payload {
	e := m.conn.endpoint
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
		response, err := NewPayload(refusal.Response)
		if err == nil {
			_, err = m.conn.dialect.Encode(reply(m.ask.JoinRef, m.ask.Ref, m.topic, statusError, response))
		}
		if err == nil {
			return response
		}
		e.logger.Error("channel: response of a refused join", "topic", m.topic, "error", err)
		return reasonJoinCrashed
	}
	if !errors.Is(err, errPanic) { // that one is logged already
		e.logger.Error("channel: join crashed", "topic", m.topic, "error", err)
	}
	return reasonJoinCrashed
}

// refuse ends a join that was not accepted. Messages that came behind it are
// answered as if they had come after the answer.
func (m *member) refuse(response Payload) {
	m.state.Store(stateGone)
	m.detach()
	rest := m.box.close()
	m.conn.mu.Lock()
	m.conn.perform(m.conn.session.refused(m.id, response))
	for _, v := range rest {
		switch v := v.(type) {
		case mailIn:
			m.conn.perform(m.conn.session.undelivered(v.message))
		case mailLeave:
			m.conn.perform(m.conn.session.undelivered(v.message))
		}
	}
	m.conn.mu.Unlock()
	m.gone()
}

// end ends a joined channel, once: the client is told, then Terminate runs, then its
// presences end.
func (m *member) end(reason Reason, leave *Message) {
	m.leaveTopic()
	m.box.close()
	m.conn.mu.Lock()
	if leave != nil {
		m.conn.perform(m.conn.session.left(m.id, leave.Ref))
	} else {
		m.conn.perform(m.conn.session.ended(m.id, reason))
	}
	m.state.CompareAndSwap(stateJoined, stateEnding)
	m.conn.mu.Unlock()
	m.conn.endpoint.counters.channels.Add(-1)
	m.terminate(reason)
	m.state.Store(stateGone)
	m.mu.Lock()
	m.lost = reason == ReasonClosed || reason == ReasonInactive
	m.mu.Unlock()
	m.detach()
	m.gone()
}

func (m *member) terminate(reason Reason) {
	if t, ok := m.channel.(Terminator); ok {
		_ = m.guard("Terminate", func() { t.Terminate(&m.socket, reason) }) // logged there
	}
}

// leaveTopic ends what reaches the channel from outside.
func (m *member) leaveTopic() {
	m.mu.Lock()
	place, external := m.place, m.external
	m.place, m.external, m.left = nil, nil, true
	m.mu.Unlock()
	ps := m.conn.endpoint.pubsub
	if place != nil {
		ps.unsubscribe(place)
	}
	for _, subs := range external {
		for _, sub := range subs {
			ps.unsubscribe(sub)
		}
	}
	if m.room != nil {
		m.room.remove(m)
	}
}

// detach ends all that the channel holds. It may be called more than once, and
// beside a callback that does not return.
func (m *member) detach() {
	m.leaveTopic()
	m.mu.Lock()
	lease, lost := m.lease, m.lost
	m.lease, m.detached = nil, true
	m.mu.Unlock()
	switch {
	case lease == nil:
	case lost && m.route.LeaveGrace > 0:
		m.conn.endpoint.graces.begin(lease, m.route.LeaveGrace)
	default:
		lease.Close()
	}
}

// gone is the last that is done for a channel.
func (m *member) gone() {
	if m.room != nil {
		m.conn.endpoint.rooms.leave(m.room)
	}
	m.conn.endpoint.admission.leave(m)
	m.conn.gone(m)
	m.conn.endpoint.running.Done()
}
