package channel

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/rollcall-go/rollcall/channel/internal/actor"
	"github.com/rollcall-go/rollcall/channel/internal/admit"
	"github.com/rollcall-go/rollcall/channel/internal/fastlane"
	"github.com/rollcall-go/rollcall/channel/internal/pubsub"
	"github.com/rollcall-go/rollcall/channel/internal/room"
	"github.com/rollcall-go/rollcall/channel/wire"
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
	// seat is the member's place in its room, which owns it.
	seat room.Seat

	// static after newMember
	id    uint64
	route *Route
	topic string
	ask   ask
	room  *topicRoom // nil without presence
	box   actor.Mailbox[mail]

	// set by the mailbox before the state is stateJoined, then static
	socket  Socket
	channel Channel

	// admission is its join's; the mailbox may read the state once it is released.
	admission admit.Join

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
	over     bool // endContexts ran
	contexts *contexts
	place    *pubsub.Subscription
	external map[string][]*pubsub.Subscription
	lease    *presence.Session
}

// ask is what of a phx_join is needed to the end.
type ask struct{ JoinRef, Ref wire.Ref }

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
	mailIn    struct{ message wire.Message }
	mailLeave struct{ message wire.Message }
	mailOut   struct{ broadcast *fastlane.Broadcast } // intercepted
	mailFrame struct{ frames []*wire.Frame }          // behind an intercepted one
	mailInfo  struct{ value any }
	mailStop  struct{ reason Reason }
	// mailSettled comes behind what Join sent to itself, and ends
	// the time in which diffs are held; see package room.
	mailSettled struct{}
)

// newMember makes the channel of a join. It counts as running until it is gone.
// c.mu is held.
func newMember(c *Conn, a wire.Action) *member {
	m := &member{conn: c, id: a.ID, route: c.handler.route(a.Message.Topic), topic: a.Message.Topic, ask: ask{a.Message.JoinRef, a.Message.Ref}}
	m.socket.m = m
	e := c.endpoint
	if e.rooms != nil {
		m.room = e.rooms.enter(m.topic, m.route)
	}
	e.running.Add(1)
	m.box.Init(&e.running, actor.Limits{Messages: e.config.MailboxSize, Bytes: e.config.MailboxBytes}, m.handle)
	m.box.Hold()
	m.box.Force(mailJoin{a.Message.Payload})
	return m
}

// give puts mail into the mailbox. It may be called with conn.mu held.
func (m *member) give(v mail, size int) bool {
	err := m.box.Put(v, size)
	if over, ok := errors.AsType[*actor.Overflow](err); ok {
		m.overflow(over)
	}
	return err == nil
}

// overflow ends a channel that did not keep up. conn.mu may be held.
func (m *member) overflow(over *actor.Overflow) {
	err := fmt.Errorf("%w: %w", errMailboxFull, over)
	m.box.Replace(mailStop{wire.Crashed(err)}, func() {
		m.conn.endpoint.counters.overflows.Add(1)
		m.conn.Reject(wire.Rejection{Cause: wire.CauseMailbox, Topic: m.topic, Limit: over.Limit, Err: err})
	})
	m.withdraw()
}

// Deliver gives it a broadcast on its topic: the frame goes straight to the
// link unless the channel intercepts the event.
func (m *member) Deliver(b *fastlane.Broadcast) {
	if state := m.state.Load(); state != stateJoined && (state != stateJoining || m.settled() != stateJoined) {
		return
	}
	if slices.Contains(m.intercepts, b.Event) {
		m.queue(mailOut{b})
		return
	}
	frames, err := b.Frames(m.conn.protocol, m.conn.codec)
	if err != nil {
		m.conn.endpoint.logger.Warn("channel: broadcast not sent to clients of one version of the protocol",
			"version", m.conn.protocol.Version, "topic", b.Topic, "event", b.Event, "error", err)
	}
	if len(frames) > 0 {
		m.forward(frames)
	}
}

// settled is the state when the answer to the join, which may be on its way out
// at this moment, has gone: who has it gets every broadcast from then on.
func (m *member) settled() int32 {
	m.conn.mu.Lock()
	defer m.conn.mu.Unlock()
	return m.state.Load()
}

// forward sends the frames of a message that must not overtake a broadcast.
func (m *member) forward(frames []*wire.Frame) {
	if m.toCome.Load() > 0 {
		m.queue(mailFrame{frames})
		return
	}
	m.conn.link.Send(frames...)
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
		m.conn.endpoint.admission.End(&m.admission)
		ref := ReplyRef{m: m, ref: v.message.Ref}
		m.current.Store(&ref)
		m.act("HandleIn", &ref, func() Result {
			return m.handleIn(v.message)
		})
		m.current.Store(nil)
	case mailLeave:
		m.end(wire.ReasonLeft, &v.message)
	case mailOut:
		m.act("HandleOut", nil, func() Result {
			return m.channel.(Interceptor).HandleOut(&m.socket, v.broadcast.Event, v.broadcast.Payload)
		})
		m.toCome.Add(-1)
	case mailFrame:
		m.conn.link.Send(v.frames...)
		m.toCome.Add(-1)
	case mailInfo:
		h, ok := m.channel.(InfoHandler)
		if !ok { // B069
			m.conn.endpoint.logger.Warn("channel: message for a channel without HandleInfo", "topic", m.topic, "type", fmt.Sprintf("%T", v.value))
			return
		}
		m.act("HandleInfo", nil, func() Result { return h.HandleInfo(&m.socket, v.value) })
	case mailSettled:
		m.conn.endpoint.admission.End(&m.admission)
		m.room.settle(m)
	case mailStop:
		if !m.accepted { // its join never ran
			m.refuse(wire.JoinCrashed)
			return
		}
		m.end(v.reason, nil)
	}
}

// handleIn calls HandleIn, and tells of it when it has returned (B127).
func (m *member) handleIn(msg wire.Message) Result {
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
		m.end(wire.Crashed(err), nil)
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
				m.end(wire.Crashed(err), nil)
				return
			}
		}
	}
	if res.stop {
		m.end(res.reason, nil)
	}
}

// end ends a joined channel, once: the client is told, then Terminate runs, then its
// presences end.
func (m *member) end(reason Reason, leave *wire.Message) {
	m.leaveTopic()
	m.box.Close()
	m.conn.mu.Lock()
	if leave != nil {
		m.conn.perform(m.conn.session.Left(m.id, leave.Ref))
	} else {
		m.conn.perform(m.conn.session.Ended(m.id, reason))
	}
	m.state.CompareAndSwap(stateJoined, stateEnding)
	m.conn.mu.Unlock()
	m.conn.endpoint.counters.channels.Add(-1)
	m.terminate(reason)
	m.state.Store(stateGone)
	m.mu.Lock()
	m.lost = reason == wire.ReasonClosed || reason == wire.ReasonInactive
	m.mu.Unlock()
	m.detach()
	m.gone()
}

// terminate ends the channel's context, then calls Terminate.
func (m *member) terminate(reason Reason) {
	m.endContexts()
	if t, ok := m.channel.(Terminator); ok {
		_ = m.guard("Terminate", func() { t.Terminate(m.conn.base(), &m.socket, reason) }) // logged there
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
		ps.Unsubscribe(place)
	}
	for _, subs := range external {
		for _, sub := range subs {
			ps.Unsubscribe(sub)
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
	lease, lost, first := m.lease, m.lost, !m.detached
	m.lease, m.detached = nil, true
	m.mu.Unlock()
	if first && m.room != nil { // before its presences end: the last one sees no leave of its own
		m.conn.endpoint.rooms.leave(m.room)
	}
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
	m.conn.endpoint.admission.End(&m.admission)
	m.conn.gone(m)
	m.conn.endpoint.running.Done()
}
