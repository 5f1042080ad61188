package channel

import (
	"errors"
	"log/slog"
	"sync/atomic"
)

// A Subscription is a plain Go subscriber of one topic; see
// [Endpoint.Subscribe].
type Subscription struct {
	// static after Subscribe
	endpoint *Endpoint
	topic    string
	handle   func(Broadcast)
	place    *subscription

	ended   atomic.Bool
	dropped atomic.Uint64
	box     mailbox[Broadcast]
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
	s.endpoint.pubsub.unsubscribe(s.place)
	s.box.close()
}

func (s *Subscription) deliver(d *dispatch) {
	if !errors.Is(s.box.put(d.Broadcast, 0), errMailboxFull) {
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
