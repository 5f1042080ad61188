package wire

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

// MaxTopic is the most bytes a topic may have.
const MaxTopic = 255

// MaxName is the most bytes of a name in a binary frame of Phoenix's protocol: of a
// topic, event, status, ref or join_ref.
const MaxName = 255

// Errors about names. Functions wrap them with what it was about; test with errors.Is.
var (
	// ErrTooLong: a topic is over MaxTopic bytes, or a name does not fit into a binary
	// frame, which takes 255 bytes.
	ErrTooLong = errors.New("channel: name too long")
	// ErrTopic: a topic is empty or not UTF-8.
	ErrTopic = errors.New("channel: invalid topic")
)

// CheckTopic returns an ErrTopic or ErrTooLong if topic can be none.
func CheckTopic(topic string) error {
	switch {
	case topic == "":
		return fmt.Errorf("%w: it is empty", ErrTopic)
	case len(topic) > MaxTopic:
		return fmt.Errorf("%w: topic of %d bytes, at most %d", ErrTooLong, len(topic), MaxTopic)
	case !utf8.ValidString(topic):
		return fmt.Errorf("%w: %q is not UTF-8", ErrTopic, topic)
	}
	return nil
}

// A Broadcast is an event on a topic, as its subscribers get it.
type Broadcast struct {
	Topic   string
	Event   string
	Payload Payload
}
