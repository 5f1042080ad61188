package longpoll

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/intake"
	"github.com/rollcall-go/rollcall/transport/internal/httptransport"
)

// A Transport serves one handler's clients by long polling. It is an
// http.Handler; all its methods may be called concurrently.
type Transport struct {
	// Static after New.
	door   httptransport.Door[channelConn]
	reject func(wire.Rejection) // tells of a client that was refused without a session
	config Config
	self   replicaID
	key    []byte // of tokens
	relay  *relay // nil without a bus
	done   chan struct{}

	// Of their own.
	stats  counters
	bodies atomic.Int64 // bytes of bodies that are being read or handled
	unjoin sync.Once    // of the bus

	mu sync.Mutex
	// Guarded by mu.
	parts   int                  // what Close waits for: requests, clients, work for other replicas
	clients map[clientID]*client // those that have not ended, and some that just have
	closing bool                 // done is closed
	empty   chan struct{}        // closed when closing and parts is 0; nil until Close waits
}

type counters struct {
	accepted, refused, slow, inactive, malformed, binary, lost atomic.Uint64
	relayed, unanswered, served, garbage                       atomic.Uint64
}

// Stats counts what a Transport has done.
type Stats struct {
	Sessions  int    // now
	Accepted  uint64 // sessions begun
	Refused   uint64 // clients that were not let in, for whatever reason
	Inactive  uint64 // sessions ended because they were not polled
	Slow      uint64 // sessions ended because too much waited for their client
	Malformed uint64 // sessions ended because of what their client sent
	Binary    uint64 // sessions ended because they were sent a binary frame
	Lost      uint64 // sessions ended because an answer did not reach their client

	Relayed    uint64 // requests passed to other replicas
	Unanswered uint64 // and not answered in time
	Served     uint64 // requests answered for other replicas
	Garbage    uint64 // messages on the bus that could not be read
}

// New returns the transport of a handler, to be mounted where its clients look
// for it: phoenix.js appends "/longpoll" to the path that its user gives. The
// same handler may be given to several transports. The error names every fault
// of the config, or is the bus's.
func New(endpoint *channel.Endpoint, handler *channel.Handler, cfg Config) (*Transport, error) {
	cfg, err := cfg.prepare()
	connect, err := httptransport.NewConnect(transportName, endpoint, handler, err, func(c *channel.Conn) channelConn { return c })
	if err != nil {
		return nil, err
	}
	return newTransport(connect, endpoint.Reject, cfg)
}

// newTransport takes a prepared config.
func newTransport(connect httptransport.Connect[channelConn], reject func(wire.Rejection), cfg Config) (*Transport, error) {
	t := &Transport{
		door: httptransport.Door[channelConn]{
			Transport: transportName, Session: cfg.Session, Connect: connect, Reject: reject, Logger: cfg.Logger,
		},
		reject:  reject,
		config:  cfg,
		key:     tokenKey(cfg.Secret),
		done:    make(chan struct{}),
		clients: make(map[clientID]*client),
	}
	_, _ = rand.Read(t.self[:]) // never fails
	if cfg.Bus != nil {
		var err error
		if t.relay, err = startRelay(t); err != nil {
			return nil, fmt.Errorf("longpoll: %w", err)
		}
	}
	return t, nil
}

// enter takes part in what Close waits for, until leave; it is refused once the
// transport closes.
func (t *Transport) enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closing {
		return false
	}
	t.parts++
	return true
}

func (t *Transport) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.parts--
	if t.parts == 0 && t.empty != nil {
		close(t.empty)
		t.empty = nil
	}
}

// lookup is the client of that id, nil if there is none. It may have ended.
func (t *Transport) lookup(id clientID) *client {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.clients[id]
}

var (
	errFull    = errors.New("longpoll: too many sessions")
	errClosing = errors.New("longpoll: the server is shutting down")
	errBinary  = errors.New("longpoll: a binary message, which long polling cannot carry to a client")
)

// begin begins the session of a client, in its turn. The error is errFull,
// errClosing, the intake's, or why the client is refused.
func (t *Transport) begin(r *http.Request, info wire.ConnectInfo) (*client, error) {
	if err := t.room(); err != nil {
		return nil, err
	}
	address, err := t.config.Intake.Count(r)
	if err != nil {
		return nil, err
	}
	c, err := t.beginCounted(r, info, address)
	if err != nil {
		address.Leave()
	}
	return c, err
}

// beginCounted is begin once the client counts among those of its address.
func (t *Transport) beginCounted(r *http.Request, info wire.ConnectInfo, address *intake.Place) (*client, error) {
	turn, err := t.config.Intake.Wait(r, t.done)
	if err != nil {
		return nil, err
	}
	defer turn.End()
	channels, err := t.door.Ask(r, info)
	if err != nil {
		return nil, err
	}
	c := &client{host: t, channels: channels, address: address, turn: make(chan struct{}, 1)}
	_, _ = rand.Read(c.id[:]) // never fails
	c.token = token{issued: time.Now(), replica: t.self, client: c.id}.encode(t.key)
	if err := t.add(c); err != nil {
		channels.Closed(wire.ReasonClosed)
		return nil, err
	}
	t.stats.accepted.Add(1)
	c.open()
	return c, nil
}

// room reports whether there is place for another client.
func (t *Transport) room() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.full()
}

func (t *Transport) full() error {
	switch {
	case t.closing:
		return errClosing
	case len(t.clients) >= t.config.MaxSessions:
		return errFull
	}
	return nil
}

func (t *Transport) add(c *client) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.full(); err != nil {
		return err
	}
	t.clients[c.id] = c
	t.parts++
	return nil
}

// bury is the last that happens to a client. It runs in a goroutine of its own.
func (t *Transport) bury(c *client, e ending) {
	defer t.leave()
	defer func() {
		if p := recover(); p != nil {
			t.config.Logger.Error("longpoll: panic", "doing", "closing", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	t.mu.Lock()
	delete(t.clients, c.id)
	t.mu.Unlock()
	switch e.cause {
	case endMalformed:
		t.stats.malformed.Add(1)
	case endSlow:
		t.stats.slow.Add(1)
		c.channels.Reject(wire.Rejection{Cause: wire.CauseSlow, Limit: t.config.BufferBytes})
	case endBinary:
		t.stats.binary.Add(1)
		c.channels.Reject(wire.Rejection{Cause: wire.CauseBinary, Err: errBinary})
	case endInactive:
		t.stats.inactive.Add(1)
		c.channels.Reject(wire.Rejection{Cause: wire.CauseIdle, Limit: c.inactivity()})
	case endLost:
		t.stats.lost.Add(1)
	}
	c.address.Leave()
	c.channels.Closed(e.reason)
}

// Close ends every session, answers the polls that wait, refuses further
// requests with 503, and waits until all of it is done and the bus is left.
// Clients come back, to another replica. When ctx ends first, Close returns its
// error; what remains then are callbacks of the application, or writes to
// clients that do not read, and the bus is left nevertheless.
//
// Close does not spread its work over time: call [channel.Endpoint.Drain]
// before it, which does. It may be called more than once, but not from a
// callback of the application.
func (t *Transport) Close(ctx context.Context) error {
	clients, empty := t.startClose()
	for _, c := range clients {
		c.stop(ending{wire.ReasonClosed, endClosed})
	}
	if t.relay != nil {
		t.relay.finishAll()
		defer t.unjoin.Do(t.relay.stop)
	}
	if empty == nil {
		return nil
	}
	select {
	case <-empty:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.parts == 0 {
		return nil
	}
	return fmt.Errorf("longpoll: close: %d requests and sessions remain: %w", t.parts, context.Cause(ctx))
}

// startClose returns the clients there are, and a channel that is closed when
// nothing is left; nil when nothing is.
func (t *Transport) startClose() ([]*client, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closing {
		t.closing = true
		close(t.done)
	}
	if t.parts == 0 {
		return nil, nil
	}
	if t.empty == nil {
		t.empty = make(chan struct{})
	}
	return slices.Collect(maps.Values(t.clients)), t.empty
}

// Stats returns what was counted so far.
func (t *Transport) Stats() Stats {
	t.mu.Lock()
	clients := len(t.clients)
	t.mu.Unlock()
	return Stats{
		Sessions:   clients,
		Accepted:   t.stats.accepted.Load(),
		Refused:    t.stats.refused.Load(),
		Inactive:   t.stats.inactive.Load(),
		Slow:       t.stats.slow.Load(),
		Malformed:  t.stats.malformed.Load(),
		Binary:     t.stats.binary.Load(),
		Lost:       t.stats.lost.Load(),
		Relayed:    t.stats.relayed.Load(),
		Unanswered: t.stats.unanswered.Load(),
		Served:     t.stats.served.Load(),
		Garbage:    t.stats.garbage.Load(),
	}
}
