package natsbus

import (
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
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
//     a [Bus] logs them, see Config.Logger.
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

// errConn is what every fault that [New] finds in a connection wraps.
var errConn = errors.New("natsbus: unusable connection")

// checkConn names everything about nc that would break a promise of the bus.
// payload is the least that the server must take, in bytes.
func checkConn(nc *nats.Conn, payload int) error {
	if nc == nil {
		return fmt.Errorf("%w: it is nil", errConn)
	}
	var faults []error
	fault := func(bad bool, what string) {
		if bad {
			faults = append(faults, fmt.Errorf("%w: %s", errConn, what))
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
