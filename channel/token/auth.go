package token

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

// Assigns that an [Auth] gives to a connection.
const (
	// AssignClaims has the [Claims] of the latest token; see [ClaimsOf].
	AssignClaims = "claims"
	// AssignUser has whose connection it is, a string: [AuthConfig.Subject].
	AssignUser = "user_id"
	// assignLease has the *lease.
	assignLease = "rollcall.token"
)

// AuthConfig is what an [Auth] is made of. Verifier is required. The functions
// are called concurrently, must not block, and are called again with every new
// token of a connection.
type AuthConfig struct {
	// Verifier tells what a token says: *[Keys], or one of package jwtauth.
	Verifier Verifier
	// Param is the connect parameter that has the token where the client does not
	// send it apart from the parameters (authToken of phoenix.js), which is better:
	// parameters are part of an address, and end up in the logs of proxies.
	// Default "token". Supabase's clients say "apikey".
	Param string
	// Subject tells whose token it is. Default: Claims.Subject. A token of nobody
	// ("") is refused with ErrSubject.
	Subject func(Claims) (string, error)
	// ID is the id of the connection, by which it can be disconnected; see
	// [channel.Conn.SetID]. Default: "user_socket:" and the subject. It may be "".
	ID func(subject string, claims Claims) string
	// Assigns are further assigns of the connection. Default: none.
	Assigns func(subject string, claims Claims) map[string]any
	// Connect is called when the token was good and the assigns are made. Its
	// error refuses the connection, as that of [channel.Handler].
	Connect func(ctx context.Context, c *channel.Conn) error
	// Now is the clock, that of the wall. Default: time.Now.
	Now func() time.Time
}

// An Auth lets clients in that have a token, and no longer than the token lives.
// Its method Connect is a [channel.Handler]'s Connect. All methods may be called
// concurrently.
type Auth struct {
	// static after NewAuth
	config AuthConfig

	// running counts the timer that is set, and its function while it runs.
	running sync.WaitGroup

	mu      sync.Mutex
	closed  bool
	leases  leases
	timer   *time.Timer
	armed   time.Time // when the timer rings, zero: it is not set
	sweepAt int       // so many leases are looked through for dead ones
}

// maxWait is the longest time for which the clock is not looked at: it may be
// set, and a machine may sleep.
const maxWait = time.Minute

// statusUnavailable is the HTTP status; net/http is for the transports.
const statusUnavailable = 503

// minSweep is the fewest leases that are worth looking through.
const minSweep = 1024

// NewAuth checks the config. Nothing runs before the first connection.
func NewAuth(cfg AuthConfig) (*Auth, error) {
	if cfg.Verifier == nil {
		return nil, errors.New("token: AuthConfig.Verifier is nil")
	}
	setDefault(&cfg.Param, "token")
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
		cfg.Connect = func(context.Context, *channel.Conn) error { return nil }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	return &Auth{config: cfg, sweepAt: minSweep}, nil
}

// Connect admits a connection with a good token: it sets the id and the assigns,
// and sees to it that the connection ends with the token. Any other is refused
// with 403. The error says why, for the log, and contains no part of a token.
func (a *Auth) Connect(ctx context.Context, c *channel.Conn) error {
	text := c.Info.AuthToken
	if text == "" {
		text = c.Params.String(a.config.Param)
	}
	admitted, err := a.verify(text)
	if err != nil {
		return err
	}
	c.SetID(admitted.id)
	l := newLease(a, c, admitted)
	c.Assign(assignLease, l)
	admitted.assign(c)
	if err := a.config.Connect(ctx, c); err != nil {
		return err
	}
	return a.add(l)
}

// An admission is a good token and what follows from it.
type admission struct {
	claims  Claims
	subject string
	id      string // "": none
	assigns map[string]any
}

func (a *Auth) verify(text string) (admission, error) {
	claims, err := a.config.Verifier.Verify(a.config.Now(), text)
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

// withoutToken is err, unless its text has the token in it, or one of the
// token's parts: then it is the error of ours that it was.
func withoutToken(err error, text string) error {
	for _, part := range append(strings.Split(text, "."), text) {
		// A short part, such as XCP, is no secret, and may be a word.
		if len(part) >= 8 && part != protectedHS256 && strings.Contains(err.Error(), part) {
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
	c.Assign(AssignClaims, ad.claims)
}

// ClaimsOf is what the latest token of a connection says, and whether the
// connection was made with one.
func ClaimsOf(c *channel.Conn) (Claims, bool) {
	claims, ok := c.Value(AssignClaims).(Claims)
	return claims, ok
}

// Close stops enforcing the ends of tokens, and waits for what does. Connect and
// Renew fail with ErrClosed after it. Close the endpoint first.
func (a *Auth) Close() {
	a.mu.Lock()
	a.closed = true
	a.leases = nil
	a.disarm()
	a.mu.Unlock()
	a.running.Wait()
}

// add begins to enforce a lease.
func (a *Auth) add(l *lease) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return &channel.ConnectError{Status: statusUnavailable, Err: ErrClosed}
	}
	a.put(l)
	return nil
}

// put files a lease under its end, and sets the timer. a.mu is held.
func (a *Auth) put(l *lease) {
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

// arm sets the timer for the first end, unless it rings before that anyway.
// a.mu is held.
func (a *Auth) arm() {
	if len(a.leases) == 0 {
		a.disarm()
		return
	}
	now := a.config.Now()
	wait := min(max(a.leases[0].expires.Sub(now), 0), maxWait)
	if !a.armed.IsZero() && !a.armed.After(now.Add(wait)) {
		return
	}
	a.disarm()
	a.armed = now.Add(wait)
	a.running.Add(1)
	a.timer = time.AfterFunc(wait, a.expire)
}

// disarm takes the timer back. One that rings already does nothing if it is not
// the last. a.mu is held.
func (a *Auth) disarm() {
	if a.timer != nil && a.timer.Stop() {
		a.running.Done()
	}
	a.timer, a.armed = nil, time.Time{}
}

// expire is the timer's function: it closes the connections whose token has
// ended with 1001, on which clients come back, with the token that their
// parameters have by then.
func (a *Auth) expire() {
	defer a.running.Done()
	for _, l := range a.due() {
		if c := l.conn.Value(); c != nil {
			c.Close(wire.CloseGoingAway, "token expired")
		}
	}
}

// due takes out the leases that have ended.
func (a *Auth) due() []*lease {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.closed {
		return nil
	}
	due := a.leases.due(a.config.Now())
	a.disarm()
	a.arm()
	return due
}
