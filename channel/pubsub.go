package channel

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"
	"unicode/utf8"
)

// MaxTopic is the most bytes a topic may have.
const MaxTopic = 255

func checkTopic(topic string) error {
	switch {
	case topic == "":
		return fmt.Errorf("%w: the topic is empty", ErrTooLong)
	case len(topic) > MaxTopic:
		return fmt.Errorf("%w: topic of %d bytes, at most %d", ErrTooLong, len(topic), MaxTopic)
	case !utf8.ValidString(topic):
		return fmt.Errorf("%w: topic %q is not UTF-8", ErrTooLong, topic)
	}
	return nil
}

// A Broadcast is what a subscriber gets.
type Broadcast struct {
	Topic   string
	Event   string
	Payload Payload
}

// dispatch is a broadcast on its way to the subscribers of this replica.
type dispatch struct {
	Broadcast
	// from is the subscriber that does not get it, nil for none.
	from subscriber
	// patient says that its frames are.
	patient bool
	// frames has the frame of each dialect of ours, own those of the
	// application's serializers.
	frames [numDialects]dispatchFrame
	ownMu  sync.Mutex
	own    map[Serializer]*dispatchFrame
}

// dispatchFrame is a frame that is made when it is first needed, and then shared
// by all connections.
type dispatchFrame struct {
	once  sync.Once
	frame *Frame
}

func (d *dispatch) slot(dialect *dialect) *dispatchFrame {
	if dialect.index >= 0 {
		return &d.frames[dialect.index]
	}
	d.ownMu.Lock()
	defer d.ownMu.Unlock()
	slot := d.own[dialect.key]
	if slot == nil {
		if d.own == nil {
			d.own = map[Serializer]*dispatchFrame{}
		}
		slot = &dispatchFrame{}
		d.own[dialect.key] = slot
	}
	return slot
}

// frame is the broadcast as a client of the dialect gets it, nil if it cannot
// be said in it, which is logged once.
func (d *dispatch) frame(dialect *dialect, logger *slog.Logger) *Frame {
	slot := d.slot(dialect)
	slot.once.Do(func() {
		var err error
		if slot.frame, err = dialect.Encode(Message{Kind: KindBroadcast, Topic: d.Topic, Event: d.Event, Payload: d.Payload}); err != nil {
			logger.Warn("channel: broadcast not sent to clients of one version of the protocol",
				"version", dialect.String(), "topic", d.Topic, "event", d.Event, "error", err)
			return
		}
		slot.frame.Patient = d.patient
	})
	return slot.frame
}

// A subscriber is given the broadcasts of a topic. deliver must not block; it is
// called by the goroutine of the broadcaster, or of the bus.
type subscriber interface {
	deliver(d *dispatch)
}

// subscription is one subscriber's place in one topic.
type subscription struct {
	topic string
	to    subscriber
	index int // in topicSubs.all, -1 when ended; guarded by the shard's mu
}

const pubsubShards = 64

// pubsub knows who on this replica is subscribed to what, and keeps the bus
// subscribed to the same topics. No lock is held while delivering.
type pubsub struct {
	// static after newPubsub
	bus     Bus // nil: this process alone
	name    string
	self    instance
	logger  *slog.Logger
	garbage *atomic.Uint64
	stop    func() // ends the bus's lane
	seed    maphash.Seed

	shards [pubsubShards]struct {
		mu     sync.Mutex
		topics map[string]*topicSubs
	}
}

type topicSubs struct {
	all []*subscription
	// snapshot is what a broadcast walks; nil when all has changed since.
	snapshot []subscriber
}

func newPubsub(bus Bus, name string, self instance, logger *slog.Logger, garbage *atomic.Uint64) (*pubsub, error) {
	ps := &pubsub{bus: bus, name: name, self: self, logger: logger, garbage: garbage, seed: maphash.MakeSeed(), stop: func() {}}
	for i := range ps.shards {
		ps.shards[i].topics = map[string]*topicSubs{}
	}
	if bus == nil {
		return ps, nil
	}
	// EventLost and the like change nothing here: broadcasts come at most once.
	stop, err := bus.Listen(Lane, ps.receive, func(event, dest string) {})
	if err != nil {
		return nil, fmt.Errorf("channel: listen on the bus: %w", err)
	}
	ps.stop = stop
	if name != "" {
		if err := bus.Subscribe(Lane, replicaDest(name)); err != nil {
			stop()
			return nil, fmt.Errorf("channel: subscribe to broadcasts for replica %q: %w", name, err)
		}
	}
	return ps, nil
}

func (ps *pubsub) close() { ps.stop() }

// subscribe adds a subscriber to a topic. The bus is asked under the shard's
// lock, so that its subscriptions follow ours in order.
func (ps *pubsub) subscribe(topic string, to subscriber) (*subscription, error) {
	if err := checkTopic(topic); err != nil {
		return nil, err
	}
	sh := &ps.shards[maphash.String(ps.seed, topic)%pubsubShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	t := sh.topics[topic]
	if t == nil {
		if ps.bus != nil {
			if err := ps.bus.Subscribe(Lane, topicDest(topic)); err != nil {
				return nil, fmt.Errorf("channel: subscribe to %q on the bus: %w", topic, err)
			}
		}
		t = &topicSubs{}
		sh.topics[topic] = t
	}
	sub := &subscription{topic: topic, to: to, index: len(t.all)}
	t.all = append(t.all, sub)
	t.snapshot = nil
	return sub, nil
}

// unsubscribe ends a subscription; ending it again does nothing. A delivery
// that has begun may still come.
func (ps *pubsub) unsubscribe(sub *subscription) {
	sh := &ps.shards[maphash.String(ps.seed, sub.topic)%pubsubShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	if sub.index < 0 {
		return
	}
	t := sh.topics[sub.topic]
	last := len(t.all) - 1
	t.all[sub.index] = t.all[last]
	t.all[sub.index].index = sub.index
	t.all[last] = nil
	t.all = t.all[:last]
	t.snapshot = nil
	sub.index = -1
	if last > 0 {
		return
	}
	delete(sh.topics, sub.topic)
	if ps.bus != nil {
		if err := ps.bus.Unsubscribe(Lane, topicDest(sub.topic)); err != nil {
			ps.logger.Warn("channel: unsubscribe on the bus", "topic", sub.topic, "error", err)
		}
	}
}

// local delivers on this replica.
func (ps *pubsub) local(d *dispatch) {
	sh := &ps.shards[maphash.String(ps.seed, d.Topic)%pubsubShards]
	sh.mu.Lock()
	t := sh.topics[d.Topic]
	if t == nil {
		sh.mu.Unlock()
		return
	}
	if t.snapshot == nil {
		t.snapshot = make([]subscriber, len(t.all))
		for i, sub := range t.all {
			t.snapshot[i] = sub.to
		}
	}
	subs := t.snapshot
	sh.mu.Unlock()
	for _, to := range subs {
		if to != d.from {
			to.deliver(d)
		}
	}
}

// remote publishes to the replicas that listen to dest.
func (ps *pubsub) remote(dest string, b Broadcast) error {
	if ps.bus == nil {
		return nil
	}
	data := encodeWire(ps.self, b)
	if limit := ps.bus.MaxPayload(); len(data) > limit {
		return fmt.Errorf("%w: %q on %q: %d bytes, at most %d", ErrTooLarge, b.Event, b.Topic, len(data), limit)
	}
	if err := ps.bus.Publish(Lane, dest, data); err != nil {
		return fmt.Errorf("channel: broadcast %q on %q to the other replicas: %w", b.Event, b.Topic, err)
	}
	return nil
}

// receive is called by the bus.
func (ps *pubsub) receive(data []byte) {
	from, b, err := decodeWire(data)
	if err != nil {
		ps.garbage.Add(1)
		ps.logger.Warn("channel: message on the bus ignored", "error", err, "bytes", len(data))
		return
	}
	if from == ps.self {
		return
	}
	ps.local(&dispatch{Broadcast: b})
}

// newDispatch checks what is to be broadcast, before anybody gets it.
func newDispatch(topic, event string, payload any, from subscriber) (*dispatch, error) {
	fault := func(err error) error { return fmt.Errorf("broadcast %q on %q: %w", event, topic, err) }
	p, err := objectPayload(payload)
	if err := errors.Join(checkTopic(topic), err); err != nil {
		return nil, fault(err)
	}
	if p.binary && len(event) > maxBinaryName {
		return nil, fault(fmt.Errorf("%w: event of %d bytes in a binary message", ErrTooLong, len(event)))
	}
	return &dispatch{Broadcast: Broadcast{Topic: topic, Event: event, Payload: p}, from: from}, nil
}

// broadcast delivers on this replica, then to the others.
func (ps *pubsub) broadcast(topic, event string, payload any, from subscriber) error {
	d, err := newDispatch(topic, event, payload, from)
	if err != nil {
		return err
	}
	ps.local(d)
	return ps.remote(topicDest(topic), d.Broadcast)
}

// direct delivers on one replica only.
func (ps *pubsub) direct(replica, topic, event string, payload any) error {
	d, err := newDispatch(topic, event, payload, nil)
	switch {
	case err != nil:
		return err
	case replica == ps.name:
		ps.local(d)
		return nil
	case ps.bus == nil:
		return fmt.Errorf("%w: %q", ErrNoReplica, replica)
	}
	return ps.remote(replicaDest(replica), d.Broadcast)
}
