package channel

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/rollcall-go/rollcall/channel/internal/admit"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// begin lets the join run: at once, or when the channel before it on this topic
// is gone, or when that takes too long (B050). c.mu is held.
func (m *member) begin(before *member) {
	if before == nil {
		m.admit()
		return
	}
	before.successor = m
	e := m.conn.endpoint
	m.stopTimer = e.running.After(e.config.DuplicateTimeout, func() {
		e.logger.Warn("channel: still busy, its topic goes to a new join", "topic", m.topic)
		before.state.Store(stateGone)
		before.endContexts()
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
	if m.conn.closed { // no one is waiting for it
		m.box.Release()
		return
	}
	m.conn.endpoint.admission.Enter(&m.admission, m.route, m.topic, &m.box)
}

// withdraw gives up a join because of mail that is behind it: it waits for its turn no
// longer, and if it runs its context ends.
func (m *member) withdraw() {
	if m.state.Load() == stateJoining {
		m.conn.endpoint.admission.Withdraw(&m.admission)
		m.endContexts()
	}
}

// contexts are those of a channel, which most do without but while Join runs.
type contexts struct {
	own       context.Context // of Socket.Context; nil before it is called
	cancel    context.CancelFunc
	interrupt context.CancelFunc // ends the context of Join while that runs
}

// joinContext returns the context of Join, which ends when the join is given up, and
// what is to be called when Join has returned.
func (m *member) joinContext() (ctx context.Context, done func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	ctx, cancel := context.WithCancel(m.conn.base())
	if m.over {
		cancel()
	}
	m.contexts = &contexts{interrupt: cancel}
	return ctx, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.contexts.interrupt = nil; m.contexts.own == nil {
			m.contexts = nil
		}
		cancel()
	}
}

// context returns the context of the channel, which is made when it is first needed.
func (m *member) context() context.Context {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.contexts == nil {
		m.contexts = &contexts{}
	}
	c := m.contexts
	if c.own == nil {
		c.own, c.cancel = context.WithCancel(m.conn.base())
		if m.over {
			c.cancel()
		}
	}
	return c.own
}

// endContexts ends the contexts of the channel and of its join. conn.mu may be held.
func (m *member) endContexts() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over = true
	if c := m.contexts; c != nil {
		for _, cancel := range []context.CancelFunc{c.interrupt, c.cancel} {
			if cancel != nil {
				cancel()
			}
		}
	}
}

func (m *member) join(params Payload) {
	e := m.conn.endpoint
	if m.conn.isClosed() || m.state.Load() == stateGone { // no one is waiting for it
		m.refuse(wire.JoinCrashed)
		return
	}
	if m.admission.State() != admit.Running {
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
		ctx, done := m.joinContext()
		defer done()
		answer, err = m.channel.Join(ctx, &m.socket, params)
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
		m.terminate(wire.Crashed(err))
		m.refuse(wire.JoinCrashed)
		return
	}
	m.accepted = true
	e.counters.channels.Add(1)

	m.conn.mu.Lock()
	m.conn.perform(m.conn.session.Joined(m.id, response))
	if m.state.CompareAndSwap(stateJoining, stateJoined) && m.room != nil { // not when it was cut off
		m.room.add(m)
		m.box.Force(mailSettled{})
	}
	m.conn.mu.Unlock()
	if m.room == nil {
		e.admission.End(&m.admission)
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
	m.refuse(wire.Overloaded)
	limits := &m.conn.endpoint.config
	switch m.admission.State() {
	case admit.Crowded:
		m.conn.Reject(wire.Rejection{Cause: wire.CauseOverloaded, Topic: m.topic, Limit: limits.MaxJoinsWaiting})
	case admit.Late:
		m.conn.Reject(wire.Rejection{Cause: wire.CauseOverloaded, Topic: m.topic, Limit: limits.JoinWait})
	}
}

// accept readies what may fail of an accepted join, before the client is told.
func (m *member) accept(answer any) (Payload, error) {
	response, err := wire.NewPayload(answer)
	if err != nil {
		return Payload{}, err
	}
	place, err := m.conn.endpoint.pubsub.Subscribe(m.topic, m)
	if err != nil {
		return Payload{}, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left { // cut off meanwhile
		m.conn.endpoint.pubsub.Unsubscribe(place)
	} else {
		m.place = place
	}
	return response, nil
}

// refusal is the response to a join that err refused.
func (m *member) refusal(err error) Payload {
	e := m.conn.endpoint
	if refusal := (*Refusal)(nil); errors.As(err, &refusal) {
		response, err := wire.NewPayload(refusal.Response)
		if err == nil {
			return response
		}
		e.logger.Error("channel: response of a refused join", "topic", m.topic, "error", err)
		return wire.JoinCrashed
	}
	if !errors.Is(err, errPanic) { // that one is logged already
		e.logger.Error("channel: join crashed", "topic", m.topic, "error", err)
	}
	return wire.JoinCrashed
}

// refuse ends a join that was not accepted. Messages that came behind it are
// answered as if they had come after the answer.
func (m *member) refuse(response Payload) {
	m.state.Store(stateGone)
	m.endContexts()
	m.detach()
	rest := m.box.Close()
	m.conn.mu.Lock()
	m.conn.perform(m.conn.session.Refused(m.id, response))
	for _, v := range rest {
		switch v := v.(type) {
		case mailIn:
			m.conn.perform(m.conn.session.Undelivered(v.message))
		case mailLeave:
			m.conn.perform(m.conn.session.Undelivered(v.message))
		}
	}
	m.conn.mu.Unlock()
	m.gone()
}
