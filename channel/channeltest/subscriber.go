package channeltest

import (
	"fmt"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/channel"
)

// A Subscriber is the test itself as a subscriber of a topic. It gets every
// broadcast, also those that channels intercept, with [channel.Payload.Value]
// being what was broadcast: no JSON is between. And it broadcasts, as a part of the
// program that belongs to no channel does.
type Subscriber struct {
	*inbox

	// static after Subscribe
	place   *channel.Subscription
	timeout time.Duration
}

// Subscribe subscribes the test to a topic, until its end.
func Subscribe(t testing.TB, e *channel.Endpoint, topic string) *Subscriber {
	t.Helper()
	s := &Subscriber{inbox: newInbox(t, e), timeout: Timeout}
	var err error
	s.place, err = e.Subscribe(topic, func(b channel.Broadcast) {
		s.put(message{topic: b.Topic, event: b.Event, payload: b.Payload})
	})
	if err != nil {
		t.Fatalf("channeltest: %v", err)
	}
	t.Cleanup(s.place.Unsubscribe)
	return s
}

// Within is the subscriber with another [Timeout].
func (s *Subscriber) Within(timeout time.Duration) *Subscriber {
	w := *s
	w.timeout = timeout
	return &w
}

// Broadcast gives an event to all subscribers of the topic, the test included.
// Channels that intercept it handle it.
func (s *Subscriber) Broadcast(event string, payload any) {
	s.t.Helper()
	s.sent(event, s.endpoint.Broadcast(s.place.Topic(), event, payload))
}

// BroadcastFrom is Broadcast to all but the test.
func (s *Subscriber) BroadcastFrom(event string, payload any) {
	s.t.Helper()
	s.sent(event, s.endpoint.BroadcastFrom(s.place, s.place.Topic(), event, payload))
}

func (s *Subscriber) sent(event string, err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatalf("channeltest: broadcast %q on %q: %v", event, s.place.Topic(), err)
	}
}

// Await awaits a broadcast.
func (s *Subscriber) Await(event string, want any) channel.Payload {
	s.t.Helper()
	return s.take(s.timeout, s.wanted(event, want)).payload
}

// Refute fails the test if such a broadcast came.
func (s *Subscriber) Refute(event string, want any) {
	s.t.Helper()
	s.refute(s.timeout, s.wanted(event, want))
}

func (s *Subscriber) wanted(event string, want any) wanted {
	s.t.Helper()
	return wanted{
		fmt.Sprintf("broadcast %q", event),
		func(m message) bool { return m.event == event },
		matcher(s.t, want),
	}
}
