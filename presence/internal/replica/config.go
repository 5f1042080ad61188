package replica

import (
	"errors"
	"time"
)

// Config says how a replica behaves. Package presence documents the settings and
// validates them; here each must be set: see [Defaults].
type Config struct {
	Name string
	// MaxPayload returns the most bytes that the bus takes in a message. It may
	// return another number later.
	MaxPayload func() int
	// Settings is what must be the same on the buses of all replicas, as text.
	Settings string

	BeatPeriod     time.Duration
	DownPeriod     time.Duration
	PermdownPeriod time.Duration
	IsolatedPeriod time.Duration
	FlushInterval  time.Duration
	Linger         time.Duration

	RepairRate        int // bytes a second
	WireVersion       int // OldestVersion to NewestVersion
	MaxTopicPresences int
	MaxTopics         int
	MaxReplicas       int
}

// Defaults returns the default settings. Name, MaxPayload and Settings are the
// caller's to set.
func Defaults() Config {
	return Config{
		BeatPeriod:     time.Second,
		DownPeriod:     10 * time.Second,
		PermdownPeriod: 20 * time.Minute,
		IsolatedPeriod: 30 * time.Second,
		FlushInterval:  10 * time.Millisecond,
		Linger:         30 * time.Second,

		RepairRate:        64 << 20,
		WireVersion:       NewestVersion,
		MaxTopicPresences: 100_000,
		MaxTopics:         1_000_000,
		MaxReplicas:       1_000,
	}
}

// Limits of the wire format.
const (
	MaxName = 255 // bytes of a replica's name, a topic, a key
	// MaxPlain is the most bytes that a message has before it is compressed, and
	// may have had when it is decompressed: as many as NATS lets through where it
	// is told nothing else. What is more goes in several messages, also where the
	// bus would take it as one.
	MaxPlain = 1 << 20
	// Overhead is how many bytes a message with one presence has beside its meta,
	// at most.
	Overhead = 2 << 10
)

// The errors of a limit. They are those of package presence, which documents them.
var (
	ErrTooManyPresences = errors.New("presence: too many presences")
	ErrTooManyTopics    = errors.New("presence: too many topics")
)
