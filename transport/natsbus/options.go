package natsbus

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rollcall-go/rollcall/transport/internal/delivery"
)

// Options are the options to dial with. Options appended to them win, and
// [New] says which of those it cannot work with.
//
//   - It reconnects for ever, every 100 to 200 ms, also when the server's
//     authentication fails for a while.
//   - Nothing is buffered while disconnected.
//   - The first connect does fail, at once, when there is no server.
//   - A dead connection is noticed within 15 s: pings every 5 s, 2 outstanding.
//   - A write that the server does not take within 5 s ends the connection.
//   - Asynchronous errors are not printed to stderr, as nats.go does by default:
//     a [Bus] logs them, see [Logger].
func Options() []nats.Option {
	return []nats.Option{
		nats.Name("rollcall"),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(100 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 100*time.Millisecond),
		nats.ReconnectBufSize(-1),
		nats.RetryOnFailedConnect(false),
		nats.IgnoreAuthErrorAbort(),
		nats.PingInterval(5 * time.Second),
		nats.MaxPingsOutstanding(2),
		nats.FlusherTimeout(5 * time.Second),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}
}

// ErrConn is what every fault that [New] finds in a connection wraps.
var ErrConn = errors.New("natsbus: unusable connection")

// checkConn names everything about nc that would break a promise of the bus.
// payload is the least that the server must take, in bytes.
func checkConn(nc *nats.Conn, payload int) error {
	if nc == nil {
		return fmt.Errorf("%w: it is nil", ErrConn)
	}
	var faults []error
	fault := func(bad bool, what string) {
		if bad {
			faults = append(faults, fmt.Errorf("%w: %s", ErrConn, what))
		}
	}
	fault(nc.Opts.NoEcho, "NoEcho is set: replicas need their own heartbeats back")
	fault(!nc.Opts.AllowReconnect, "NoReconnect is set: it must reconnect")
	fault(nc.Opts.MaxReconnect >= 0, fmt.Sprintf("MaxReconnects is %d: must be -1, or it gives up", nc.Opts.MaxReconnect))
	fault(nc.Opts.ReconnectBufSize >= 0, fmt.Sprintf("ReconnectBufSize is %d: must be -1, or stale messages are sent after a reconnect", nc.Opts.ReconnectBufSize))
	switch {
	case nc.IsClosed():
		fault(true, "it is closed")
	case nc.IsDraining():
		fault(true, "it is draining")
	case nc.MaxPayload() <= 0:
		// The server's settings are unknown, and nats.go does not call
		// ReconnectedCB for a first connect.
		fault(true, "it was never connected (RetryOnFailedConnect): wait until it is")
	default:
		fault(!nc.HeadersSupported(), "the server has no headers, so it cannot tell that nobody is subscribed")
		fault(nc.MaxPayload() < int64(payload), fmt.Sprintf("the server's max_payload is %d bytes: must be at least %d", nc.MaxPayload(), payload))
	}
	return errors.Join(faults...)
}

// Defaults and limits of [Option]s, and the least that a server must take.
const (
	defaultPrefix = "rollcall"
	maxPrefix     = 64      // bytes
	minPayload    = 1 << 10 // bytes
)

// An Option changes a default of [New].
type Option func(*config)

type config struct {
	prefix     string
	buckets    int
	queueBytes int
	logger     *slog.Logger
}

// Prefix is what all subjects begin with; buses with different prefixes do not
// hear each other. Default "rollcall". It is one or more tokens of letters,
// digits, "-" and "_", separated by ".", at most 64 bytes.
func Prefix(prefix string) Option { return func(c *config) { c.prefix = prefix } }

// MaxBuckets is the most that [Buckets] takes.
const MaxBuckets = 1 << 16

// Buckets puts all topics (destinations of the class "t", see [bus.TopicDest])
// on n subjects, by their hashes, instead of one each; the receiving bus leaves
// out what nobody on it is subscribed to. A subject costs its client 300 bytes and
// every NATS server 600 to 700, and a bucket brings messages of topics that are
// not used here: it is for replicas with more than some 10,000 topics. All buses of
// a cluster must have the same n, or they do not hear each other's topics;
// presence compares it ([Bus.Settings]) and reports a replica that has another.
// Default 0, a subject a topic; at most 65,536.
func Buckets(n int) Option { return func(c *config) { c.buckets = n } }

// QueueBytes bounds the queue of each lane, in bytes; default 64 MiB. A message
// counts 96 bytes more than it has.
func QueueBytes(n int) Option { return func(c *config) { c.queueBytes = n } }

// Logger gets a warning about each overflow, and an error about each
// subscription or message that the server refused. Default: they are only
// counted, see [Stats].
func Logger(l *slog.Logger) Option { return func(c *config) { c.logger = l } }

// ErrOption is what every fault that [New] finds in its options wraps.
var ErrOption = errors.New("natsbus: invalid option")

func newConfig(opts []Option) (config, error) {
	c := config{prefix: defaultPrefix, queueBytes: delivery.DefaultLimit}
	for _, opt := range opts {
		opt(&c)
	}
	if c.logger == nil {
		c.logger = slog.New(slog.DiscardHandler)
	}
	var faults []error
	if !validPrefix(c.prefix) {
		faults = append(faults, fmt.Errorf("%w: Prefix %q: must be tokens of letters, digits, - and _, separated by dots, at most %d bytes", ErrOption, c.prefix, maxPrefix))
	}
	if c.buckets < 0 || c.buckets > MaxBuckets {
		faults = append(faults, fmt.Errorf("%w: Buckets %d: must be 0 to %d", ErrOption, c.buckets, MaxBuckets))
	}
	if c.queueBytes < 1 {
		faults = append(faults, fmt.Errorf("%w: QueueBytes %d: must be positive", ErrOption, c.queueBytes))
	}
	return c, errors.Join(faults...)
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
