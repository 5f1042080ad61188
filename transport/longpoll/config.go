package longpoll

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/transport/intake"
	"github.com/rollcall-go/rollcall/transport/internal/httptransport"
	"github.com/rollcall-go/rollcall/transport/origin"
)

// Config says who may connect and what sessions may cost. The zero value
// serves one replica well; New copies it. Replicas of a cluster must agree on
// Secret, Lane and Window.
type Config struct {
	// CheckOrigin decides which web pages may connect. Zero: those whose host is
	// the host of the request.
	CheckOrigin origin.Check

	// Session gives what the handler's Connect finds in Info.Session: the client's
	// session, as the cookies of the request tell. It is asked before Connect,
	// when all else was found good, and must not keep the request. An error refuses
	// the client as one of Connect would. Package plug/cookie reads the
	// cookies of Phoenix applications; any other store of sessions will do. A page
	// of another site sends those cookies too: keep CheckOrigin strict, or have
	// Session check a CSRF token. It is called concurrently. Nil: no session.
	Session func(r *http.Request) (any, error)

	// Bus leads to the other replicas, so that each serves the sessions of all.
	// It is not closed with the transport: close it after. Nil: only the replica
	// that made a session serves it, and a load balancer has to be sticky.
	Bus bus.Bus

	// Lane is the lane of the bus that is used. It is open once at a time: a second
	// transport on the same bus needs another. Zero: bus.LaneLongPoll.
	Lane bus.Lane

	// Secret signs tokens: at least 32 bytes. Replicas that share a bus must
	// share it, so with a bus it is required. Nil: a random one, and tokens do
	// not outlive the transport.
	Secret []byte

	// TokenAge is how long a token is good for, from when its session began. A
	// client whose token expires begins a new session. Zero: 2 weeks.
	TokenAge time.Duration

	// Window is how long a poll waits for a message. A session that is not
	// polled for one and a half windows ends. A longer one costs fewer requests,
	// and presences of clients that vanished stay longer; it must be shorter
	// than the timeouts of proxies, and of phoenix.js (20 s). Zero: 10 s.
	Window time.Duration

	// RelayTimeout is how long another replica may take to answer for a session;
	// then the client is told that it is gone. Zero: 2 s.
	RelayTimeout time.Duration

	// BodyTimeout is how long a client may take to send the body of a POST.
	// Zero: 10 s.
	BodyTimeout time.Duration

	// Intake bounds how many sessions begin at a time, and how many an address has;
	// several transports may share one. Nil: one of its own with the defaults, which
	// are without a bound per address.
	Intake *intake.Intake

	// MaxSessions is the most sessions at a time; a client over it is told to
	// try later (503). Zero: 10,000.
	MaxSessions int

	// MaxBody is the most bytes of the body of a POST, MaxFrame of one message in
	// it (less where the bus carries less); a larger one is refused (400).
	// Zero: 8,000,000 and 1 MiB.
	MaxBody  int
	MaxFrame int

	// MaxBodies is the most bytes of the bodies of all clients that are being read
	// or handled; a POST that would need more is told to try later (503). So what
	// many slow or large ones hold is bounded. Zero: 256 MiB.
	MaxBodies int

	// BufferBytes is the most bytes that may wait for a client between two polls;
	// a single message may be larger. A session that would need more ends. Zero:
	// 1 MiB.
	BufferBytes int

	// Logger gets what is wrong with the bus, and contained panics. What is
	// refused goes to the endpoint, which logs it; see [wire.Rejection]. Nil:
	// nothing is logged.
	Logger *slog.Logger
}

// Defaults of Config.
const (
	defaultTokenAge     = 14 * 24 * time.Hour
	defaultWindow       = 10 * time.Second
	defaultRelayTimeout = 2 * time.Second
	defaultBodyTimeout  = 10 * time.Second
	defaultMaxSessions  = 10_000
	defaultMaxBody      = 8_000_000
	defaultMaxFrame     = 1 << 20
	defaultMaxBodies    = 256 << 20
	defaultBufferBytes  = 1 << 20
)

// minSecret is the fewest bytes of a secret: as many as a signature has.
const minSecret = 32

// prepare returns the options with their defaults, or all their faults at once.
func (o Config) prepare() (Config, error) {
	var faults []error
	if err := o.CheckOrigin.Err(); err != nil {
		faults = append(faults, fmt.Errorf("CheckOrigin: %w", err))
	}
	switch {
	case o.Secret == nil && o.Bus != nil:
		faults = append(faults, fmt.Errorf("%s: required with a Bus, the same on all replicas", "Secret"))
	case o.Secret == nil:
		o.Secret = make([]byte, minSecret)
		_, _ = rand.Read(o.Secret) // never fails
	case len(o.Secret) < minSecret:
		faults = append(faults, fmt.Errorf("%s: %d bytes, at least %d", "Secret", len(o.Secret), minSecret))
	}
	o.Secret = bytes.Clone(o.Secret)
	if o.Lane == 0 {
		o.Lane = bus.LaneLongPoll
	}

	httptransport.Positive(&faults, "TokenAge", &o.TokenAge, defaultTokenAge)
	httptransport.Positive(&faults, "Window", &o.Window, defaultWindow)
	httptransport.Positive(&faults, "RelayTimeout", &o.RelayTimeout, defaultRelayTimeout)
	httptransport.Positive(&faults, "BodyTimeout", &o.BodyTimeout, defaultBodyTimeout)
	httptransport.Positive(&faults, "MaxSessions", &o.MaxSessions, defaultMaxSessions)
	httptransport.Positive(&faults, "MaxBody", &o.MaxBody, defaultMaxBody)
	httptransport.Positive(&faults, "MaxFrame", &o.MaxFrame, defaultMaxFrame)
	httptransport.Positive(&faults, "MaxBodies", &o.MaxBodies, defaultMaxBodies)
	httptransport.Positive(&faults, "BufferBytes", &o.BufferBytes, defaultBufferBytes)
	if o.Bus != nil {
		if most := o.Bus.MaxPayload(); most < minPayload {
			faults = append(faults, fmt.Errorf("%s: carries messages of %d bytes, at least %d are needed", "Bus", most, minPayload))
		} else {
			o.MaxFrame = min(o.MaxFrame, most-askOverhead)
		}
	}
	httptransport.Intake(&faults, &o.Intake)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, errors.Join(faults...)
}
