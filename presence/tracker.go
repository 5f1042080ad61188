package presence

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// maxQueued bounds the bytes that wait for the bus. Beyond it messages are
// dropped, which others notice and repair.
const maxQueued = 32 << 20

// Tracker is one running replica: the shell around the replica state machine
// that owns its goroutines and timers. All methods may be called concurrently.
type Tracker struct {
	// static after Start
	cfg     Config
	conn    bus.Conn
	wakeRun chan struct{} // capacity 1: there is something to log, or an earlier deadline
	wakeOut chan struct{} // capacity 1: there are ops
	done    chan struct{} // closed by Close: the goroutines finish their work and end
	running sync.WaitGroup

	// lists holds the lists that were read and are still current, by topic.
	// Written with mu held; read without, so that a reader of what has not
	// changed does not wait.
	lists sync.Map // of string to *List

	// adopting is held by Session.Adopt, the only one that holds the mu of two
	// sessions; it is taken before them.
	adopting sync.Mutex

	unsent atomic.Uint64 // messages that the bus refused

	dispatcher dispatcher

	// guarded by mu
	mu       sync.Mutex
	replica  *replica.Replica
	deadline time.Time // when the replica wants to be ticked
	armed    time.Time // when run will tick it, unless it is woken before
	ops      []replica.Op
	opBytes  int
	dropped  uint64
	notices  []replica.Notice
	watches  map[string][]*Watch        // none when the tracker is closed
	waiting  map[string][]chan struct{} // readers that wait for completeness
	sessions map[*Session]struct{}
	closed   bool
}

// Start starts a replica. It returns an error that names every fault of cfg,
// or the bus's. ctx bounds the start only; end the tracker with Close.
func Start(ctx context.Context, cfg Config) (*Tracker, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t := &Tracker{
		cfg:     cfg,
		wakeRun: make(chan struct{}, 1), wakeOut: make(chan struct{}, 1), done: make(chan struct{}),
		watches: map[string][]*Watch{}, waiting: map[string][]chan struct{}{}, sessions: map[*Session]struct{}{},
	}
	t.dispatcher.init(cfg.Logger, &t.running)
	// The bus may call back from here on; it waits for mu.
	t.mu.Lock()
	defer t.mu.Unlock()
	conn, err := cfg.Bus.Open(bus.LanePresence, bus.Handler{Message: t.receive, Event: t.busEvent})
	if err != nil {
		return nil, fmt.Errorf("presence: start %q: %w", cfg.Name, err)
	}
	t.conn = conn
	t.replica = replica.New(cfg.replica(), time.Now(), time.Now, rand.Uint64)
	t.collect()
	t.running.Go(t.run)
	t.running.Go(t.send)
	return t, nil
}

// Name is the replica's name.
func (t *Tracker) Name() string { return t.cfg.Name }

// do lets f work on the replica, and takes care of what comes of it.
func (t *Tracker) do(f func(r *replica.Replica, now time.Time)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(t.replica, time.Now())
	t.collect()
}

// collect queues what the replica wants done, and wakes the goroutines that do it. mu is held.
func (t *Tracker) collect() {
	t.gather()
	if len(t.ops) > 0 {
		signal(t.wakeOut)
	}
	if t.deadline.Before(t.armed) || len(t.notices) > 0 {
		signal(t.wakeRun)
	}
}

func (t *Tracker) gather() {
	ready := t.replica.Ready()
	t.deadline = ready.Deadline
	for _, topic := range ready.Changed {
		t.lists.Delete(topic)
	}
	for _, op := range ready.Ops {
		if op.Data != nil && t.opBytes > maxQueued {
			t.dropped++
			continue
		}
		t.opBytes += len(op.Data)
		t.ops = append(t.ops, op)
	}
	for _, told := range ready.Events {
		e := newEvent(told)
		for _, w := range t.watches[e.Topic] {
			t.dispatcher.push(w, e)
		}
		if e.Topic != everything && !e.Diff.Empty() {
			for _, w := range t.watches[everything] {
				t.dispatcher.push(w, e)
			}
		}
		if e.Complete {
			for _, wait := range t.waiting[e.Topic] {
				close(wait)
			}
			delete(t.waiting, e.Topic)
		}
	}
	t.notices = append(t.notices, ready.Notices...)
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// run lets the time pass, and logs.
func (t *Tracker) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		t.mu.Lock()
		t.replica.Tick(time.Now())
		t.gather()
		if len(t.ops) > 0 {
			signal(t.wakeOut)
		}
		notices, deadline := t.notices, t.deadline
		t.notices, t.armed = nil, deadline
		closed := t.closed
		t.mu.Unlock()

		for _, n := range notices {
			logNotice(t.cfg.Logger, n, t.cfg.Name)
		}
		if closed {
			return
		}
		timer.Reset(time.Until(deadline))
		select {
		case <-t.wakeRun:
		case <-timer.C:
		case <-t.done:
		}
	}
}

// send does what the replica wants done on the bus, in order.
func (t *Tracker) send() {
	for {
		t.mu.Lock()
		ops := t.ops
		t.ops, t.opBytes = nil, 0
		closed := t.closed
		t.mu.Unlock()
		for _, op := range ops {
			var err error
			switch op.Kind {
			case replica.OpPublish:
				err = t.conn.Publish(op.Dest, op.Data)
			case replica.OpRequest:
				err = t.conn.Request(op.Dest, op.Data)
			case replica.OpSubscribe:
				err = t.conn.Subscribe(op.Dest)
			case replica.OpUnsubscribe:
				err = t.conn.Unsubscribe(op.Dest)
			case replica.OpSubscribeAll:
				err = t.conn.SubscribeAll(op.Dest)
			case replica.OpUnsubscribeAll:
				err = t.conn.UnsubscribeAll(op.Dest)
			}
			if err != nil {
				t.refused(op, err)
			}
		}
		if closed && len(ops) == 0 {
			return
		}
		select {
		case <-t.wakeOut:
		case <-t.done:
		}
	}
}

// refused takes word that the bus did not take op. A message that could not be sent
// is a lost message: others notice it and ask. They ask in vain for what is too
// large for the bus, which happens when its limit came down after the start.
func (t *Tracker) refused(op replica.Op, err error) {
	if op.Data != nil {
		t.unsent.Add(1)
	}
	level := slog.LevelDebug
	if len(op.Data) > t.cfg.Bus.MaxPayload() {
		level = slog.LevelWarn
	}
	t.cfg.Logger.Log(context.Background(), level, "presence: bus refused", slog.String("dest", op.Dest), slog.Int("bytes", len(op.Data)), slog.Any("error", err))
}

func (t *Tracker) receive(data []byte) {
	if replica.IsEcho(data, t.cfg.Name) {
		return
	}
	msg := replica.Decode(data, t.cfg.WireVersion) // before mu: it is the larger part of the work
	t.do(func(r *replica.Replica, now time.Time) { r.Receive(now, msg) })
}

func (t *Tracker) busEvent(event bus.Event, dest string) {
	t.do(func(r *replica.Replica, now time.Time) {
		switch event {
		case bus.Lost:
			r.Lost(now)
		case bus.Down:
			r.BusDown(now)
		case bus.Up:
			r.BusUp(now)
		case bus.Unreachable:
			r.Unreachable(now, dest)
		}
	})
}

// Peek returns the list of topic as it is known now. It does not wait, and does not
// make this replica follow the topic: the list of a topic that is not used here is
// empty.
func (t *Tracker) Peek(topic string) *List {
	if list, ok := t.lists.Load(topic); ok {
		return list.(*List)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	list := readList(t.replica, topic)
	if t.replica.Follows(topic) {
		t.lists.Store(topic, list)
	}
	return list
}

// Get returns the presence under key, as Peek knows it.
func (t *Tracker) Get(topic, key string) (Presence, bool) { return t.Peek(topic).Get(key) }

// List returns the list of topic. It follows the topic (for Config.Linger after
// the last use) and waits until every replica that is up has told what it has;
// when ctx ends first, the list is what is known, with Complete false. Errors:
// ErrTopicInvalid, ErrTooManyTopics, ErrClosed.
func (t *Tracker) List(ctx context.Context, topic string) (*List, error) {
	release, err := t.follow(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("list %.255q: %w", topic, err)
	}
	defer release()
	return t.Peek(topic), nil
}

// Count returns how many are in topic; it waits as List does, and costs the
// same however many they are.
func (t *Tracker) Count(ctx context.Context, topic string) (Count, error) {
	release, err := t.follow(ctx, topic)
	if err != nil {
		return Count{}, fmt.Errorf("count %.255q: %w", topic, err)
	}
	defer release()
	t.mu.Lock()
	defer t.mu.Unlock()
	return Count(t.replica.Count(topic)), nil
}

// follow holds topic until release is called, and waits for completeness.
func (t *Tracker) follow(ctx context.Context, topic string) (release func(), err error) {
	if err := checkTopic(topic); err != nil {
		return nil, err
	}
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil, ErrClosed
	}
	err = t.replica.Acquire(time.Now(), topic, false)
	t.collect()
	var wait chan struct{}
	if err == nil && !t.replica.Complete(topic) {
		wait = make(chan struct{})
		t.waiting[topic] = append(t.waiting[topic], wait)
	}
	t.mu.Unlock()
	if err != nil {
		return nil, err
	}
	if wait != nil {
		select {
		case <-wait:
		case <-ctx.Done():
			t.mu.Lock()
			if i := slices.Index(t.waiting[topic], wait); i >= 0 {
				t.waiting[topic] = slices.Delete(t.waiting[topic], i, i+1)
			}
			if len(t.waiting[topic]) == 0 {
				delete(t.waiting, topic)
			}
			t.mu.Unlock()
		case <-t.done:
		}
	}
	return func() { t.do(func(r *replica.Replica, now time.Time) { r.Release(now, topic, false) }) }, nil
}

// Topics returns the topics in which a presence is known, sorted, and whether
// these are all there are. That can only be known while there is a [Tracker.WatchAll]
// (and for Config.Linger after it): otherwise they are those of the topics in use
// here. It costs a look at every topic.
func (t *Tracker) Topics() (topics []string, complete bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.replica.Topics()
}

// Status returns how this replica does. It costs a look at every view of every
// topic: call it for a scrape, not for a request.
func (t *Tracker) Status() Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := newStatus(t.cfg.Name, t.replica.Status())
	s.Queued, s.Dropped, s.Unsent, s.Undelivered = t.opBytes, t.dropped, t.unsent.Load(), t.dispatcher.undelivered()
	return s
}

// Close leaves: all sessions end, the other replicas are told and show our
// presences no more, watchers get no more events, and no goroutine of the
// tracker runs when it returns. When ctx ends while the bus takes no more
// messages, Close returns its error and the rest follows when the bus does.
// The bus stays open; flush it before the process exits.
func (t *Tracker) Close(ctx context.Context) error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		t.running.Wait()
		return nil
	}
	sessions := make([]*Session, 0, len(t.sessions))
	for s := range t.sessions {
		sessions = append(sessions, s)
	}
	t.mu.Unlock()
	for _, s := range sessions {
		s.Close()
	}

	t.mu.Lock()
	if !t.closed {
		t.replica.Leave(time.Now())
		t.collect()
		t.closed = true
		clear(t.watches)
		close(t.done)
	}
	t.mu.Unlock()

	ended := make(chan struct{})
	go func() {
		t.running.Wait()
		t.conn.Close()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("presence: close %q: %w", t.cfg.Name, ctx.Err())
	}
}

// routine are the changes of status that are as they should be. All others are logged
// as warnings.
var routine = map[string]bool{
	"up": true, "left": true, "restarted": true, "connected again": true, "fresh epoch": true, "mirror: has room again": true,
}

// logNotice writes a line for n: what happened to which replica as seen by self, with
// the attributes status, why (where there is more to say), replica, epoch and self.
func logNotice(logger *slog.Logger, n replica.Notice, self string) {
	level := slog.LevelWarn
	if routine[n.What] {
		level = slog.LevelInfo
	}
	status, why, more := strings.Cut(n.What, ": ")
	attrs := []slog.Attr{slog.String("status", status)}
	if more {
		attrs = append(attrs, slog.String("why", why))
	}
	attrs = append(attrs, slog.String("replica", n.Replica), slog.Uint64("epoch", n.Epoch), slog.String("self", self))
	logger.LogAttrs(context.Background(), level, "presence: replica "+status, attrs...)
}
