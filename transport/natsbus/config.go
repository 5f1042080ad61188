package natsbus

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"

	"github.com/rollcall-go/rollcall/transport/internal/delivery"
)

// Limits of a [Config], and the least that a server must take.
const (
	defaultPrefix = "rollcall"
	maxPrefix     = 64      // bytes
	minPayload    = 1 << 10 // bytes

	// MaxBuckets is the most that Config.Buckets may be.
	MaxBuckets = 1 << 16
)

// Config configures a [Bus]. The zero value of each field is its default. It is copied
// by New.
type Config struct {
	// Prefix is what all subjects begin with; buses with different prefixes do not
	// hear each other. It is one or more tokens of letters, digits, "-" and "_",
	// separated by ".", at most 64 bytes. Empty: "rollcall".
	Prefix string

	// Buckets puts all topics on that many subjects, by their hashes, instead of one
	// each. It saves memory on replicas with more than some 10,000 topics, here and on
	// every NATS server, for the traffic of topics that are not used here. All buses of
	// a cluster must have the same number, or they do not hear each other's topics;
	// presence compares it and logs a replica that has another. At most MaxBuckets.
	// Zero: a subject for each topic.
	Buckets int

	// QueueBytes bounds the queue of each Conn, in bytes. Each message counts 96 bytes
	// more than it has. What does not fit is dropped, see bus.Lost. Zero: 64 MiB.
	QueueBytes int

	// Logger logs a warning for each overflow, and an error for each subscription or
	// message that the server refused. Nil: they are only counted, see [Stats].
	Logger *slog.Logger
}

// errConfig is what every fault that [New] finds in its config wraps.
var errConfig = errors.New("natsbus: invalid config")

func (c Config) withDefaults() Config {
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if c.QueueBytes == 0 {
		c.QueueBytes = delivery.DefaultLimit
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// validate names every fault of a config with its defaults.
func (c Config) validate() error {
	var faults []error
	fault := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf("%w: "+format, append([]any{errConfig}, args...)...))
		}
	}
	fault(!validPrefix(c.Prefix), "Prefix %q: must be tokens of letters, digits, - and _, separated by dots, at most %d bytes", c.Prefix, maxPrefix)
	fault(c.Buckets < 0 || c.Buckets > MaxBuckets, "Buckets %d: must be 0 to %d", c.Buckets, MaxBuckets)
	fault(c.QueueBytes < 0, "QueueBytes %d: must not be negative", c.QueueBytes)
	return errors.Join(faults...)
}

func validPrefix(prefix string) bool {
	if len(prefix) > maxPrefix {
		return false
	}
	for token := range strings.SplitSeq(prefix, ".") {
		if token == "" || strings.ContainsFunc(token, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return false
		}
	}
	return true
}
