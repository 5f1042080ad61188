package presence

import (
	"errors"

	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// The errors of this package. They come wrapped with the operation and what it
// was about; test for them with errors.Is.
var (
	// ErrAlreadyTracked: the session is present under this key of this topic.
	// Update changes a meta.
	ErrAlreadyTracked = errors.New("presence: already tracked")
	// ErrNotTracked: the session is not present under this key of this topic.
	ErrNotTracked = errors.New("presence: not tracked")
	// ErrMetaNotObject: a meta has to be a JSON object.
	ErrMetaNotObject = errors.New("presence: meta is not a JSON object")
	// ErrMetaTooLarge: the encoded meta is over Config.MaxMeta bytes.
	ErrMetaTooLarge = errors.New("presence: meta too large")
	// ErrTopicInvalid: a topic is 1 to 255 bytes of UTF-8.
	ErrTopicInvalid = errors.New("presence: topic must be 1 to 255 bytes of UTF-8")
	// ErrKeyInvalid: a key is 1 to 255 bytes of UTF-8.
	ErrKeyInvalid = errors.New("presence: key must be 1 to 255 bytes of UTF-8")
	// ErrTooManyPresences: the session or the topic is full; see Config.
	ErrTooManyPresences = replica.ErrTooManyPresences
	// ErrTooManyTopics: this replica is interested in Config.MaxTopics topics.
	ErrTooManyTopics = replica.ErrTooManyTopics
	// ErrSessionClosed: the session, or its tracker, was closed.
	ErrSessionClosed = errors.New("presence: session closed")
	// ErrClosed: the tracker was closed.
	ErrClosed = errors.New("presence: tracker closed")
)
