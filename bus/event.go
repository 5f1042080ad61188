package bus

// An Event is what a bus reports to a Conn besides messages.
type Event string

// The events.
const (
	// Lost: messages may have been lost on the way here, by an overflow or a broken
	// link. One Lost stands for everything lost until it is delivered.
	Lost Event = "lost"

	// Down: the link is down. Publish and Request fail.
	Down Event = "down"

	// Up: the link is up again. Lost follows, because others may have published
	// meanwhile. A Conn that is slower than the link is told the outcome only.
	Up Event = "up"

	// Unreachable: nothing was subscribed to the destination of an earlier Request. It is
	// no proof that a replica is dead: while a route between NATS servers is reset, live
	// subscribers are unreachable for a second.
	Unreachable Event = "unreachable"
)
