// Package pubsub knows which subscribers of this replica a topic has, keeps the bus
// subscribed to the same topics, and carries broadcasts between replicas.
package pubsub

import (
	"crypto/rand"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/channel/internal/fastlane"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// Errors of broadcasts.
var (
	// ErrTooLarge: a broadcast does not fit into one message of the bus. It was
	// delivered on this replica.
	ErrTooLarge = errors.New("channel: broadcast larger than the bus carries")
	// ErrNoReplica: Direct names another replica, but there is no bus.
	ErrNoReplica = errors.New("channel: no bus to reach another replica")
)

// A Subscriber is given the broadcasts of a topic. Deliver must not block; it is
// called by the goroutine of the broadcaster, or of the bus. Subscribers are compared.
type Subscriber interface {
	Deliver(b *fastlane.Broadcast)
}

// A Subscription is one subscriber's place in one topic.
type Subscription struct {
	topic string
	to    Subscriber
	index int // in subscribers.all, -1 when ended; guarded by the shard's mu
}

// A Config is what a PubSub is made of.
type Config struct {
	Name    string  // of this replica, for Direct
	Bus     bus.Bus // nil: there are no other replicas
	Logger  *slog.Logger
	Garbage *atomic.Uint64 // counts messages on the bus that cannot be read
}

// A PubSub has the subscriptions of this replica. All methods may be called
// concurrently. No lock is held while delivering.
type PubSub struct {
	// static after New
	config Config
	conn   bus.Conn // nil without a bus
	self   instance
	seed   maphash.Seed

	shards [numShards]shard
}

const numShards = 64

type shard struct {
	mu     sync.Mutex
	topics map[string]*subscribers
}

// subscribers are those of one topic.
type subscribers struct {
	all []*Subscription
	// snapshot is what a broadcast walks; nil when all has changed since.
	snapshot []Subscriber
}

// New returns a PubSub that receives from the bus until Close.
func New(cfg Config) (*PubSub, error) {
	ps := &PubSub{config: cfg, seed: maphash.MakeSeed()}
	_, _ = rand.Read(ps.self[:]) // never fails
	for i := range ps.shards {
		ps.shards[i].topics = map[string]*subscribers{}
	}
	if cfg.Bus == nil {
		return ps, nil
	}
	// Events change nothing here: broadcasts come at most once.
	conn, err := cfg.Bus.Open(bus.LaneChannel, bus.Handler{Message: ps.receive})
	if err != nil {
		return nil, fmt.Errorf("channel: open the bus: %w", err)
	}
	ps.conn = conn
	if cfg.Name != "" {
		if err := conn.Subscribe(replicaDest(cfg.Name)); err != nil {
			conn.Close()
			return nil, fmt.Errorf("channel: subscribe to broadcasts for replica %q: %w", cfg.Name, err)
		}
	}
	return ps, nil
}

// replicaDest returns the destination of what is for one replica alone.
func replicaDest(replica string) string { return "c:" + replica }

// Close leaves the bus. Local broadcasts are still delivered.
func (ps *PubSub) Close() {
	if ps.conn != nil {
		ps.conn.Close()
	}
}

func (ps *PubSub) shard(topic string) *shard {
	return &ps.shards[maphash.String(ps.seed, topic)%numShards]
}

// Subscribe adds a subscriber to a topic. The bus is asked under the shard's lock, so
// that its subscriptions follow ours in order.
func (ps *PubSub) Subscribe(topic string, to Subscriber) (*Subscription, error) {
	if err := wire.CheckTopic(topic); err != nil {
		return nil, err
	}
	sh := ps.shard(topic)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	t := sh.topics[topic]
	if t == nil {
		if ps.conn != nil {
			if err := ps.conn.Subscribe(bus.TopicDest(topic)); err != nil {
				return nil, fmt.Errorf("channel: subscribe to %q on the bus: %w", topic, err)
			}
		}
		t = &subscribers{}
		sh.topics[topic] = t
	}
	sub := &Subscription{topic: topic, to: to, index: len(t.all)}
	t.all = append(t.all, sub)
	t.snapshot = nil
	return sub, nil
}

// Unsubscribe ends a subscription; ending it again does nothing. A delivery that has
// begun may still come.
func (ps *PubSub) Unsubscribe(sub *Subscription) {
	sh := ps.shard(sub.topic)
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
	if ps.conn != nil {
		if err := ps.conn.Unsubscribe(bus.TopicDest(sub.topic)); err != nil {
			ps.config.Logger.Warn("channel: unsubscribe on the bus", "topic", sub.topic, "error", err)
		}
	}
}

// Topics returns how many topics have subscribers.
func (ps *PubSub) Topics() (n int) {
	for i := range ps.shards {
		sh := &ps.shards[i]
		sh.mu.Lock()
		n += len(sh.topics)
		sh.mu.Unlock()
	}
	return n
}

// Broadcast delivers an event to the subscribers of a topic: on this replica, except to
// from, which may be nil, then on the others. Payloads are checked before any is
// delivered.
func (ps *PubSub) Broadcast(topic, event string, payload any, from Subscriber) error {
	b, err := newBroadcast(topic, event, payload)
	if err != nil {
		return err
	}
	ps.deliver(b, from)
	return ps.publish(bus.TopicDest(topic), b.Broadcast)
}

// Local is Broadcast on this replica only.
func (ps *PubSub) Local(topic, event string, payload any) error {
	b, err := newBroadcast(topic, event, payload)
	if err != nil {
		return err
	}
	ps.deliver(b, nil)
	return nil
}

// Direct is Broadcast on one replica only, which may be this one.
func (ps *PubSub) Direct(replica, topic, event string, payload any) error {
	b, err := newBroadcast(topic, event, payload)
	switch {
	case err != nil:
		return err
	case replica == ps.config.Name:
		ps.deliver(b, nil)
		return nil
	case ps.conn == nil:
		return fmt.Errorf("%w: %q", ErrNoReplica, replica)
	}
	return ps.publish(replicaDest(replica), b.Broadcast)
}

// newBroadcast checks what is to be broadcast.
func newBroadcast(topic, event string, payload any) (*fastlane.Broadcast, error) {
	fault := func(err error) error { return fmt.Errorf("broadcast %q on %q: %w", event, topic, err) }
	p, err := wire.ObjectPayload(payload)
	if err := errors.Join(wire.CheckTopic(topic), err); err != nil {
		return nil, fault(err)
	}
	if p.IsBinary() && len(event) > wire.MaxName {
		return nil, fault(fmt.Errorf("%w: event of %d bytes in a binary message", wire.ErrTooLong, len(event)))
	}
	return &fastlane.Broadcast{Broadcast: wire.Broadcast{Topic: topic, Event: event, Payload: p}}, nil
}

// deliver gives a broadcast to the subscribers of this replica.
func (ps *PubSub) deliver(b *fastlane.Broadcast, from Subscriber) {
	sh := ps.shard(b.Topic)
	sh.mu.Lock()
	t := sh.topics[b.Topic]
	if t == nil {
		sh.mu.Unlock()
		return
	}
	if t.snapshot == nil {
		t.snapshot = make([]Subscriber, len(t.all))
		for i, sub := range t.all {
			t.snapshot[i] = sub.to
		}
	}
	subs := t.snapshot
	sh.mu.Unlock()
	for _, to := range subs {
		if to != from {
			to.Deliver(b)
		}
	}
}

// publish sends a broadcast to the replicas that listen to dest.
func (ps *PubSub) publish(dest string, b wire.Broadcast) error {
	if ps.conn == nil {
		return nil
	}
	data := encode(ps.self, b)
	if limit := ps.config.Bus.MaxPayload(); len(data) > limit {
		return fmt.Errorf("%w: %q on %q: %d bytes, at most %d", ErrTooLarge, b.Event, b.Topic, len(data), limit)
	}
	if err := ps.conn.Publish(dest, data); err != nil {
		return fmt.Errorf("channel: broadcast %q on %q to the other replicas: %w", b.Event, b.Topic, err)
	}
	return nil
}

// receive is called by the bus.
func (ps *PubSub) receive(data []byte) {
	from, b, err := decode(data)
	if err != nil {
		ps.config.Garbage.Add(1)
		ps.config.Logger.Warn("channel: message on the bus ignored", "error", err, "bytes", len(data))
		return
	}
	if from != ps.self { // else it is our own echo
		ps.deliver(&fastlane.Broadcast{Broadcast: b}, nil)
	}
}
