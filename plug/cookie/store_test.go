package cookie

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/plug"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A session's state and a page's token of it, made by Python (base64, and xor of
// the mask) as Plug.CSRFProtection does; the second in the standard alphabet, as
// its older releases do.
const (
	csrfState, csrfToken       = "4OHi4-Tl5ufo6err7O3u7_Dx", "eSUFWXp5DV96MQ1ZeR8FS2clCjRmCg48MjM0NTY3ODk6Ozw9Pj9AQUJD"
	csrfOldState, csrfOldToken = "8PHy8/T19vf4+fr7/P3+/w==", "eScZP3pIN3h6Jwl4bydCeGsocnlqEAAAAwQFBgcICQoLDA0ODxAREg=="
)

// keys are those of the application that made signedCookie, for which see the
// vectors of package plug: its session has csrfState, user_id 7 and user.
var keys = plug.CookieConfig{Keys: plug.KeyConfig{Secrets: []string{strings.Repeat("abcdefgh", 8)}}, SigningSalt: "sgn salt"}

const signedCookie = "SFMyNTY.g3QAAAADbQAAAAtfY3NyZl90b2tlbm0AAAAYNE9IaTQtVGw1dWZvNmVycjdPM3U3X0R4bQAAAAR1c2VydAAAAAF3BWFkbWludwR0cnVlbQAAAAd1c2VyX2lkYQc.fsnYW3kSrJgGsyMBnaNTwZdQ_tEz2_RQ4UNTlvRQ6OE"

func newStore(t testing.TB, change ...func(*Config)) *Store {
	t.Helper()
	cfg := Config{Name: "_app_key", Cookies: keys}
	for _, c := range change {
		c(&cfg)
	}
	s, err := New(cfg)
	require.NoError(t, err)
	return s
}

// request is a handshake with a cookie and a CSRF token; either may be empty.
func request(cookie, csrf string) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/socket/websocket?vsn=2.0.0", nil)
	if csrf != "" {
		r.URL.RawQuery += "&_csrf_token=" + url.QueryEscape(csrf)
	}
	if cookie != "" {
		r.Header.Add("Cookie", "other=1; _app_key="+cookie)
	}
	return r
}

// sealed is the cookie of a session.
func sealed(t testing.TB, session any) string {
	t.Helper()
	cookies, err := plug.NewCookies(keys)
	require.NoError(t, err)
	content, err := plug.EncodeTerm(session)
	require.NoError(t, err)
	value, err := cookies.Seal(content)
	require.NoError(t, err)
	return value
}

func without(config *Config) { config.NoCSRFCheck = true }

// B014: nil unless the cookie is valid and the CSRF token matches.
func TestSessionNeedsAValidCookieAndItsCSRFToken(t *testing.T) {
	session := map[string]any{"_csrf_token": csrfState, "user": map[any]any{plug.Atom("admin"): true}, "user_id": int64(7)}
	forged := signedCookie[:len(signedCookie)-1] + "A"
	for _, c := range []struct {
		name         string
		cookie, csrf string
		err          error // with the check
		unchecked    error // and without it
	}{
		{"both", signedCookie, csrfToken, nil, nil},
		{"no token", signedCookie, "", ErrCSRF, nil},
		{"the session's own state is no token", signedCookie, csrfState, ErrCSRF, nil},
		{"a token of another session", signedCookie, csrfOldToken, ErrCSRF, nil},
		{"a token with another mask", signedCookie, csrfToken[:31] + "9" + csrfToken[32:], ErrCSRF, nil},
		{"a token that is no base64", signedCookie, strings.Repeat("!", 56), ErrCSRF, nil},
		{"a token with line ends", signedCookie, "\r\n" + csrfToken[2:], ErrCSRF, nil},
		{"no cookie", "", csrfToken, http.ErrNoCookie, http.ErrNoCookie},
		{"a forged cookie", forged, csrfToken, plug.ErrInvalid, plug.ErrInvalid},
		{"no cookie of Plug", "junk", csrfToken, plug.ErrInvalid, plug.ErrInvalid},
		{"no map", sealed(t, "user 7"), csrfToken, plug.ErrInvalid, plug.ErrInvalid},
		{"another kind of keys", sealed(t, map[plug.Atom]any{"user_id": 7}), csrfToken, plug.ErrInvalid, plug.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, store := range []struct {
				*Store
				want error
			}{{newStore(t), c.err}, {newStore(t, without), c.unchecked}} {
				read, err := store.Read(request(c.cookie, c.csrf))
				got, never := store.Session(request(c.cookie, c.csrf))
				require.NoError(t, never)
				if store.want != nil {
					require.ErrorIs(t, err, store.want)
					require.Nil(t, got)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, session, read)
				require.Equal(t, session, got)
			}
		})
	}
	_, err := newStore(t, without).Read(request(sealed(t, map[string]any{}), ""))
	require.NoError(t, err)
	_, err = newStore(t).Read(request(sealed(t, map[string]any{}), csrfToken))
	require.ErrorIs(t, err, ErrCSRF, "a session without state")
	_, err = newStore(t).Read(request(sealed(t, map[string]any{"_csrf_token": 7}), csrfToken))
	require.ErrorIs(t, err, ErrCSRF)
}

// B014: csrf_token_key, and tokens of older releases.
func TestTheSessionsCSRFTokenIsWhereTheConfigSays(t *testing.T) {
	cookie := sealed(t, map[string]any{"_csrf_token": csrfState, "csrf": csrfOldState})
	_, err := newStore(t).Read(request(cookie, csrfToken))
	require.NoError(t, err)
	custom := newStore(t, func(c *Config) { c.CSRFKey = "csrf" })
	_, err = custom.Read(request(cookie, csrfToken))
	require.ErrorIs(t, err, ErrCSRF)
	_, err = custom.Read(request(cookie, csrfOldToken))
	require.NoError(t, err)
}

// B014: another serializer.
func TestAnotherSerializer(t *testing.T) {
	cookies, err := plug.NewCookies(keys)
	require.NoError(t, err)
	value, err := cookies.Seal([]byte(`{"user_id":7}`))
	require.NoError(t, err)
	_, err = newStore(t, without).Read(request(value, ""))
	require.ErrorIs(t, err, plug.ErrInvalid)
	inJSON := newStore(t, without, func(c *Config) {
		c.Decode = func(content []byte) (session map[string]any, err error) {
			return session, json.Unmarshal(content, &session)
		}
	})
	session, err := inJSON.Read(request(value, ""))
	require.NoError(t, err)
	require.Equal(t, map[string]any{"user_id": 7.0}, session)
}

func TestNewNamesEveryFaultAndNoSecret(t *testing.T) {
	_, err := New(Config{Cookies: plug.CookieConfig{Keys: plug.KeyConfig{Secrets: []string{"hunter2"}}, SigningSalt: "s"}})
	require.ErrorContains(t, err, "Name is empty")
	require.ErrorContains(t, err, "Secrets[0] has 7 bytes")
	require.NotContains(t, err.Error(), "hunter2")
}

// Why there is no session is logged, and no part of what the client sent.
func TestTheLogSaysWhyThereIsNoSession(t *testing.T) {
	var logged bytes.Buffer
	s := newStore(t, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&logged, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	_, _ = s.Session(request("", ""))
	require.Empty(t, logged.String(), "most clients have no cookie")
	_, _ = s.Session(request(signedCookie, csrfOldToken))
	require.Contains(t, logged.String(), "no matching CSRF token")
	_, _ = s.Session(request(signedCookie+"A", csrfToken))
	require.Contains(t, logged.String(), "plug: invalid")
	for _, secret := range []string{signedCookie[10:30], csrfToken, csrfOldToken} {
		require.NotContains(t, logged.String(), secret)
	}
}

func FuzzRead(f *testing.F) {
	f.Add(signedCookie, csrfToken)
	f.Add("SFMyNTY.g3QAAAAA.", csrfOldToken)
	f.Add(base64.RawURLEncoding.EncodeToString([]byte("x")), strings.Repeat("=", 56))
	store, err := New(Config{Name: "_app_key", Cookies: keys})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, cookie, csrf string) {
		session, err := store.Read(request(cookie, csrf))
		if err == nil && session["user_id"] != int64(7) {
			t.Errorf("%q was taken for a genuine cookie: %v", cookie, session)
		}
		if err != nil && !errors.Is(err, http.ErrNoCookie) && !errors.Is(err, plug.ErrInvalid) && !errors.Is(err, ErrCSRF) {
			t.Error(err)
		}
	})
}
