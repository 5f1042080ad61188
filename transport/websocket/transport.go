package websocket

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	gorilla "github.com/gorilla/websocket"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/internal/httptransport"
	"github.com/rollcall-go/rollcall/transport/internal/netpoll"
)

// A Transport serves one handler's connections over WebSocket. It is an
// http.Handler; all its methods may be called concurrently.
type Transport struct {
	// Static after New.
	door     httptransport.Door[channelConn]
	reject   func(wire.Rejection) // tells of a client that was refused before there was a channelConn
	config   Config
	bounds   outboxBounds
	upgrader gorilla.Upgrader
	done     chan struct{} // closed at Close, for handshakes that wait

	// Of their own.
	writers   *writers
	newcomers *newcomers
	poller    *netpoll.Poller
	stats     counters
	helpers   sync.WaitGroup // goroutines of writers and poller, and those that run resume

	mu sync.Mutex
	// Guarded by mu.
	slots   int                // connections and handshakes under way
	conns   map[*conn]struct{} // those that are served
	closing bool               // done is closed
	empty   chan struct{}      // closed when closing and slots is 0; nil until Close waits
}

// A channelConn is the channels of one connection: a *channel.Conn, but in tests.
type channelConn interface {
	Start(wire.Link)
	Receive(binary bool, data []byte) *wire.Close
	ReceiveControl() *wire.Close
	Reject(wire.Rejection)
	Closed(channel.Reason)
}

type counters struct {
	accepted, refused, slow, idle atomic.Uint64
}

// Stats counts what a Transport has done.
type Stats struct {
	Connections int    // open now, handshakes under way included
	Accepted    uint64 // handshakes that became connections
	Refused     uint64 // handshakes that did not, for whatever reason
	Slow        uint64 // connections ended because their client did not keep up
	Idle        uint64 // connections closed because their client was silent
}

// transportName is what applications know the transport by.
const transportName = "websocket"

var (
	errFull    = errors.New("too many connections")
	errClosing = errors.New("the server is shutting down")
)

// The buffers that gorilla builds frames in are shared by all connections; one
// is in use only while a frame that is not shared is written.
var writeBuffers sync.Pool

// writeBuffer is their size in bytes.
const writeBuffer = 1024

// New returns the transport of a handler, to be mounted where its clients look
// for it: phoenix.js appends "/websocket" to the path that its user gives. The
// same handler may be given to several transports with different configs. The
// error names every fault of the config.
func New(endpoint *channel.Endpoint, handler *channel.Handler, cfg Config) (*Transport, error) {
	cfg, err := cfg.prepare()
	connect, err := httptransport.NewConnect(transportName, endpoint, handler, err, func(c *channel.Conn) channelConn { return c })
	if err != nil {
		return nil, err
	}
	return newTransport(connect, endpoint.Reject, cfg), nil
}

// newTransport takes a prepared config.
func newTransport(connect httptransport.Connect[channelConn], reject func(wire.Rejection), cfg Config) *Transport {
	t := &Transport{
		door: httptransport.Door[channelConn]{
			Transport: transportName, Session: cfg.Session, Connect: connect, Reject: reject, Logger: cfg.Logger,
		},
		reject: reject,
		config: cfg,
		bounds: outboxBounds{
			maxBytes:     cfg.OutboxBytes,
			maxAge:       cfg.OutboxAge,
			closeTimeout: cfg.CloseTimeout,
		},
		upgrader: newUpgrader(cfg.Compress),
		conns:    make(map[*conn]struct{}),
		done:     make(chan struct{}),
	}
	t.writers, t.newcomers = newWriters(&t.helpers), newNewcomers(&t.helpers)
	t.poller = netpoll.NewPoller(cfg.IdleTimeout, &t.helpers)
	return t
}

// ServeHTTP makes a connection of a WebSocket handshake, or refuses it with one
// answer. It returns when the handshake is done; the connection is served by
// other goroutines, so that net/http's memory for the request is freed.
//
// The checks come in the order of row B012 of the contract: method (400), room
// for one more (503, and for one more of this address 429), the handshake's turn
// (503 when it does not come), origin (403), auth token and subprotocol (403),
// Config.Session and the handler's Connect (403, or what its *channel.ConnectError says), and the
// headers of the upgrade (400). Connect thus runs for a request whose upgrade
// then fails.
func (t *Transport) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		t.refuse(w, r, http.StatusBadRequest, "", wire.Rejection{Cause: wire.CauseHandshake, Err: fmt.Errorf("method %q", r.Method)})
		return
	}
	if err := t.enter(); err != nil {
		rejection := wire.Rejection{Cause: wire.CauseDraining}
		if errors.Is(err, errFull) {
			rejection = wire.Rejection{Cause: wire.CauseConnections, Limit: t.config.MaxConnections}
		}
		t.refuse(w, r, http.StatusServiceUnavailable, err.Error(), rejection)
		return
	}
	c := &conn{t: t}
	served := false
	defer func() {
		if !served {
			t.leave(c)
		}
	}()
	turn, ok := t.admit(c, w, r)
	if !ok {
		return
	}
	defer turn.End()
	if !t.handshake(c, w, r) {
		return
	}
	served = true
	t.stats.accepted.Add(1)
	if closing := t.join(c); closing {
		c.Close(wire.CloseRestart, restartReason)
	}
	c.start()
	if !t.poller.Park(&c.waiter) {
		c.Ready()
	}
}

// enter takes a slot for a handshake.
func (t *Transport) enter() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case t.closing:
		return errClosing
	case t.slots >= t.config.MaxConnections:
		return errFull
	}
	t.slots++
	return nil
}

// join makes the handshake's slot that of a connection. Close reaches it from
// now on; one that was overtaken by Close is told.
func (t *Transport) join(c *conn) (closing bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.conns[c] = struct{}{}
	return t.closing
}

// leave gives the slot back. It is the last thing that a connection does.
func (t *Transport) leave(c *conn) {
	c.address.Leave()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.conns, c)
	if t.slots--; t.slots > 0 {
		return
	}
	t.poller.Close()
	if t.empty != nil {
		close(t.empty)
		t.empty = nil
	}
}

// restartReason is what clients are told at Close.
const restartReason = "service restart"

// Close refuses further handshakes with 503, closes every connection with 1012
// (clients come back, to another replica), and waits until none is left, their
// goroutines included; a handshake under way is waited for and then closed. A
// connection takes at most CloseTimeout. When ctx ends first, the connections
// are cut, and Close returns ctx's error once they are gone, or, should a
// callback or a Connect hold them up, CloseTimeout later.
//
// Close does not spread its work over time: call [channel.Endpoint.Drain]
// before it, which does. It may be called more than once.
func (t *Transport) Close(ctx context.Context) error {
	conns, empty := t.startClose()
	for _, c := range conns {
		c.Close(wire.CloseRestart, restartReason)
	}
	select {
	case <-empty:
		t.helpers.Wait() // they have nothing to do any more
		return nil
	case <-ctx.Done():
	}
	conns, empty = t.startClose()
	for _, c := range conns {
		c.abort()
	}
	last := time.NewTimer(t.config.CloseTimeout)
	defer last.Stop()
	select {
	case <-empty:
		t.helpers.Wait()
		if len(conns) == 0 {
			return nil
		}
		return fmt.Errorf("websocket: close: %d connections cut: %w", len(conns), context.Cause(ctx))
	case <-last.C:
		return fmt.Errorf("websocket: close: %d connections remain: %w", t.Stats().Connections, context.Cause(ctx))
	}
}

// startClose returns the connections there are, and a channel that is closed
// when they and all handshakes are gone.
func (t *Transport) startClose() ([]*conn, <-chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.closing {
		t.closing = true
		close(t.done)
	}
	if t.slots == 0 {
		return nil, gone
	}
	if t.empty == nil {
		t.empty = make(chan struct{})
	}
	return slices.Collect(maps.Keys(t.conns)), t.empty
}

// gone is closed.
var gone = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// Stats returns what was counted so far.
func (t *Transport) Stats() Stats {
	t.mu.Lock()
	slots := t.slots
	t.mu.Unlock()
	return Stats{
		Connections: slots,
		Accepted:    t.stats.accepted.Load(),
		Refused:     t.stats.refused.Load(),
		Slow:        t.stats.slow.Load(),
		Idle:        t.stats.idle.Load(),
	}
}
