package channel

import (
	"errors"
	"log/slog"
	"sync/atomic"

	"github.com/rollcall-go/rollcall/channel/internal/actor"
	"github.com/rollcall-go/rollcall/channel/internal/fastlane"
	"github.com/rollcall-go/rollcall/channel/internal/pubsub"
)

// A Subscription is a plain Go subscriber of one topic; see
// [Endpoint.Subscribe].
type Subscription struct {
	// static after Subscribe
	endpoint *Endpoint
	topic    string
	handle   func(Broadcast)
	place    *pubsub.Subscription

	ended   atomic.Bool
	dropped atomic.Uint64
	box     actor.Mailbox[Broadcast]
}

// Topic is what it is subscribed to.
func (s *Subscription) Topic() string { return s.topic }

// Dropped is how many broadcasts were dropped because the handler did not keep
// up.
func (s *Subscription) Dropped() uint64 { return s.dropped.Load() }

// Unsubscribe ends it. No call of the handler begins after it returns; one that
// runs is not waited for, so a handler may unsubscribe itself.
func (s *Subscription) Unsubscribe() {
	s.end()
	s.endpoint.forget(s)
}

func (s *Subscription) end() {
	s.ended.Store(true)
	s.endpoint.pubsub.Unsubscribe(s.place)
	s.box.Close()
}

// subscriber returns s, or nil for a nil one.
func (s *Subscription) subscriber() pubsub.Subscriber {
	if s == nil {
		return nil
	}
	return delivery{s}
}

// delivery is a Subscription as its topic's subscriber.
type delivery struct{ *Subscription }

func (s delivery) Deliver(d *fastlane.Broadcast) {
	if _, full := errors.AsType[*actor.Overflow](s.box.Put(d.Broadcast, 0)); !full {
		return
	}
	if s.dropped.Add(1) == 1 {
		s.endpoint.logger.Warn("channel: a subscriber does not keep up, broadcasts are dropped",
			slog.String("topic", d.Topic), slog.Int("limit", s.endpoint.config.MailboxSize))
	}
	s.endpoint.counters.dropped.Add(1)
}

func (s *Subscription) call(b Broadcast) {
	if s.ended.Load() {
		return
	}
	defer func() {
		if v := recover(); v != nil {
			s.endpoint.logPanic("subscriber", v, slog.String("topic", b.Topic), slog.String("event", b.Event))
		}
	}()
	s.handle(b)
}
