package natsbus

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nats-io/nats.go"

	"github.com/rollcall-go/rollcall/transport/internal/lane"
)

// Errors of the methods of [Bus], wrapped with what was asked for. Errors of
// package nats come wrapped as well.
var (
	// ErrLaneOpen: Listen on a lane that is open.
	ErrLaneOpen = errors.New("natsbus: lane is open already")
	// ErrLaneClosed: Subscribe on a lane that is not open.
	ErrLaneClosed = errors.New("natsbus: lane is not open")
	// ErrNilCallback: Listen without receive or event.
	ErrNilCallback = errors.New("natsbus: callback is nil")
	// ErrPayload: a message of more than MaxPayload bytes.
	ErrPayload = errors.New("natsbus: message too large")
	// ErrDown: Publish or Request while disconnected. Nothing was kept.
	ErrDown = errors.New("natsbus: disconnected")
	// ErrClosed: the bus was closed.
	ErrClosed = errors.New("natsbus: closed")
)

// Bus is a bus over one NATS connection. Make it with [New]. Its methods may be
// called concurrently.
type Bus struct {
	// static after New
	nc       *nats.Conn
	cfg      config
	inbox    string // with the "." at its end
	inboxSub *nats.Subscription
	messages chan *nats.Msg // sent to by nats.go, never closed
	// bucketPrefix is what the subjects of buckets begin with. It has their
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
	lanes    map[byte]*openLane
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

// A subject is one destination that some lane is subscribed to.
type subject struct {
	name   string             // its key
	sub    *nats.Subscription // guarded by Bus.change; nil in a bucket
	bucket *bucket            // static
	lanes                     // guarded by Bus.mu, not empty
}

// A class is a class of destinations that some lane is subscribed to as a whole.
type class struct {
	name, subject string             // static
	sub           *nats.Subscription // guarded by Bus.change
	lanes                            // guarded by Bus.mu, not empty
}

// lanes are those that are subscribed to one thing: few, so a slice.
type lanes []*openLane

func (list lanes) lane(name byte) *openLane {
	for _, l := range list {
		if l.name == name {
			return l
		}
	}
	return nil
}

// without is the list without one lane.
func (list lanes) without(name byte) lanes {
	rest := make(lanes, 0, len(list))
	for _, l := range list {
		if l.name != name {
			rest = append(rest, l)
		}
	}
	return rest
}

// An openLane is one open lane.
type openLane struct {
	name   byte        // static
	queue  *lane.Queue // has its own lock
	warned uint64      // owned by the pump: one more than the "lost" given at the last warning
}

// New makes a bus of a connection, which should have been dialled with
// [Options] and stays the caller's. The error names everything that is wrong
// with the connection (ErrConn) and the options (ErrOption).
func New(nc *nats.Conn, opts ...Option) (*Bus, error) {
	cfg, err := newConfig(opts)
	if err := errors.Join(checkConn(nc, minPayload+cfg.overhead()), err); err != nil {
		return nil, err
	}
	b := &Bus{
		nc:       nc,
		cfg:      cfg,
		inbox:    nc.NewInbox() + ".",
		messages: make(chan *nats.Msg, channelMessages),
		quit:     make(chan struct{}),
		pumped:   make(chan struct{}),
		lanes:    make(map[byte]*openLane),
		subjects: make(map[string]*subject),
		buckets:  make(map[string]*bucket),

		bucketPrefix: fmt.Sprintf("%s.b.%d.", cfg.prefix, cfg.buckets),
	}
	b.inboxSub, err = nc.ChanSubscribe(b.inbox+"*", b.messages)
	if err != nil {
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

// Close closes all lanes, unsubscribes, and returns when no goroutine of the
// bus runs and no call of a callback will come. It does not close the
// connection. It must not be called from a callback. Later calls do nothing;
// other methods return ErrClosed then.
func (b *Bus) Close() error {
	b.change.Lock()
	if b.closed {
		b.change.Unlock()
		<-b.pumped
		return nil
	}
	b.closed = true
	var lanes []*openLane
	b.eachLane(func(l *openLane) { lanes = append(lanes, l) })
	for _, l := range lanes {
		b.closeLane(l)
	}
	err := b.inboxSub.Unsubscribe()
	close(b.quit)
	b.change.Unlock()
	<-b.pumped
	for _, l := range lanes {
		l.queue.Wait()
	}
	if err != nil && !errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("natsbus: unsubscribe from inbox: %w", err)
	}
	return nil
}

// Listen opens a lane: messages are given to receive and events to event, from
// one goroutine, one call at a time, in the order of arrival. data belongs to
// the callee. A lane may be open once at a time (ErrLaneOpen).
//
// stop closes the lane, drops its subscriptions and what waits in its queue,
// and returns when no call is running and none will come. It may be called
// more than once, but not from receive or event, which it would wait for.
func (b *Bus) Listen(name byte, receive func(data []byte), event func(event, dest string)) (stop func(), err error) {
	if receive == nil || event == nil {
		return nil, fmt.Errorf("%w: listen on lane %q", ErrNilCallback, name)
	}
	b.change.Lock()
	defer b.change.Unlock()
	if b.closed {
		return nil, fmt.Errorf("%w: listen on lane %q", ErrClosed, name)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.lanes[name] != nil {
		return nil, fmt.Errorf("%w: %q", ErrLaneOpen, name)
	}
	l := &openLane{name: name, queue: lane.Start(b.cfg.queueBytes, b.up.Load(), receive, event)}
	b.lanes[name] = l
	return func() {
		b.change.Lock()
		b.closeLane(l)
		b.change.Unlock()
		l.queue.Wait()
	}, nil
}

// closeLane takes a lane from the bus and ends its goroutine, without waiting.
// It does nothing the second time. The caller holds change.
func (b *Bus) closeLane(l *openLane) {
	b.mu.Lock()
	open := b.lanes[l.name] == l
	var unused []*subject
	if open {
		delete(b.lanes, l.name)
		for _, s := range b.subjects {
			if s.lane(l.name) != nil && b.leave(s, l.name) {
				unused = append(unused, s)
			}
		}
	}
	classes := slices.Clone(b.classes)
	b.mu.Unlock()
	if !open {
		return
	}
	for _, c := range classes {
		b.leaveClass(c, l.name)
	}
	for _, s := range unused {
		b.unsubscribe(s)
	}
	l.queue.Close()
	_, dropped, told := l.queue.Counts()
	b.dropped.Add(dropped)
	b.lost.Add(told)
}

// leave takes a lane from a subject, and the subject from the bus when that was
// the last, and tells whether it was. The caller holds change and mu.
func (b *Bus) leave(s *subject, name byte) (last bool) {
	if s.lanes = s.without(name); len(s.lanes) > 0 {
		return false
	}
	delete(b.subjects, s.name)
	return true
}

// unsubscribe ends the NATS subscription of a subject that no lane has, or of its
// bucket when it was the last in it. The caller holds change.
func (b *Bus) unsubscribe(s *subject) {
	if s.bucket == nil {
		b.end(s.sub)
		return
	}
	if s.bucket.users--; s.bucket.users == 0 {
		b.mu.Lock()
		delete(b.buckets, s.bucket.name)
		b.mu.Unlock()
		b.end(s.bucket.sub)
	}
}

func (b *Bus) end(sub *nats.Subscription) {
	// It fails on a closed or draining connection only, which has no
	// subscriptions to end.
	if err := sub.Unsubscribe(); err != nil {
		b.cfg.logger.Debug("natsbus: unsubscribe", slog.String("subject", sub.Subject), slog.Any("error", err))
	}
}

// Subscribe makes the lane receive what is published to dest on the same lane,
// by any bus with the same prefix. It does nothing where the lane is
// subscribed already. Errors: ErrDest, ErrLaneClosed, ErrClosed, and those of
// a closed connection. That the server refuses it is only logged.
func (b *Bus) Subscribe(name byte, dest string) error {
	if err := checkDest(dest); err != nil {
		return err
	}
	b.change.Lock()
	defer b.change.Unlock()
	l, err := b.subscriber(name, dest)
	if err != nil {
		return err
	}
	key, subj := b.key(dest)
	if s := b.subjects[key]; s != nil {
		if s.lane(name) == nil {
			b.mu.Lock()
			s.lanes = append(s.lanes, l)
			b.mu.Unlock()
		}
		return nil
	}
	// Registered before it is subscribed to, so that the pump knows the subject
	// of the first message.
	s := &subject{name: key, lanes: lanes{l}}
	b.mu.Lock()
	b.subjects[key] = s
	b.mu.Unlock()
	if key == subj {
		s.sub, err = b.nc.ChanSubscribe(subj, b.messages)
	} else {
		s.bucket, err = b.useBucket(subj)
	}
	if err != nil {
		b.mu.Lock()
		delete(b.subjects, key)
		b.mu.Unlock()
		return fmt.Errorf("natsbus: subscribe to %q: %w", dest, err)
	}
	return nil
}

// subscriber is the lane that is to be subscribed to something. The caller holds
// change.
func (b *Bus) subscriber(name byte, to string) (*openLane, error) {
	if b.closed {
		return nil, fmt.Errorf("%w: subscribe to %q", ErrClosed, to)
	}
	l := b.lanes[name]
	if l == nil {
		return nil, fmt.Errorf("%w: subscribe to %q on lane %q", ErrLaneClosed, to, name)
	}
	return l, nil
}

// useBucket returns the bucket on a NATS subject, for one more destination. The
// caller holds change.
func (b *Bus) useBucket(subj string) (*bucket, error) {
	k := b.buckets[subj]
	if k == nil {
		sub, err := b.nc.ChanSubscribe(subj, b.messages)
		if err != nil {
			return nil, err
		}
		k = &bucket{name: subj, sub: sub}
		b.mu.Lock()
		b.buckets[subj] = k
		b.mu.Unlock()
	}
	k.users++
	return k, nil
}

// Unsubscribe ends a subscription; what is in the queue already is still
// given. It does nothing where there is none, or the lane is not open.
// Error: ErrDest.
func (b *Bus) Unsubscribe(name byte, dest string) error {
	if err := checkDest(dest); err != nil {
		return err
	}
	b.change.Lock()
	defer b.change.Unlock()
	key, _ := b.key(dest)
	s := b.subjects[key]
	if s == nil || s.lane(name) == nil {
		return nil
	}
	b.mu.Lock()
	last := b.leave(s, name)
	b.mu.Unlock()
	if last {
		b.unsubscribe(s)
	}
	return nil
}

func (b *Bus) appendSubject(buf []byte, dest string) []byte {
	buf = append(buf, b.cfg.prefix...)
	buf = append(buf, '.')
	return appendDest(buf, dest)
}

// eachLane calls f for every open lane, in no order. f must not take mu.
func (b *Bus) eachLane(f func(*openLane)) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, l := range b.lanes {
		f(l)
	}
}
