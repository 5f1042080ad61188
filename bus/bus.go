package bus

// A Bus is one replica's attachment to the network that connects the replicas. The
// package comment says what it promises.
type Bus interface {
	// Open opens a lane, which is open at most once at a time. The Conn has no
	// subscriptions. Where the link is down, the first call of h is for [Down].
	// Errors: ErrLaneOpen, ErrHandler, ErrClosed.
	Open(lane Lane, h Handler) (Conn, error)

	// MaxPayload returns the largest message that can be published, in bytes. It may
	// change when the link comes up again.
	MaxPayload() int

	// Settings describes what must be the same on all buses of a network for them to
	// hear each other, empty for nothing. Replicas compare it and report differences.
	Settings() string
}

// A Conn is an open lane of a bus. All methods may be called concurrently.
type Conn interface {
	// Subscribe makes the Conn receive what is published to dest on its lane. It is
	// idempotent, and works while the link is down. Errors: ErrDest, ErrClosed, and
	// those of the network.
	Subscribe(dest string) error

	// Unsubscribe ends a subscription. It is idempotent. Messages that are queued
	// already are still delivered. Error: ErrDest.
	Unsubscribe(dest string) error

	// SubscribeAll makes the Conn receive what is published on its lane to every
	// destination of a class, such as ClassTopic. It is idempotent, and independent of
	// Subscribe: a message that matches both is delivered once or twice. Errors: those
	// of Subscribe.
	SubscribeAll(class string) error

	// UnsubscribeAll ends SubscribeAll, as Unsubscribe ends Subscribe.
	UnsubscribeAll(class string) error

	// Publish sends data to all subscribers of dest on this lane. A nil error does not
	// mean that it arrives. Errors: ErrDest, ErrPayload, ErrDown, ErrClosed.
	Publish(dest string, data []byte) error

	// Request is Publish, and also delivers [Unreachable] with dest to this Conn when
	// the network knows that nothing is subscribed to dest. A bus may count the
	// subscriptions of other lanes as well. An answer is a message like any other.
	// Errors: those of Publish.
	Request(dest string, data []byte) error

	// Close drops the subscriptions and everything queued, and returns when no callback
	// runs and none will. Subscribe, Publish and Request fail with ErrClosed after it.
	// It may be called more than once, but not from a callback.
	Close()
}

// A Handler receives what arrives on a lane. The calls of one Conn are made one at a
// time, in the order of arrival, and never after Close has returned. A call that blocks
// fills the Conn's queue.
type Handler struct {
	// Message is called with each message. data belongs to it. Required.
	Message func(data []byte)

	// Event is called with each event; dest is empty except for Unreachable. Nil ignores
	// events.
	Event func(event Event, dest string)
}
