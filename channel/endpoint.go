package channel

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	mathrand "math/rand/v2"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-go/rollcall/channel/internal/actor"
	"github.com/rollcall-go/rollcall/channel/internal/admit"
	"github.com/rollcall-go/rollcall/channel/internal/pubsub"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
)

// An Endpoint is one replica's channel layer: its pub/sub, its presence and all
// its connections. All methods may be called concurrently.
type Endpoint struct {
	// static after New
	config    Config
	limits    wire.Limits
	logger    *slog.Logger
	telemetry telemetry
	pubsub    *pubsub.PubSub
	rooms     *rooms // nil without presence
	admission *admit.Controller
	graces    *graces
	fetches   chan struct{} // one element for each Fetch that runs
	counters  counters

	// running counts what Close waits for: joined channels, and goroutines.
	running actor.Group

	mu       sync.Mutex
	draining bool
	closed   bool
	conns    map[*Conn]struct{}
	subs     map[*Subscription]struct{}
}

// New makes an endpoint. The error names every fault of the config.
func New(cfg Config) (*Endpoint, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	e := &Endpoint{
		limits:  wire.Limits{JoinRate: cfg.JoinRate, JoinBurst: cfg.JoinBurst},
		config:  cfg,
		logger:  cfg.Logger,
		fetches: make(chan struct{}, cfg.MaxFetches),
		conns:   map[*Conn]struct{}{},
		subs:    map[*Subscription]struct{}{},
	}
	e.telemetry.log, e.telemetry.now = newEventLog(cfg.Logger, cfg.LogParams), time.Now
	e.telemetry.panicked = func(where string, v any) { e.logPanic(where, v) }
	e.telemetry.add(cfg.Telemetry...)
	if e.pubsub, err = pubsub.New(pubsub.Config{Name: cfg.Name, Bus: cfg.Bus, Logger: cfg.Logger, Garbage: &e.counters.garbage}); err != nil {
		return nil, err
	}
	e.graces = newGraces(e)
	e.admission = admit.New(admit.Limits{
		Running: cfg.MaxJoinsRunning, Slots: runtime.GOMAXPROCS(0), Waiting: cfg.MaxJoinsWaiting, Wait: cfg.JoinWait,
	}, e.running.After)
	if cfg.Presence != nil {
		e.rooms = newRooms(e, trackerSource{cfg.Presence})
	}
	return e, nil
}

// Name is the replica's name, empty if it has none.
func (e *Endpoint) Name() string { return e.config.Name }

// Presence is the tracker of the config, or nil.
func (e *Endpoint) Presence() *presence.Tracker { return e.config.Presence }

// Broadcast gives an event to all subscribers of a topic on all replicas:
// channels that joined it, and plain subscribers. Those of this replica have it
// when Broadcast returns (in their outbox or mailbox); an ErrPayload or
// ErrTooLong means that nobody got it, any other error is about the other
// replicas. Broadcasts of one goroutine arrive in order.
//
// The payload must marshal to a JSON object, or be [Binary]; nil is {}.
func (e *Endpoint) Broadcast(topic, event string, payload any) error {
	return e.pubsub.Broadcast(topic, event, payload, nil)
}

// BroadcastFrom is Broadcast to all but one subscriber of this replica.
func (e *Endpoint) BroadcastFrom(from *Subscription, topic, event string, payload any) error {
	return e.pubsub.Broadcast(topic, event, payload, from.subscriber())
}

// LocalBroadcast is Broadcast to the subscribers of this replica only.
func (e *Endpoint) LocalBroadcast(topic, event string, payload any) error {
	return e.pubsub.Local(topic, event, payload)
}

// DirectBroadcast is Broadcast to the subscribers of one replica only, which is
// named; it may be this one. Nothing tells whether that replica is there.
func (e *Endpoint) DirectBroadcast(replica, topic, event string, payload any) error {
	return e.pubsub.Direct(replica, topic, event, payload)
}

// Subscribe calls handle for each broadcast on a topic, one call at a time and
// in order, on a goroutine that exists only while there is something to handle.
// Subscribing twice delivers twice. A handler that does not keep up loses
// broadcasts; see [Config.MailboxSize] and [Subscription.Dropped]. The
// subscription ends with the endpoint.
func (e *Endpoint) Subscribe(topic string, handle func(Broadcast)) (*Subscription, error) {
	s := &Subscription{endpoint: e, topic: topic, handle: handle}
	s.box.Init(&e.running, actor.Limits{Messages: e.config.MailboxSize}, s.call)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fmt.Errorf("subscribe to %q: %w", topic, ErrClosed)
	}
	var err error
	if s.place, err = e.pubsub.Subscribe(topic, delivery{s}); err != nil {
		return nil, err
	}
	e.subs[s] = struct{}{}
	return s, nil
}

func (e *Endpoint) forget(s *Subscription) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.subs, s)
}

// register adds a connection that begins; it says no while draining.
func (e *Endpoint) register(c *Conn) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.draining {
		return false
	}
	e.conns[c] = struct{}{}
	e.counters.connections.Add(1)
	return true
}

func (e *Endpoint) unregister(c *Conn) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.conns[c]; ok {
		delete(e.conns, c)
		e.counters.connections.Add(-1)
	}
}

func (e *Endpoint) isDraining() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.draining
}

// Drain refuses new connections, closes those there are with 1012 in batches
// (see [Config.DrainBatch]), so that their clients come back elsewhere, and
// waits until all their channels have terminated. Presences in their grace
// ([Route].LeaveGrace) leave at once, and none gets any. Clients are sent no
// phx_close: it would keep them from rejoining. When ctx ends, the connections
// that are left are closed at once and ctx's error is returned.
//
// Broadcasts and plain subscriptions go on. Draining again waits for the same.
func (e *Endpoint) Drain(ctx context.Context) error {
	e.mu.Lock()
	e.draining = true
	conns := make([]*Conn, 0, len(e.conns))
	for c := range e.conns {
		conns = append(conns, c)
	}
	e.mu.Unlock()
	e.graces.close()

	rounds, began := (len(conns)+e.config.DrainBatch-1)/e.config.DrainBatch, time.Now()
	for i, c := range conns {
		if i%e.config.DrainBatch == 0 {
			if i > 0 && ctx.Err() == nil {
				wait := time.NewTimer(e.config.DrainInterval/2 + mathrand.N(e.config.DrainInterval))
				select {
				case <-wait.C:
				case <-ctx.Done():
					wait.Stop()
				}
			}
			e.telemetry.drain(DrainEvent{
				Endpoint: e, Count: min(e.config.DrainBatch, len(conns)-i), Total: len(conns),
				Index: i/e.config.DrainBatch + 1, Rounds: rounds, Interval: e.config.DrainInterval,
				Elapsed: time.Since(began),
			})
		}
		c.shutdown(wire.CloseRestart, "restart", wire.ReasonDraining)
	}

	for _, c := range conns {
		select {
		case <-c.ended():
		case <-ctx.Done():
			return fmt.Errorf("channel: drain: %w", ctx.Err())
		}
	}
	return nil
}

// Close drains, then ends the plain subscriptions and leaves the bus. After it
// returned nil, no goroutine of the endpoint runs. When ctx ends first, Close
// returns ctx's error; what still runs then are callbacks of the application
// that have not returned.
func (e *Endpoint) Close(ctx context.Context) error {
	err := e.Drain(ctx)

	e.mu.Lock()
	first := !e.closed
	e.closed = true
	subs := e.subs
	e.subs = map[*Subscription]struct{}{}
	e.mu.Unlock()
	for s := range subs {
		s.end()
	}
	if first {
		e.pubsub.Close()
	}
	if err != nil {
		return err
	}

	done := make(chan struct{})
	go func() {
		e.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("channel: close: %w", ctx.Err())
	}
}

// hold makes Close wait until the caller calls running.Done; not after Close.
func (e *Endpoint) hold() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.running.Add(1)
	}
	return !e.closed
}

// logPanic logs a panic of the application's code.
func (e *Endpoint) logPanic(where string, v any, attrs ...any) {
	e.counters.panics.Add(1)
	e.logger.Error("channel: panic in "+where, append(attrs, slog.Any("panic", v), slog.String("stack", string(debug.Stack())))...)
}

// Reject reports, to the log and to telemetry, a client that a transport has refused
// before there was a connection. It refuses nothing by itself.
func (e *Endpoint) Reject(r wire.Rejection) { e.telemetry.reject(RejectEvent{Rejection: r}) }

// Stats are counts of an endpoint, for metrics.
type Stats struct {
	Connections int64 // now
	Channels    int64 // joined now

	JoinsRunning int64  // now; see Config.MaxJoinsRunning
	JoinsWaiting int64  // for their turn, now
	JoinsWaited  uint64 // had to wait, whatever became of them
	JoinsRefused uint64 // because too many waited, or for having waited too long

	// Busy is how many have something to do now: channels and plain subscribers
	// with mail, topics with news of who is present, calls of Fetch. Begun is how
	// often one began. With Busy 0, and Begun as it was, nothing has happened.
	Busy  int64
	Begun uint64

	Panics           uint64 // in callbacks
	MailboxOverflows uint64 // channels that ended because they did not keep up
	Dropped          uint64 // broadcasts that plain subscribers lost
	Garbage          uint64 // messages on the bus that could not be read
	Graces           int64  // lost channels that have presences in their grace, now
	FetchFailures    uint64 // calls of Route.Fetch that clients had to do without
	Floods           uint64 // connections that were closed because of Config.MessageRate
}

type counters struct {
	connections, channels               atomic.Int64
	panics, overflows, dropped, garbage atomic.Uint64
	fetchFailures, floods               atomic.Uint64
}

// Stats returns the counts.
func (e *Endpoint) Stats() Stats {
	begun, busy := e.running.Counts()
	joins := e.admission.Counts()
	return Stats{
		Busy:             busy,
		Begun:            begun,
		Connections:      e.counters.connections.Load(),
		Channels:         e.counters.channels.Load(),
		JoinsRunning:     int64(joins.Running),
		JoinsWaiting:     int64(joins.Waiting),
		JoinsWaited:      joins.Waited,
		JoinsRefused:     joins.Refused,
		Panics:           e.counters.panics.Load(),
		MailboxOverflows: e.counters.overflows.Load(),
		Dropped:          e.counters.dropped.Load(),
		Garbage:          e.counters.garbage.Load(),
		Graces:           e.graces.count.Load(),
		FetchFailures:    e.counters.fetchFailures.Load(),
		Floods:           e.counters.floods.Load(),
	}
}

// A ConnectionInfo is what can be told of a connection while it lives.
type ConnectionInfo struct {
	Conn      *Conn
	ID        string // see Conn.SetID
	Handler   string // its name
	Transport string
	Vsn       string
	Remote    string // the client's address
	Channels  int    // as many as Conn.Channels lists
}

// Connections lists the connections there are now, by id, transport, address,
// and then in no order. It costs time and memory for every connection: it is for
// operators, not for deciding.
func (e *Endpoint) Connections() []ConnectionInfo {
	e.mu.Lock()
	conns := make([]*Conn, 0, len(e.conns))
	for c := range e.conns {
		conns = append(conns, c)
	}
	e.mu.Unlock()
	list := make([]ConnectionInfo, len(conns))
	for i, c := range conns {
		list[i] = c.describe()
	}
	slices.SortFunc(list, func(a, b ConnectionInfo) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Transport, b.Transport), cmp.Compare(a.Remote, b.Remote))
	})
	return list
}

func (c *Conn) describe() ConnectionInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	return ConnectionInfo{
		Conn: c, ID: c.id, Handler: c.handler.Name, Transport: c.transport, Vsn: c.vsn,
		Remote: addrString(c.remote), Channels: len(c.members),
	}
}

// A ChannelInfo is what can be told of a channel while it lives.
type ChannelInfo struct {
	// Socket is the channel's. It may be used like any other.
	Socket  *Socket
	Topic   string
	JoinRef string
	// Status is "joining" before Join has answered, "joined", or "leaving" when the
	// client is out but Terminate has not returned, or a callback runs on although its
	// topic was given to another channel.
	Status string
}

// Channels lists the channels of the connection, by topic and then in the order
// of their joins: of a topic that is joined again before its old channel is
// gone there are two.
func (c *Conn) Channels() []ChannelInfo {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]ChannelInfo, len(c.members))
	for i, m := range c.members { // in the order of their joins
		list[i] = ChannelInfo{Socket: &m.socket, Topic: m.topic, JoinRef: m.ask.JoinRef.String(), Status: m.status()}
	}
	slices.SortStableFunc(list, func(a, b ChannelInfo) int { return cmp.Compare(a.Topic, b.Topic) })
	return list
}

func (m *member) status() string {
	switch m.state.Load() {
	case stateJoining:
		return "joining"
	case stateJoined:
		return "joined"
	}
	return "leaving"
}
