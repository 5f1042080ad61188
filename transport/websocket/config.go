package websocket

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/rollcall-go/rollcall/transport/intake"
	"github.com/rollcall-go/rollcall/transport/internal/httptransport"
	"github.com/rollcall-go/rollcall/transport/internal/netpoll"
	"github.com/rollcall-go/rollcall/transport/origin"
)

// Config says how connections are accepted and what they may cost. The zero
// value serves well; New copies it.
type Config struct {
	// CheckOrigin decides which web pages may connect: browsers let any page open a
	// WebSocket, with the cookies of its visitor. Zero: [origin.SameHost].
	CheckOrigin origin.Check

	// Subprotocols, in order of preference: the first that the client offers is
	// answered, and a client that offers only others is refused. A client that
	// offers none is accepted. Nil: "phoenix" is answered where it is offered, and
	// no client is refused. A list should contain "phoenix" if phoenix.js is to send
	// auth tokens.
	Subprotocols []string

	// Session gives what the handler's Connect finds in Info.Session: the client's
	// session, as the cookies of the handshake tell. It is asked before Connect,
	// when all else was found good, and must not keep the request. An error refuses
	// the client as one of Connect would. Package transport/cookie reads the
	// cookies of Phoenix applications; any other store of sessions will do. A page
	// of another site sends those cookies too: keep CheckOrigin strict, or have
	// Session check a CSRF token. It is called concurrently. Nil: no session.
	Session func(r *http.Request) (any, error)

	// MaxConnections is the most connections at a time, those whose handshake is
	// under way included; further ones are refused with 503. Zero: nine tenths
	// of the files the process may have open. Where that is unknown, 10,000.
	MaxConnections int

	// Intake limits how many handshakes run at a time, and how many connections an
	// address has; several transports may share one. Nil: one of its own with the
	// defaults, which do not limit addresses.
	Intake *intake.Intake

	// MaxFrame is the most bytes of one message from a client, after
	// decompression; a larger one closes the connection with 1009. Zero: 1 MiB.
	MaxFrame int

	// IdleTimeout is how long a client may send nothing, not even a ping, before
	// its connection is closed with 1002. What it is sent does not count.
	// Clients heartbeat every 25 or 30 s. Shorter frees the presences of clients
	// that vanished without a word sooner, and cuts off more that are only slow.
	// Zero: 60 s.
	IdleTimeout time.Duration

	// OutboxBytes is the most bytes that may wait for one client, besides as
	// many that are being written; a single frame may be larger. A client that
	// would need more is closed with 1013. Zero: 1 MiB.
	OutboxBytes int

	// OutboxAge is how long a frame may take from Send until the socket has it, up
	// to a quarter longer, before the connection is cut. The time for which it waits at
	// the low priority does not count. Zero: 10 s.
	OutboxAge time.Duration

	// CloseTimeout is how long a connection lasts at most after it was closed:
	// for what waits, the close frame, and the client's answer to it. Zero: 5 s.
	CloseTimeout time.Duration

	// Compress offers permessage-deflate (without context takeover) to clients
	// that ask for it. It costs CPU for every frame that is not shared, and some
	// hundred KiB for each that is being compressed, at most GOMAXPROCS at a time.
	Compress bool

	// Logger gets contained panics. What is refused goes to the endpoint, which
	// logs it; see [wire.Rejection]. Nil: nothing is logged.
	Logger *slog.Logger
}

// Defaults of Config.
const (
	defaultMaxFrame       = 1 << 20
	defaultIdleTimeout    = 60 * time.Second
	defaultOutboxBytes    = 1 << 20
	defaultOutboxAge      = 10 * time.Second
	defaultCloseTimeout   = 5 * time.Second
	defaultMaxConnections = 10_000
)

// prepare returns the options with their defaults, or all their faults at once.
func (o Config) prepare() (Config, error) {
	var faults []error
	if err := o.CheckOrigin.Err(); err != nil {
		faults = append(faults, fmt.Errorf("CheckOrigin: %w", err))
	}
	if o.Subprotocols != nil && len(o.Subprotocols) == 0 {
		faults = append(faults, fmt.Errorf("%s: empty but not nil: no client that offers one could connect", "Subprotocols"))
	}
	for i, p := range o.Subprotocols {
		if !isToken(p) {
			faults = append(faults, fmt.Errorf("%s[%d]: %q is not a token", "Subprotocols", i, p))
		}
	}
	o.Subprotocols = slices.Clone(o.Subprotocols)

	httptransport.Positive(&faults, "MaxConnections", &o.MaxConnections, 0)
	httptransport.Positive(&faults, "MaxFrame", &o.MaxFrame, defaultMaxFrame)
	httptransport.Positive(&faults, "IdleTimeout", &o.IdleTimeout, defaultIdleTimeout)
	httptransport.Positive(&faults, "OutboxBytes", &o.OutboxBytes, defaultOutboxBytes)
	httptransport.Positive(&faults, "OutboxAge", &o.OutboxAge, defaultOutboxAge)
	httptransport.Positive(&faults, "CloseTimeout", &o.CloseTimeout, defaultCloseTimeout)
	httptransport.Intake(&faults, &o.Intake)
	if o.MaxConnections == 0 {
		o.MaxConnections = defaultMaxConnections
		if files, ok := netpoll.MaxFiles(); ok {
			o.MaxConnections = connectionsFor(files)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, errors.Join(faults...)
}

// connectionsFor leaves a tenth of the open files to everything else.
func connectionsFor(files uint64) int {
	const most = 10_000_000 // also where the limit is "unlimited"
	return int(max(1, min(files, most)/10*9))
}
