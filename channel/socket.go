package channel

import (
	"context"
	"fmt"

	"github.com/rollcall-go/rollcall/channel/internal/fastlane"
	"github.com/rollcall-go/rollcall/channel/internal/pubsub"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// A Socket is the handle of a channel: what its callbacks, and anybody they
// give it to, act through. All methods may be called concurrently, also after
// the channel has ended (they fail with ErrClosed then).
type Socket struct{ m *member }

// Topic is what the channel joined.
func (s *Socket) Topic() string { return s.m.topic }

// JoinRef is the client's reference of the join.
func (s *Socket) JoinRef() string { return s.m.ask.JoinRef.String() }

// Conn is the connection.
func (s *Socket) Conn() *Conn { return s.m.conn }

// Endpoint is the endpoint.
func (s *Socket) Endpoint() *Endpoint { return s.m.conn.endpoint }

// Context returns a context that ends with the channel, before Terminate is called, and
// carries the values of [ConnectRequest].Context. It is for what the channel starts.
func (s *Socket) Context() context.Context { return s.m.context() }

// Value is an assign of the route, else one of the connection, else nil.
func (s *Socket) Value(key string) any {
	if v, ok := s.m.route.Assigns[key]; ok {
		return v
	}
	return s.m.conn.Value(key)
}

// able fails where the client cannot be sent anything: before the join was
// answered (B060), and after the end.
func (s *Socket) able(what string) error {
	switch s.m.state.Load() {
	case stateJoining:
		return fmt.Errorf("%s on %q: %w", what, s.m.topic, ErrNotJoined)
	case stateGone:
		return fmt.Errorf("%s on %q: %w", what, s.m.topic, ErrClosed)
	}
	return nil
}

// Push sends an event to this client only. The payload must marshal to a JSON
// object, or be [Binary]; nil is {}. Pushes of one goroutine arrive in order.
// An error is ErrPayload, ErrTooLong, ErrNotJoined or ErrClosed; nil does not
// mean that the client received it.
func (s *Socket) Push(event string, payload any) error {
	if err := s.able("push"); err != nil {
		return err
	}
	p, err := wire.ObjectPayload(payload)
	if err != nil {
		return fmt.Errorf("push %q on %q: %w", event, s.m.topic, err)
	}
	return s.m.send(wire.Message{Kind: wire.KindPush, JoinRef: s.m.ask.JoinRef, Topic: s.m.topic, Event: event, Payload: p})
}

// Broadcast sends an event to all subscribers of the channel's topic, its own
// client included; see [Endpoint.Broadcast].
func (s *Socket) Broadcast(event string, payload any) error {
	if err := s.able("broadcast"); err != nil {
		return err
	}
	return s.Endpoint().pubsub.Broadcast(s.m.topic, event, payload, nil)
}

// BroadcastFrom is Broadcast to all but this channel. Other channels of the
// same user, on other connections, do get it.
func (s *Socket) BroadcastFrom(event string, payload any) error {
	if err := s.able("broadcast"); err != nil {
		return err
	}
	return s.Endpoint().pubsub.Broadcast(s.m.topic, event, payload, s.m)
}

// A ReplyRef answers one message of a client, when its time has come.
type ReplyRef struct {
	m   *member
	ref wire.Ref
}

// Ref is what the message that HandleIn is handling can be answered to later,
// after HandleIn returned NoReply. It is false outside of HandleIn, and for a
// message without a ref, which its client does not expect to be answered.
func (s *Socket) Ref() (ReplyRef, bool) {
	r := s.m.current.Load()
	if r == nil || r.ref.IsNull() {
		return ReplyRef{}, false
	}
	return *r, true
}

// Reply answers the message. It may be called by any goroutine, more than once,
// and while the connection lives also after the channel ended. The response is
// any value that marshals to JSON, or [Binary]; nil means {}.
func (r ReplyRef) Reply(status string, response any) error {
	if r.m == nil {
		return fmt.Errorf("reply through a zero ReplyRef: %w", ErrClosed)
	}
	p, err := wire.NewPayload(response)
	if err != nil {
		return fmt.Errorf("reply on %q: %w", r.m.topic, err)
	}
	return r.m.send(wire.Reply(r.m.ask.JoinRef, r.ref, r.m.topic, status, p))
}

// send sends a message of the channel itself.
func (m *member) send(msg wire.Message) error {
	err := ErrClosed
	if !m.conn.isClosed() {
		err = m.conn.encode(msg)
	}
	if err != nil {
		return fmt.Errorf("send on %q: %w", m.topic, err)
	}
	return nil
}

// Send gives msg to the channel's own HandleInfo, behind what it has to handle
// already. Sent in Join, it is handled after the client was told that it has
// joined: the place to push what a new client needs. After the end it is
// dropped.
func (s *Socket) Send(msg any) { s.m.give(mailInfo{msg}, 0) }

// Subscribe makes broadcasts on another topic come to HandleInfo, as values of
// type [Broadcast]. They are neither intercepted nor sent to the client.
// Subscribing twice delivers twice. Subscriptions end with the channel.
func (s *Socket) Subscribe(topic string) error {
	m := s.m
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left {
		return fmt.Errorf("subscribe to %q: %w", topic, ErrClosed)
	}
	sub, err := m.conn.endpoint.pubsub.Subscribe(topic, toInfo{m})
	if err != nil {
		return err
	}
	if m.external == nil {
		m.external = map[string][]*pubsub.Subscription{}
	}
	m.external[topic] = append(m.external[topic], sub)
	return nil
}

// Unsubscribe ends all subscriptions that Subscribe made to a topic. What was
// delivered before may still come.
func (s *Socket) Unsubscribe(topic string) {
	m := s.m
	m.mu.Lock()
	subs := m.external[topic]
	delete(m.external, topic)
	m.mu.Unlock()
	for _, sub := range subs {
		m.conn.endpoint.pubsub.Unsubscribe(sub)
	}
}

// toInfo is a channel as the subscriber of another topic.
type toInfo struct{ m *member }

func (t toInfo) Deliver(b *fastlane.Broadcast) { t.m.give(mailInfo{b.Broadcast}, 0) }
