package presence

import "github.com/rollcall-go/rollcall/presence/internal/replica"

// Lane is the lane of a [Bus] that presence uses. The channel package uses
// another one of the same bus, so that both share a topic's subscription.
const Lane byte = 'p'

// Destinations on a [Bus]. A destination is an opaque UTF-8 string; the bus
// turns it into whatever its network needs (natsbus escapes it into one token
// of a NATS subject).
const (
	// DestAll reaches every replica.
	DestAll = replica.DestAll
	// ClassTopic is the class of the destinations of topics: what stands before
	// the first colon.
	ClassTopic = replica.ClassTopic
)

// TopicDest is the destination of everything about one topic: presence's
// deltas and tips, and channel's broadcasts.
func TopicDest(topic string) string { return replica.TopicDest(topic) }

// A BusEvent is something that a [Bus] has to say besides messages. It is a
// plain string so that a bus need not import this package.
type BusEvent = string

// The events of a [Bus].
const (
	// EventLost: messages may have been dropped on the way to us (a slow
	// consumer, an overflow, a reconnect). It leads to one reconciliation.
	EventLost BusEvent = "lost"
	// EventDown and EventUp: the bus lost, or has again, its connection.
	EventDown BusEvent = "down"
	EventUp   BusEvent = "up"
	// EventUnreachable: the bus knows that nobody is subscribed to the
	// destination of an earlier Request (NATS: "no responders").
	EventUnreachable BusEvent = "unreachable"
)

// A Bus carries messages between replicas: at most once, in order from one
// sender to one receiver, with loss, duplication and delay allowed. It is met
// by *natsbus.Bus and *membus.Bus and uses built-in types only, so that a bus
// need not import this package.
//
// Messages that a user of the bus publishes come back to it where it is
// subscribed (echo): presence needs that of its own heartbeats.
//
// All methods may be called concurrently, and do not wait for the network
// beyond what a write to a socket buffer takes. None keeps a reference to data.
type Bus interface {
	// Listen opens a lane. Messages that arrive on destinations the lane is
	// subscribed to are given to receive, events to event; both are called from
	// one goroutine, one call at a time, in the order of arrival. data belongs
	// to the callee. A lane is open once at a time; stop closes it, drops its
	// subscriptions, and returns when no call is running and none will come.
	// stop must not be called from receive or event.
	Listen(lane byte, receive func(data []byte), event func(event, dest string)) (stop func(), err error)
	// Subscribe and Unsubscribe change what the lane receives; each is
	// idempotent.
	Subscribe(lane byte, dest string) error
	Unsubscribe(lane byte, dest string) error
	// SubscribeAll and UnsubscribeAll do so for all destinations of a class at
	// once, which is what stands before a destination's first colon. A message
	// may be received twice where both kinds of subscription are for it.
	SubscribeAll(lane byte, class string) error
	UnsubscribeAll(lane byte, class string) error
	// Publish sends data to all that are subscribed to dest on this lane.
	Publish(lane byte, dest string, data []byte) error
	// Request is Publish, and asks for an EventUnreachable with dest when the
	// network knows that nobody is subscribed to dest. There is no answer
	// otherwise: a reply is a message like any other.
	Request(lane byte, dest string, data []byte) error
	// Settings is what must be the same on the buses of all replicas for them to
	// hear each other, as text; a replica where it differs is reported.
	Settings() string
	// MaxPayload is the most bytes one message may have.
	MaxPayload() int
}
