package intake

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"runtime"
	"sync/atomic"
	"time"
)

// Config are the bounds of an Intake. The zero value serves well; New copies it.
type Config struct {
	// MaxHandshakes is how many handshakes have their turn at a time. More allow a
	// storm of clients to take more CPU time at once, which delays what established
	// clients are sent; fewer slow down connecting where Connect has to wait for
	// something. Zero: twice GOMAXPROCS.
	MaxHandshakes int

	// MaxWaiting is how many handshakes may wait for their turn; further ones are
	// refused. Zero: 20,000.
	MaxWaiting int

	// Wait is how long a handshake waits for its turn at most before it is
	// refused. Zero: 10 s.
	Wait time.Duration

	// MaxPerAddress is the most connections and sessions of one address, and apart
	// from them the most of its connections that ConnState counts. Zero: no bound.
	MaxPerAddress int

	// Address tells from which address a request came; the zero Addr is one that
	// is not counted. It is called concurrently. Nil: the address of the socket.
	Address func(*http.Request) netip.Addr

	// MaxHTTP is the most connections that ConnState counts, of all addresses.
	// Zero: no bound.
	MaxHTTP int

	// Refused is told of a connection that ConnState has closed. It must not
	// block, and is called concurrently. May be nil.
	Refused func(net.Conn, *Refusal)
}

// Defaults of Config.
const (
	perProcessor      = 2
	defaultMaxWaiting = 20_000
	defaultWait       = 10 * time.Second
)

// prepare returns the options with their defaults, or all their faults at once.
func (o Config) prepare() (Config, error) {
	var faults []error
	check := func(name string, value, zero int) int {
		if value < 0 {
			faults = append(faults, fmt.Errorf("intake: %s: %d is negative", name, value))
		}
		if value == 0 {
			return zero
		}
		return value
	}
	o.MaxHandshakes = check("MaxHandshakes", o.MaxHandshakes, perProcessor*runtime.GOMAXPROCS(0))
	o.MaxWaiting = check("MaxWaiting", o.MaxWaiting, defaultMaxWaiting)
	o.MaxPerAddress = check("MaxPerAddress", o.MaxPerAddress, 0)
	o.MaxHTTP = check("MaxHTTP", o.MaxHTTP, 0)
	if o.Wait < 0 {
		faults = append(faults, fmt.Errorf("intake: Wait: %v is negative", o.Wait))
	}
	if o.Wait == 0 {
		o.Wait = defaultWait
	}
	if o.Address == nil {
		o.Address = remoteAddress
	}
	return o, errors.Join(faults...)
}

// An Intake lets clients in, within its bounds. All its methods may be called
// concurrently.
type Intake struct {
	// Static after New.
	config Config

	// Of their own.
	gate    gate
	accepts gate         // of Listener
	queued  atomic.Int64 // in Listener, apart from the one that waits for accepts
	clients census       // connections and sessions
	open    openConns
}

// New returns an Intake. The error names every fault of the config.
func New(cfg Config) (*Intake, error) {
	socketsPerAddress := cfg.MaxPerAddress
	if cfg.Address != nil {
		socketsPerAddress = 0
	}
	cfg, err := cfg.prepare()
	if err != nil {
		return nil, err
	}
	in := &Intake{config: cfg}
	in.gate.bounds(cfg.MaxHandshakes, cfg.MaxWaiting, cfg.Wait)
	in.accepts.bounds(cfg.MaxHandshakes, 1<<30, 0) // Listener has the bound, and one waits
	in.clients.most = cfg.MaxPerAddress
	in.open.bounds(cfg.MaxHTTP, socketsPerAddress, cfg.Refused)
	return in, nil
}

// Count counts one more connection of the client that sent r, until its place is
// left. The error is a *Refusal of ErrAddress.
func (in *Intake) Count(r *http.Request) (*Place, error) {
	if in.config.MaxPerAddress == 0 {
		return nil, nil
	}
	return in.clients.enter(in.config.Address(r))
}

// Wait waits for the turn of a handshake, which is to be ended. The error is a
// *Refusal, or ErrGone when r's context has ended, or ErrClosing once closing is
// closed.
func (in *Intake) Wait(r *http.Request, closing <-chan struct{}) (*Turn, error) {
	return in.gate.wait(r.Context(), closing)
}

// ConnState is for an http.Server. It closes connections above MaxHTTP, and above
// MaxPerAddress unless Config.Address is given: the address of a connection is
// then the proxy's.
func (in *Intake) ConnState(c net.Conn, state http.ConnState) { in.open.changed(c, state) }

// Stats are counts of an Intake.
type Stats struct {
	Running int    // handshakes that have their turn
	Waiting int    // for it
	Waited  uint64 // had to, whatever became of them
	Refused uint64 // because too many waited, or for having waited too long
	Queued  int    // connections that wait in a Listener, before anything is read of them
}

// Stats returns what was counted so far.
func (in *Intake) Stats() Stats {
	s := in.gate.stats()
	s.Queued = int(in.queued.Load()) + in.accepts.stats().Waiting
	return s
}

// Why a client is refused.
var (
	ErrAddress = errors.New("too many connections from this address")
	ErrHTTP    = errors.New("too many HTTP connections")
	ErrCrowded = errors.New("too many clients are connecting, try again later")
	ErrLate    = errors.New("the server is too busy to let clients in, try again later")
	ErrClosing = errors.New("the server is shutting down")
	ErrGone    = errors.New("the client has gone away")
)

// RetryAfter is the Retry-After, in seconds, of a handshake that was refused a turn.
const RetryAfter = "2"

// A Refusal is a bound that a client met.
type Refusal struct {
	Err   error // one of the above, and what the client may be told
	Limit any   // the bound: an int or a time.Duration
}

func (r *Refusal) Error() string { return fmt.Sprintf("intake: %v (limit %v)", r.Err, r.Limit) }
func (r *Refusal) Unwrap() error { return r.Err }

// Status is the HTTP status for it.
func (r *Refusal) Status() int {
	if errors.Is(r.Err, ErrAddress) {
		return http.StatusTooManyRequests
	}
	return http.StatusServiceUnavailable
}
