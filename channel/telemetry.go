package channel

import (
	"fmt"
	"time"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// Telemetry are functions that are told what an endpoint does, for metrics,
// traces and logs of the application's own. Any of them may be nil, and what
// nobody wants to be told costs neither an allocation nor a look at the clock.
//
// They are called concurrently, by the goroutine in which it happened, after the
// client was told. None of this package's locks is held, so that they may call
// its methods; what they are told of goes on when they return. A panic of one is
// logged and changes nothing.
type Telemetry struct {
	// Connect is called when a handler has accepted or refused a connection. A
	// client that was refused before the handler was asked comes to Reject.
	Connect func(ConnectEvent)
	// Join is called when the Join of a channel has accepted or refused a client,
	// or has crashed. What was refused without it comes to Reject.
	Join func(JoinEvent)
	// HandleIn is called when HandleIn has returned, not when it panicked.
	HandleIn func(HandleInEvent)
	// Drain is called before each batch of [Endpoint.Drain].
	Drain func(DrainEvent)
	// Reject is called for what this package or a transport refused by itself,
	// because of a limit above all.
	Reject func(RejectEvent)
}

// A ConnectEvent is a connection that its handler has judged.
type ConnectEvent struct {
	Endpoint *Endpoint
	Handler  *Handler
	// Request is what the handler was given. A connection that was refused ends with
	// this call.
	Request *ConnectRequest
	// Protocol is the version of the connection's protocol, such as "2.0".
	Protocol string
	// Duration is from ConnectInfo.At, or else from the call of Connect.
	Duration time.Duration
	// Err is nil, or the *ConnectError that refused it.
	Err error
}

// A JoinEvent is a call of a channel's Join.
type JoinEvent struct {
	Socket *Socket
	Params Payload
	// Duration is that of Join.
	Duration time.Duration
	// Err is nil when the client is in, a *Refusal when it was refused, and
	// anything else when the join crashed.
	Err error
}

// A HandleInEvent is a call of a channel's HandleIn.
type HandleInEvent struct {
	Socket   *Socket
	Event    string
	Payload  Payload
	Ref      wire.Ref
	Duration time.Duration
}

// A RejectEvent is something that was refused, or that ended a channel or connection.
type RejectEvent struct {
	Conn *Conn // nil where there is no connection yet
	wire.Rejection
}

// A DrainEvent is a batch of connections that is about to be closed.
type DrainEvent struct {
	Endpoint *Endpoint
	Count    int // connections in this batch
	Total    int // in all of them
	Index    int // of this batch, from 1
	Rounds   int // batches
	// Interval is about how long the next batch waits.
	Interval time.Duration
	// Elapsed is the time since the first batch.
	Elapsed time.Duration
}

// telemetry is what an endpoint tells, to its log and to its hooks. It is static
// after New.
type telemetry struct {
	log   *eventLog
	hooks []Telemetry
	// now is the clock. It is asked only where somebody wants to know.
	now func() time.Time
	// panicked is told of a panic of a hook.
	panicked func(where string, v any)

	// Whether a hook wants it.
	wantsConnect, wantsJoin, wantsHandleIn bool
}

func (t *telemetry) add(hooks ...Telemetry) {
	for _, h := range hooks {
		t.hooks = append(t.hooks, h)
		t.wantsConnect = t.wantsConnect || h.Connect != nil
		t.wantsJoin = t.wantsJoin || h.Join != nil
		t.wantsHandleIn = t.wantsHandleIn || h.HandleIn != nil
	}
}

// connectBegan is the time where it is wanted, else zero; so are the two below.
func (t *telemetry) connectBegan(h *Handler, info wire.ConnectInfo) time.Time {
	if !t.wantsConnect && !t.log.wants(levelOr(h.Log, logConnect)) {
		return time.Time{}
	}
	if !info.At.IsZero() {
		return info.At
	}
	return t.now()
}

func (t *telemetry) joinBegan(r *Route, topic string) time.Time {
	if !t.wantsJoin && !(t.log.wants(levelOr(r.LogJoin, logJoin)) && logsTopic(topic)) {
		return time.Time{}
	}
	return t.now()
}

func (t *telemetry) handleInBegan(r *Route, topic string) time.Time {
	if !t.wantsHandleIn && !(t.log.wants(levelOr(r.LogHandleIn, logHandleIn)) && logsTopic(topic)) {
		return time.Time{}
	}
	return t.now()
}

// since is the duration of what began, if anybody wants to know.
func (t *telemetry) since(began time.Time) time.Duration { return t.now().Sub(began) }

func (t *telemetry) connect(e ConnectEvent) {
	t.log.connect(e)
	for _, h := range t.hooks {
		if h.Connect != nil {
			t.guard("Connect", func() { h.Connect(e) })
		}
	}
}

func (t *telemetry) join(e JoinEvent) {
	t.log.join(e)
	for _, h := range t.hooks {
		if h.Join != nil {
			t.guard("Join", func() { h.Join(e) })
		}
	}
}

func (t *telemetry) handleIn(e HandleInEvent) {
	t.log.handleIn(e)
	for _, h := range t.hooks {
		if h.HandleIn != nil {
			t.guard("HandleIn", func() { h.HandleIn(e) })
		}
	}
}

func (t *telemetry) drain(e DrainEvent) {
	t.log.drain(e)
	for _, h := range t.hooks {
		if h.Drain != nil {
			t.guard("Drain", func() { h.Drain(e) })
		}
	}
}

func (t *telemetry) reject(r RejectEvent) {
	t.log.reject(t.now, r)
	for _, h := range t.hooks {
		if h.Reject != nil {
			t.guard("Reject", func() { h.Reject(r) })
		}
	}
}

func (t *telemetry) guard(where string, f func()) {
	defer func() {
		if v := recover(); v != nil {
			t.panicked(fmt.Sprintf("Telemetry.%s", where), v)
		}
	}()
	f()
}
