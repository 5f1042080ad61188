package bus

import (
	"fmt"
	"unicode/utf8"
)

// DestAll is the destination of what is for every replica.
const DestAll = "all"

// ClassTopic is the class of the destinations of topics, see [TopicDest].
//
// The other classes have one destination for each replica: "r" is of presence, "c" of
// channel and "l" of longpoll.
const ClassTopic = "t"

// TopicDest returns the destination of everything about a topic: presence's deltas and
// channel's broadcasts. They share what a subscription costs.
func TopicDest(topic string) string { return ClassTopic + ":" + topic }

// MaxDest is the most bytes a destination may have. A bus may escape each byte as three:
// the longest is well below the 4,096 bytes of a NATS server's control line.
const MaxDest = 600

// CheckDest returns an error that wraps ErrDest unless dest is 1 to MaxDest bytes of
// UTF-8. It is for implementations of [Conn]; a class is checked in the same way.
func CheckDest(dest string) error {
	switch {
	case dest == "":
		return fmt.Errorf("%w: empty", ErrDest)
	case len(dest) > MaxDest:
		return fmt.Errorf("%w: %d bytes, at most %d", ErrDest, len(dest), MaxDest)
	case !utf8.ValidString(dest):
		return fmt.Errorf("%w: %q is not UTF-8", ErrDest, dest)
	default:
		return nil
	}
}
