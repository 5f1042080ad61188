package natsbus

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/transport/internal/delivery"
)

// Bus is a bus over one NATS connection. Make it with [New]. Its methods may be
// called concurrently.
type Bus struct {
	// static after New
	nc       *nats.Conn
	cfg      Config
	inbox    string // with the "." at its end
	inboxSub *nats.Subscription
	messages chan *nats.Msg // sent to by nats.go, never closed
	// bucketPrefix is what the subjects of buckets begin with. It contains their
	// number, so that no others are heard.
	bucketPrefix string
	quit         chan struct{} // closed by Close: ends the pump
	pumped       chan struct{} // closed by the pump

	requests requests // has its own lock

	// change is held while subscriptions or lanes change, across calls of nc,
	// which may take long. It is locked before mu.
	change sync.Mutex
	closed bool // guarded by change

	// mu is held for moments only, never across calls of nc.
	mu sync.RWMutex
	// guarded by mu, and changed only with change held too
	open     map[bus.Lane]*conn
	subjects map[string]*subject // by key
	buckets  map[string]*bucket  // by NATS subject
	classes  []*class
	// guarded by mu
	maxPayload int // as it was when last connected
	// changed with mu held
	up atomic.Bool

	published, received, overruns, refused atomic.Uint64
	dropped, lost                          atomic.Uint64 // of lanes that are closed
}

var _ bus.Bus = (*Bus)(nil)

// New makes a bus of a connection, which should have been dialled with
// [Options] and stays the caller's. The error names everything that is wrong
// with the connection and the config.
func New(nc *nats.Conn, cfg Config) (*Bus, error) {
	cfg = cfg.withDefaults()
	if err := errors.Join(checkConn(nc, minPayload+cfg.overhead()), cfg.validate()); err != nil {
		return nil, err
	}
	b := &Bus{
		nc:       nc,
		cfg:      cfg,
		inbox:    nc.NewInbox() + ".",
		messages: make(chan *nats.Msg, channelMessages),
		quit:     make(chan struct{}),
		pumped:   make(chan struct{}),
		open:     make(map[bus.Lane]*conn),
		subjects: make(map[string]*subject),
		buckets:  make(map[string]*bucket),

		bucketPrefix: fmt.Sprintf("%s.b.%d.", cfg.Prefix, cfg.Buckets),
	}
	var err error
	if b.inboxSub, err = nc.ChanSubscribe(b.inbox+"*", b.messages); err != nil {
		return nil, fmt.Errorf("natsbus: subscribe to inbox: %w", err)
	}
	b.chainHandlers()
	// After the handlers: a change from here on is heard of.
	b.mu.Lock()
	b.maxPayload = int(nc.MaxPayload())
	b.up.Store(nc.IsConnected())
	b.mu.Unlock()
	go b.pump()
	return b, nil
}

// Open opens a lane, see [bus.Bus].
func (b *Bus) Open(lane bus.Lane, h bus.Handler) (bus.Conn, error) {
	if h.Message == nil {
		return nil, fmt.Errorf("%w: open lane %q", bus.ErrHandler, lane)
	}
	b.change.Lock()
	defer b.change.Unlock()
	if b.closed {
		return nil, fmt.Errorf("%w: open lane %q", bus.ErrClosed, lane)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.open[lane] != nil {
		return nil, fmt.Errorf("%w: %q", bus.ErrLaneOpen, lane)
	}
	c := &conn{bus: b, lane: lane, queue: delivery.Start(b.cfg.QueueBytes, b.up.Load(), h)}
	b.open[lane] = c
	return c, nil
}

// Close closes every open Conn, unsubscribes, and returns when no goroutine of the
// bus runs and no callback will be called. It does not close the connection. It must
// not be called from a callback. Later calls do nothing; other methods fail with
// bus.ErrClosed.
func (b *Bus) Close() error {
	b.change.Lock()
	if b.closed {
		b.change.Unlock()
		<-b.pumped
		return nil
	}
	b.closed = true
	var open []*conn
	b.eachConn(func(c *conn) { open = append(open, c) })
	for _, c := range open {
		c.leave()
	}
	err := b.inboxSub.Unsubscribe()
	close(b.quit)
	b.change.Unlock()
	<-b.pumped
	for _, c := range open {
		c.queue.Wait()
	}
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("natsbus: unsubscribe from inbox: %w", err)
	}
	return nil
}

// MaxPayload returns the largest message that can be published, in bytes: what the
// server takes now (while the link is down: what it took before), less the byte for
// the lane and, with Buckets, the destination.
func (b *Bus) MaxPayload() int {
	if b.up.Load() {
		return int(b.nc.MaxPayload()) - b.cfg.overhead()
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.maxPayload - b.cfg.overhead()
}

// Settings describes what must be the same on all buses of a cluster beside the
// prefix; empty with the defaults.
func (b *Bus) Settings() string {
	if b.cfg.Buckets == 0 {
		return ""
	}
	return fmt.Sprintf("buckets=%d", b.cfg.Buckets)
}

// eachConn calls f for every open Conn, in no order. f must not take mu.
func (b *Bus) eachConn(f func(*conn)) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, c := range b.open {
		f(c)
	}
}
