package auth

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// testLink records what a client is sent.
type testLink struct {
	mu     sync.Mutex
	frames []string
	code   int // of the close frame, 0 before
}

func (l *testLink) Send(frames ...*wire.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range frames {
		l.frames = append(l.frames, string(f.Data))
	}
}

func (l *testLink) Close(code int, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.code == 0 {
		l.code = code
	}
}

// echo is a channel that can be renewed.
type echo struct{}

func (echo) Join(context.Context, *channel.Socket, channel.Payload) (any, error) { return nil, nil }
func (echo) HandleIn(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	if result, handled := HandleIn(s, event, payload); handled {
		return result
	}
	return channel.OK(map[string]any{"user": s.Value(AssignUser), "role": s.Value("role")})
}

// tokens issues tokens, and is their Verifier.
type tokens struct {
	mu     sync.Mutex
	issued []Claims // by the number in the token
}

func (v *tokens) issue(claims Claims) string {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.issued = append(v.issued, claims)
	return fmt.Sprintf("header.payload-of-token.%06d", len(v.issued)-1)
}

func (v *tokens) Verify(now time.Time, token string) (Claims, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	n, err := strconv.Atoi(token[strings.LastIndexByte(token, '.')+1:])
	switch {
	case token == "":
		return Claims{}, ErrMissing
	case err != nil:
		return Claims{}, fmt.Errorf("%w: signature", ErrInvalid)
	}
	claims := v.issued[n]
	if !claims.ExpiresAt.IsZero() && claims.ExpiresAt.Before(now) {
		return Claims{}, ErrExpired
	}
	return claims, nil
}

const forever time.Duration = -1

// bench is an endpoint with an Authenticator, in a bubble.
type bench struct {
	t        *testing.T
	tokens   tokens
	auth     *Authenticator
	endpoint *channel.Endpoint
	handler  *channel.Handler
	log      bytes.Buffer
}

func newBench(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t}
	cfg := Config{Verifier: &b.tokens}
	for _, f := range change {
		f(&cfg)
	}
	var err error
	b.auth, err = New(cfg)
	require.NoError(t, err)
	b.endpoint, err = channel.New(channel.Config{Logger: slog.New(slog.NewTextHandler(&b.log, nil))})
	require.NoError(t, err)
	b.handler, err = channel.NewHandler(channel.Handler{
		Connect: b.auth.Connect,
		Routes:  []channel.Route{{Pattern: "echo:*", New: func() channel.Channel { return echo{} }}},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, b.endpoint.Close(context.Background()))
		b.auth.Close()
	})
	return b
}

// token returns a token of data that expires maxAge from now, after forever never.
func (b *bench) token(data any, maxAge time.Duration) string {
	claims := Claims{Data: data, SignedAt: time.Now(), ExpiresAt: time.Now().Add(maxAge)}
	claims.Subject, _ = data.(string)
	if maxAge == forever {
		claims.ExpiresAt = time.Time{}
	}
	return b.tokens.issue(claims)
}

func (b *bench) connect(authToken, query string) (*channel.Conn, error) {
	b.t.Helper()
	params, err := url.ParseQuery(query)
	require.NoError(b.t, err)
	params.Set("vsn", "2.0.0")
	return b.endpoint.Connect(b.t.Context(), b.handler, wire.ConnectInfo{Transport: "test", Params: params, AuthToken: authToken})
}

// field returns a field of data.
func field(claims Claims, key string) string { return claims.Data.(map[string]string)[key] }

type client struct {
	t    *testing.T
	conn *channel.Conn
	link *testLink
}

func (b *bench) client(token string) *client {
	b.t.Helper()
	conn, err := b.connect(token, "")
	require.NoError(b.t, err)
	c := &client{b.t, conn, &testLink{}}
	conn.Start(c.link)
	c.get(`["1","1","echo:a","phx_join",{}]`)
	return c
}

// get sends a frame and returns what comes back.
func (c *client) get(frame string) string {
	c.t.Helper()
	require.Nil(c.t, c.conn.Receive(false, []byte(frame)))
	synctest.Wait()
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	defer func() { c.link.frames = nil }()
	return strings.Join(c.link.frames, "\n")
}

func (c *client) renew(token string) string {
	return c.get(fmt.Sprintf(`["1","2","echo:a","access_token",{"access_token":%q}]`, token))
}

func (c *client) code() int {
	synctest.Wait()
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.link.code
}

const renewed = `["1","2","echo:a","phx_reply",{"response":{},"status":"ok"}]`

func refusedFor(reason string) string {
	return fmt.Sprintf(`["1","2","echo:a","phx_reply",{"response":{"reason":%q},"status":"error"}]`, reason)
}

func TestATokenIsTakenFromTheConnectionOrItsParameters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		bob, eve := b.token("bob", time.Hour), b.token("eve", time.Hour)
		for _, c := range []struct{ authToken, query string }{
			{bob, ""}, {"", "token=" + bob}, {bob, "token=" + eve},
		} {
			conn, err := b.connect(c.authToken, c.query)
			require.NoError(t, err)
			require.Equal(t, "user_socket:bob", conn.ID())
			require.Equal(t, "bob", conn.Value(AssignUser))
			claims, ok := ClaimsOf(conn)
			require.True(t, ok)
			require.Equal(t, "bob", claims.Data)
			conn.Closed(wire.ReasonClosed)
		}
	})
}

func TestTheConfigChoosesParameterSubjectIDAndAssigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var admitted string
		b := newBench(t, func(c *Config) {
			c.Param = "apikey"
			c.Subject = func(claims Claims) (string, error) { return field(claims, "id"), nil }
			c.ID = func(subject string, claims Claims) string { return "u:" + subject }
			c.Assigns = func(subject string, claims Claims) map[string]any {
				return map[string]any{"role": field(claims, "role")}
			}
			c.Connect = func(_ context.Context, c *channel.ConnectRequest) error {
				admitted = c.ID() + " " + c.Value("role").(string)
				return nil
			}
		})
		conn, err := b.connect("", "apikey="+b.token(map[string]string{"id": "7", "role": "admin"}, time.Hour))
		require.NoError(t, err)
		require.Equal(t, "u:7 admin", admitted)
		require.Equal(t, "7", conn.Value(AssignUser))
		conn.Closed(wire.ReasonClosed)
	})
}

func TestWithoutAGoodTokenAConnectionIsRefusedWith403AndALoggedReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		good := b.token("bob", time.Hour)
		old := b.token("bob", -time.Hour)
		for _, c := range []struct {
			name, token, logged string
			want                error
		}{
			{"no token", "", "auth: missing token", ErrMissing},
			{"an expired token", old, "auth: expired token", ErrExpired},
			{"a forged token", good[:len(good)-6] + "forged", "auth: invalid token", ErrInvalid},
			{"a token of nobody", b.token(nil, time.Hour), "auth: token without subject", ErrSubject},
			{"a token of an empty name", b.token("", time.Hour), "auth: token without subject", ErrSubject},
		} {
			b.log.Reset()
			_, err := b.connect(c.token, "")
			var refused *channel.ConnectError
			require.ErrorAs(t, err, &refused, c.name)
			require.Equal(t, 403, refused.Status, c.name)
			require.Empty(t, refused.Body, c.name)
			require.ErrorIs(t, err, c.want, c.name)
			require.Contains(t, b.log.String(), c.logged, c.name)
			for part := range strings.SplitSeq(c.token, ".") {
				if len(part) > 8 {
					require.NotContains(t, b.log.String(), part, c.name)
				}
			}
		}
	})
}

func TestARefusalOfAnotherVerifierNeverShowsTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const secret = "a-token-nobody.may-ever-see"
		for _, known := range []error{ErrInvalid, ErrExpired, ErrMissing} {
			for _, shown := range []string{secret, "may-ever-see"} {
				b := newBench(t, func(c *Config) {
					c.Verifier = VerifierFunc(func(time.Time, string) (Claims, error) {
						return Claims{}, fmt.Errorf("%w: cannot parse %q", known, shown)
					})
				})
				_, err := b.connect(secret, "")
				require.ErrorIs(t, err, known)
				require.NotContains(t, err.Error(), shown)
				require.NotContains(t, b.log.String(), shown)
				require.Contains(t, b.log.String(), known.Error())
			}
		}
		b := newBench(t, func(c *Config) {
			c.Verifier = VerifierFunc(func(time.Time, string) (Claims, error) { return Claims{}, errors.New("the directory is down") })
		})
		_, err := b.connect(secret, "")
		require.ErrorContains(t, err, "the directory is down")
	})
}

func TestTheApplicationsConnectRefusesAfterTheToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) {
			c.Connect = func(context.Context, *channel.ConnectRequest) error { return &channel.ConnectError{Status: 429} }
		})
		_, err := b.connect(b.token("bob", time.Hour), "")
		var refused *channel.ConnectError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, 429, refused.Status)
		require.Empty(t, b.auth.leases)
	})
}

func TestAConnectionEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		bob := b.client(b.token("bob", 10*time.Minute))
		eve := b.client(b.token("eve", 20*time.Minute))
		ann := b.client(b.token("ann", forever))
		time.Sleep(10*time.Minute - time.Millisecond)
		require.Zero(t, bob.code())
		time.Sleep(time.Millisecond)
		require.Equal(t, wire.CloseGoingAway, bob.code(), "a code on which clients come back")
		require.Zero(t, eve.code())
		time.Sleep(10 * time.Minute)
		require.Equal(t, wire.CloseGoingAway, eve.code())
		time.Sleep(10000 * time.Hour)
		require.Zero(t, ann.code())
		require.Empty(t, b.auth.leases)
	})
}

func TestAConnectionWithoutIDEndsWithItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) { c.ID = func(string, Claims) string { return "" } })
		short := b.client(b.token("bob", time.Minute))
		long := b.client(b.token("bob", time.Hour))
		require.Empty(t, short.conn.ID())
		time.Sleep(time.Minute)
		require.Equal(t, wire.CloseGoingAway, short.code())
		require.Zero(t, long.code())
		require.JSONEq(t, renewed, long.renew(b.token("bob", 2*time.Hour)))
	})
}

func TestOfTwoConnectionsOfAUserOnlyTheOneWithTheOldTokenEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		short, long := b.client(b.token("bob", time.Minute)), b.client(b.token("bob", time.Hour))
		time.Sleep(time.Minute)
		require.Equal(t, wire.CloseGoingAway, short.code())
		require.Zero(t, long.code())
	})
}

func TestAConnectionWhoseTokenEndsBeforeItsStartEndsWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		conn, err := b.connect(b.token("bob", time.Millisecond), "")
		require.NoError(t, err)
		time.Sleep(time.Second) // the upgrade
		link := &testLink{}
		conn.Start(link)
		c := &client{t, conn, link}
		require.Equal(t, wire.CloseGoingAway, c.code())
	})
}

func TestARenewedConnectionLivesWithItsNewToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, func(c *Config) {
			c.Subject = func(claims Claims) (string, error) { return field(claims, "id"), nil }
			c.Assigns = func(_ string, claims Claims) map[string]any {
				return map[string]any{"role": field(claims, "role")}
			}
		})
		data := func(role string) any { return map[string]string{"id": "bob", "role": role} }
		c := b.client(b.token(data("guest"), 10*time.Minute))
		for range 10 {
			time.Sleep(9 * time.Minute)
			require.JSONEq(t, renewed, c.renew(b.token(data("admin"), 10*time.Minute)))
		}
		require.Contains(t, c.get(`["1","3","echo:a","who",{}]`), `{"role":"admin","user":"bob"}`)
		claims, _ := ClaimsOf(c.conn)
		require.Equal(t, "admin", field(claims, "role"))
		require.Len(t, b.auth.leases, 1)

		require.JSONEq(t, renewed, c.renew(b.token(data("admin"), forever)))
		require.Empty(t, b.auth.leases)
		time.Sleep(100 * time.Hour)
		require.Zero(t, c.code())

		require.JSONEq(t, renewed, c.renew(b.token(data("admin"), time.Minute)), "a shorter life counts too")
		time.Sleep(time.Minute)
		require.Equal(t, wire.CloseGoingAway, c.code())
	})
}

func TestARenewalThatFailsLeavesTheOldToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		c := b.client(b.token("bob", 10*time.Minute))
		old := b.token("bob", -time.Hour)
		good := b.token("bob", time.Hour)
		require.JSONEq(t, refusedFor("other user"), c.renew(b.token("eve", time.Hour)))
		require.JSONEq(t, refusedFor("expired"), c.renew(old))
		require.JSONEq(t, refusedFor("missing"), c.renew(""))
		require.JSONEq(t, refusedFor("invalid"), c.renew(good[:len(good)-6]+"forged"))
		require.JSONEq(t, refusedFor("invalid"), c.renew(b.token(nil, time.Hour)))
		require.JSONEq(t, refusedFor("missing"), c.get(`["1","2","echo:a","access_token",{"access_token":7}]`))
		require.Equal(t, "bob", c.conn.Value(AssignUser))
		time.Sleep(10 * time.Minute)
		require.Equal(t, wire.CloseGoingAway, c.code())
		require.ErrorIs(t, renew(c.conn, b.token("bob", time.Hour)), ErrExpired, "too late")
	})
}

func TestAConnectionOfAnotherHandlerCannotBeRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		conn, err := b.endpoint.Connect(t.Context(), mustHandler(channel.Handler{}), wire.ConnectInfo{})
		require.NoError(t, err)
		require.ErrorIs(t, renew(conn, b.token("bob", time.Hour)), ErrNotAuthenticated)
		_, ok := ClaimsOf(conn)
		require.False(t, ok)
	})
}

func TestAClosedAuthAdmitsAndRenewsNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		c := b.client(b.token("bob", time.Minute))
		b.auth.Close()
		_, err := b.connect(b.token("bob", time.Hour), "")
		var refused *channel.ConnectError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, 503, refused.Status)
		require.ErrorIs(t, renew(c.conn, b.token("bob", time.Hour)), ErrClosed)
		time.Sleep(time.Hour)
		require.Zero(t, c.code())
	})
}

func TestAClockThatIsSetForwardIsNoticedWithinAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var ahead time.Duration
		b := newBench(t, func(c *Config) {
			c.now = func() time.Time {
				mu.Lock()
				defer mu.Unlock()
				return time.Now().Add(ahead)
			}
		})
		c := b.client(b.token("bob", 10*time.Hour))
		time.Sleep(time.Hour + time.Second)
		mu.Lock()
		ahead = 20 * time.Hour
		mu.Unlock()
		time.Sleep(maxWait)
		require.Equal(t, wire.CloseGoingAway, c.code())
	})
}

func TestManyConnectionsEndInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var clients []*client
		for i := range 100 {
			age := time.Duration(1+i*37%100) * time.Minute // 1 to 100, each once
			clients = append(clients, b.client(b.token(fmt.Sprint("user", i), age)))
		}
		for n := range 100 {
			time.Sleep(time.Minute)
			synctest.Wait()
			closed := 0
			for i, c := range clients {
				if c.code() != 0 {
					closed++
					require.LessOrEqual(t, 1+i*37%100, n+1)
				}
			}
			require.Equal(t, n+1, closed)
		}
	})
}

func TestRenewalsAndEndsRaceWithoutHarm(t *testing.T) {
	b := newBench(t, func(c *Config) { c.ID = func(string, Claims) string { return "" } })
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			user := fmt.Sprint("user", i)
			for range 50 {
				conn, err := b.connect(b.token(user, time.Hour), "")
				if err != nil {
					t.Error(err)
					return
				}
				conn.Start(&testLink{})
				for _, age := range []time.Duration{time.Hour, forever, time.Millisecond, time.Hour} {
					if err := renew(conn, b.token(user, age)); err != nil && !errors.Is(err, ErrExpired) {
						t.Error(err)
					}
				}
				conn.Closed(wire.ReasonClosed)
			}
		})
	}
	wg.Wait()
}

// Connections that have ended leave nothing for ever behind.
func TestLeasesOfDeadConnectionsAreSweptOut(t *testing.T) {
	b := newBench(t)
	alive, err := b.connect(b.token("alive", time.Hour), "")
	require.NoError(t, err)
	token := b.token("bob", time.Hour)
	for range 3 * minSweep {
		conn, err := b.connect(token, "")
		require.NoError(t, err)
		conn.Closed(wire.ReasonClosed)
		if len(b.auth.leases) == minSweep {
			runtime.GC()
		}
	}
	require.LessOrEqual(t, len(b.auth.leases), minSweep)
	l := alive.Value(assignLease).(*lease)
	require.True(t, slices.Contains(b.auth.leases, l))
	for i, l := range b.auth.leases {
		require.Equal(t, i, l.index)
	}
	runtime.KeepAlive(alive)
}

func TestNewNeedsAVerifier(t *testing.T) {
	_, err := New(Config{})
	require.ErrorContains(t, err, "auth: Config.Verifier")
}

// mustHandler checks a handler.
func mustHandler(h channel.Handler) *channel.Handler {
	checked, err := channel.NewHandler(h)
	if err != nil {
		panic(err)
	}
	return checked
}
