package channel

import (
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// replicaDest returns the destination of what is for one replica alone.
func replicaDest(replica string) string { return "c:" + replica }

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
	// lowPriority says that its frames are.
	lowPriority bool
	// frames are those of each protocol of ours, own those of the application's.
	frames [len(phoenix)]dispatchFrames
	ownMu  sync.Mutex
	own    map[wire.Protocol]*dispatchFrames
}

// dispatchFrames are the frames of a broadcast, which are made when they are first
// needed, and then shared by all connections of a protocol.
type dispatchFrames struct {
	once   sync.Once
	frames []*wire.Frame
	one    [1]*wire.Frame // in which frames begins
	each   bool           // every connection has frames of its own
}

func (d *dispatch) slot(s *served) *dispatchFrames {
	if s.index >= 0 {
		return &d.frames[s.index]
	}
	d.ownMu.Lock()
	defer d.ownMu.Unlock()
	slot := d.own[s.key]
	if slot == nil {
		if d.own == nil {
			d.own = map[wire.Protocol]*dispatchFrames{}
		}
		slot = &dispatchFrames{}
		d.own[s.key] = slot
	}
	return slot
}

func (d *dispatch) message() wire.Message {
	return wire.Message{Kind: wire.KindBroadcast, Topic: d.Topic, Event: d.Event, Payload: d.Payload}
}

// encode returns the broadcast as c's client gets it: no frames if it cannot be
// encoded, which is logged, for shared frames once.
func (d *dispatch) encode(c *Conn) []*wire.Frame {
	slot := d.slot(c.protocol)
	slot.once.Do(func() {
		frames, err := c.protocol.protocol.Broadcast(slot.one[:0], d.message())
		switch {
		case errors.Is(err, wire.ErrNotShared):
			slot.each = true
		case err != nil:
			d.notSent(c, err)
		default:
			slot.frames = d.ranked(frames)
		}
	})
	if !slot.each {
		return slot.frames
	}
	frames, err := c.codec.Encode(nil, d.message())
	if err != nil {
		d.notSent(c, err)
		return nil
	}
	return d.ranked(frames)
}

func (d *dispatch) ranked(frames []*wire.Frame) []*wire.Frame {
	for _, f := range frames {
		f.LowPriority = d.lowPriority
	}
	return frames
}

func (d *dispatch) notSent(c *Conn, err error) {
	c.endpoint.logger.Warn("channel: broadcast not sent to clients of one version of the protocol",
		"version", c.protocol.version, "topic", d.Topic, "event", d.Event, "error", err)
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
	bus     bus.Bus
	conn    bus.Conn // nil without a bus: this process alone
	name    string
	self    instance
	logger  *slog.Logger
	garbage *atomic.Uint64
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

func newPubsub(b bus.Bus, name string, self instance, logger *slog.Logger, garbage *atomic.Uint64) (*pubsub, error) {
	ps := &pubsub{bus: b, name: name, self: self, logger: logger, garbage: garbage, seed: maphash.MakeSeed()}
	for i := range ps.shards {
		ps.shards[i].topics = map[string]*topicSubs{}
	}
	if b == nil {
		return ps, nil
	}
	// Events change nothing here: broadcasts come at most once.
	conn, err := b.Open(bus.LaneChannel, bus.Handler{Message: ps.receive})
	if err != nil {
		return nil, fmt.Errorf("channel: open the bus: %w", err)
	}
	ps.conn = conn
	if name != "" {
		if err := conn.Subscribe(replicaDest(name)); err != nil {
			conn.Close()
			return nil, fmt.Errorf("channel: subscribe to broadcasts for replica %q: %w", name, err)
		}
	}
	return ps, nil
}

func (ps *pubsub) close() {
	if ps.conn != nil {
		ps.conn.Close()
	}
}

// subscribe adds a subscriber to a topic. The bus is asked under the shard's
// lock, so that its subscriptions follow ours in order.
func (ps *pubsub) subscribe(topic string, to subscriber) (*subscription, error) {
	if err := wire.CheckTopic(topic); err != nil {
		return nil, err
	}
	sh := &ps.shards[maphash.String(ps.seed, topic)%pubsubShards]
	sh.mu.Lock()
	defer sh.mu.Unlock()
	t := sh.topics[topic]
	if t == nil {
		if ps.conn != nil {
			if err := ps.conn.Subscribe(bus.TopicDest(topic)); err != nil {
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
	if ps.conn != nil {
		if err := ps.conn.Unsubscribe(bus.TopicDest(sub.topic)); err != nil {
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
	if ps.conn == nil {
		return nil
	}
	data := encodeWire(ps.self, b)
	if limit := ps.bus.MaxPayload(); len(data) > limit {
		return fmt.Errorf("%w: %q on %q: %d bytes, at most %d", ErrTooLarge, b.Event, b.Topic, len(data), limit)
	}
	if err := ps.conn.Publish(dest, data); err != nil {
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
	p, err := wire.ObjectPayload(payload)
	if err := errors.Join(wire.CheckTopic(topic), err); err != nil {
		return nil, fault(err)
	}
	if p.IsBinary() && len(event) > wire.MaxName {
		return nil, fault(fmt.Errorf("%w: event of %d bytes in a binary message", wire.ErrTooLong, len(event)))
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
	return ps.remote(bus.TopicDest(topic), d.Broadcast)
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
	case ps.conn == nil:
		return fmt.Errorf("%w: %q", errNoReplica, replica)
	}
	return ps.remote(replicaDest(replica), d.Broadcast)
}
