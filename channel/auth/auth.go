package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// Assigns that an [Authenticator] gives a connection.
const (
	// AssignUser has the subject, a string; see [Config.Subject].
	AssignUser = "user_id"
	// assignClaims has the [Claims] of the latest token; see [ClaimsOf].
	assignClaims = "claims"
	// assignLease has the *lease.
	assignLease = "rollcall.token"
)

// Config configures an [Authenticator]. Verifier is required. Functions are called
// concurrently and must not block. All but Connect are called again for a renewal.
type Config struct {
	// Verifier reads the tokens.
	Verifier Verifier
	// Param is the connect parameter with the token of clients that do not send it
	// separately (authToken of phoenix.js). Prefer the latter: parameters are part of
	// the URL and appear in logs of proxies. Default "token"; Supabase's clients send
	// "apikey".
	Param string
	// Subject returns the user that a token belongs to. "" refuses the token with
	// ErrSubject. Default: Claims.Subject.
	Subject func(Claims) (string, error)
	// ID returns the id of the connection, by which it can be disconnected, or "";
	// see [channel.Conn.SetID]. Default: "user_socket:" and the subject.
	ID func(subject string, claims Claims) string
	// Assigns returns further assigns of the connection. "claims" and [AssignUser] are
	// replaced. Default: none.
	Assigns func(subject string, claims Claims) map[string]any
	// Connect is called after the token was accepted and the assigns were set. Its
	// error refuses the connection, as that of a [channel.Handler] does.
	Connect func(ctx context.Context, r *channel.ConnectRequest) error
	now     func() time.Time // nil but in tests: time.Now
}

// Authenticator admits connections that have a token, and closes them when the token
// expires. Its methods may be called concurrently.
type Authenticator struct {
	// static after New
	config Config

	// running counts the set timer, and its function while it runs
	running sync.WaitGroup

	// guarded by mu
	mu      sync.Mutex
	closed  bool
	leases  leases
	timer   *time.Timer
	armed   time.Time // when the timer fires, zero: it is not set
	sweepAt int       // number of leases that starts a sweep
}

// maxWait is the longest time between two looks at the clock, which may be set, and
// stands still while a machine sleeps.
const maxWait = time.Minute

// statusUnavailable is the HTTP status; net/http is for the transports.
const statusUnavailable = 503

// minSweep is the fewest leases that are worth a sweep.
const minSweep = 1024

// New returns an Authenticator. Nothing runs before the first connection. The error names
// what is wrong with the config.
func New(cfg Config) (*Authenticator, error) {
	if cfg.Verifier == nil {
		return nil, errors.New("auth: Config.Verifier is nil")
	}
	if cfg.Param == "" {
		cfg.Param = "token"
	}
	if cfg.Subject == nil {
		cfg.Subject = func(claims Claims) (string, error) { return claims.Subject, nil }
	}
	if cfg.ID == nil {
		cfg.ID = func(subject string, _ Claims) string { return "user_socket:" + subject }
	}
	if cfg.Assigns == nil {
		cfg.Assigns = func(string, Claims) map[string]any { return nil }
	}
	if cfg.Connect == nil {
		cfg.Connect = func(context.Context, *channel.ConnectRequest) error { return nil }
	}
	if cfg.now == nil {
		cfg.now = time.Now
	}
	return &Authenticator{config: cfg, sweepAt: minSweep}, nil
}

// Connect is the Connect of a [channel.Handler]. It admits a connection with a genuine
// token, sets its id and assigns, and closes it when the token expires. Other connections
// are refused with 403. The error says why, for the log, and contains no part of a token.
func (a *Authenticator) Connect(ctx context.Context, r *channel.ConnectRequest) error {
	text := r.Info.AuthToken
	if text == "" {
		text = r.Params.String(a.config.Param)
	}
	admitted, err := a.verify(text)
	if err != nil {
		return err
	}
	r.SetID(admitted.id)
	l := newLease(a, r.Conn, admitted)
	r.Assign(assignLease, l)
	admitted.assign(r.Conn)
	if err := a.config.Connect(ctx, r); err != nil {
		return err
	}
	return a.add(l)
}

// admission is the result of a genuine token.
type admission struct {
	claims  Claims
	subject string
	id      string // "": none
	assigns map[string]any
}

func (a *Authenticator) verify(text string) (admission, error) {
	claims, err := a.config.Verifier.Verify(a.config.now(), text)
	if err != nil {
		return admission{}, withoutToken(err, text)
	}
	subject, err := a.config.Subject(claims)
	if err != nil {
		return admission{}, withoutToken(fmt.Errorf("%w: %w", ErrSubject, err), text)
	}
	if subject == "" {
		return admission{}, ErrSubject
	}
	return admission{
		claims:  claims,
		subject: subject,
		id:      a.config.ID(subject, claims),
		assigns: a.config.Assigns(subject, claims),
	}, nil
}

// withoutToken returns err, or, if the text of err contains the token or a part of it, the
// error of this package that err wraps.
func withoutToken(err error, text string) error {
	for _, part := range append(strings.Split(text, "."), text) {
		// A short part, such as a header, is no secret, and may be a word.
		if len(part) >= 8 && strings.Contains(err.Error(), part) {
			for _, known := range []error{ErrExpired, ErrMissing, ErrSubject} {
				if errors.Is(err, known) {
					return known
				}
			}
			return ErrInvalid
		}
	}
	return err
}

func (ad admission) assign(c *channel.Conn) {
	for key, value := range ad.assigns {
		c.Assign(key, value)
	}
	c.Assign(AssignUser, ad.subject)
	c.Assign(assignClaims, ad.claims)
}

// Close stops closing connections, and waits for closes that are in progress. Then
// Connect and Renew fail with ErrClosed. Close the endpoint first.
func (a *Authenticator) Close() {
	a.mu.Lock()
	a.closed = true
	a.leases = nil
	a.disarm()
	a.mu.Unlock()
	a.running.Wait()
}

// add starts to enforce a lease.
func (a *Authenticator) add(l *lease) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return &channel.ConnectError{Status: statusUnavailable, Err: ErrClosed}
	}
	a.put(l)
	return nil
}

// put orders a lease by its end, and sets the timer. a.mu is held.
func (a *Authenticator) put(l *lease) {
	if l.expires.IsZero() {
		a.leases.remove(l)
		return
	}
	if len(a.leases) >= a.sweepAt {
		a.leases.sweep()
		a.sweepAt = max(minSweep, 2*len(a.leases))
	}
	a.leases.put(l)
	a.arm()
}

// arm sets the timer for the first end, unless it fires before that. a.mu is held.
func (a *Authenticator) arm() {
	if len(a.leases) == 0 {
		a.disarm()
		return
	}
	now := a.config.now()
	wait := min(max(a.leases[0].expires.Sub(now), 0), maxWait)
	if !a.armed.IsZero() && !a.armed.After(now.Add(wait)) {
		return
	}
	a.disarm()
	a.armed = now.Add(wait)
	a.running.Add(1)
	a.timer = time.AfterFunc(wait, a.expire)
}

// disarm stops the timer. One that has fired closes what is due. a.mu is held.
func (a *Authenticator) disarm() {
	if a.timer != nil && a.timer.Stop() {
		a.running.Done()
	}
	a.timer, a.armed = nil, time.Time{}
}

// expire is the timer's function. It closes connections whose token has expired with 1001,
// after which clients reconnect with the token that their parameters then have.
func (a *Authenticator) expire() {
	defer a.running.Done()
	for _, l := range a.due() {
		if c := l.conn.Value(); c != nil {
			c.Close(wire.CloseGoingAway, "token expired")
		}
	}
}

// due removes the leases that have ended.
func (a *Authenticator) due() []*lease {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	due := a.leases.due(a.config.now())
	a.disarm()
	a.arm()
	return due
}
