package presence

import "github.com/rollcall-go/rollcall/bus"

// The destinations of a replica's messages, see [bus.Conn].
const (
	DestAll     = bus.DestAll
	ClassTopic  = bus.ClassTopic
	destReplica = "r:" // and the replica's name and epoch
)

// TopicDest returns the destination of a topic's deltas and tips.
func TopicDest(topic string) string { return bus.TopicDest(topic) }
