package cookie

import (
	"bytes"
	"crypto"
	"encoding/base64"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/plug"
)

// made are the lines of testdata/plug.txt of one kind.
func made(t testing.TB, kind string) (lines [][]string) {
	t.Helper()
	text, err := os.ReadFile("testdata/plug.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 4 && fields[0] == kind {
			lines = append(lines, fields[1:])
		}
	}
	require.NotEmpty(t, lines)
	return lines
}

// plugStores are the options of Plug.Session that cookies were made with.
var plugStores = map[string]func(*plug.CookieConfig){
	"signed":         func(*plug.CookieConfig) {},
	"signed_long":    func(c *plug.CookieConfig) { c.Keys.KeyLength = 64 },
	"signed_digest":  func(c *plug.CookieConfig) { c.Keys.Digest, c.Keys.Iterations = crypto.SHA512, 7 },
	"encrypted":      func(c *plug.CookieConfig) { c.EncryptionSalt = "enc salt" },
	"encrypted_long": func(c *plug.CookieConfig) { c.EncryptionSalt, c.Keys.KeyLength = "enc salt", 64 },
}

var plugSessions = map[string]map[string]any{
	"empty": {},
	"user":  {"user_id": int64(7)},
	"csrf":  {"_csrf_token": csrfState, "live_socket_id": "users_sessions:Ω", "user_token": "\x01\x02\xff"},
	"flash": {"phoenix_flash": map[any]any{"info": "Welcome"}, "user_id": int64(-12), "roles": []any{plug.Atom("admin"), "x"}},
}

// B014: cookies that Plug made are read, and the same are made; what is the same
// byte for byte Plug reads too.
func TestCookiesAreThoseThatPlugMakes(t *testing.T) {
	for _, kind := range []string{"cookie", "cookie1"} {
		for _, line := range made(t, kind) {
			t.Run(kind+"/"+line[0]+"/"+line[1], func(t *testing.T) {
				change, ok := plugStores[line[0]]
				require.True(t, ok)
				session, ok := plugSessions[line[1]]
				require.True(t, ok)
				config, value := keys, line[2]
				change(&config)
				store := newStore(t, without, func(c *Config) { c.Cookies = config })
				read, err := store.Read(request(value, ""))
				require.NoError(t, err)
				require.Equal(t, session, read)
				if kind == "cookie1" {
					return // of plug_crypto 1: read, not made
				}
				if text, ok := strings.CutPrefix(value, "XCP."); ok { // encrypted: it begins with its nonce
					sealed, err := base64.RawURLEncoding.DecodeString(text)
					require.NoError(t, err)
					config.Keys.Rand = bytes.NewReader(sealed)
				}
				cookies, err := plug.NewCookies(config)
				require.NoError(t, err)
				content, err := plug.EncodeTerm(session)
				require.NoError(t, err)
				ours, err := cookies.Seal(content)
				require.NoError(t, err)
				require.Equal(t, value, ours)
			})
		}
	}
}

// B014: the CSRF tokens that Plug gives to pages are those of their sessions, and
// of no other.
func TestCSRFTokensOfPlugMatchTheirSessions(t *testing.T) {
	lines := made(t, "csrf")
	for _, session := range lines {
		cookie := sealed(t, map[string]any{"_csrf_token": session[0]})
		for _, page := range lines {
			_, err := newStore(t).Read(request(cookie, page[2]))
			if page[0] == session[0] {
				require.NoError(t, err)
			} else {
				require.ErrorIs(t, err, ErrCSRF)
			}
		}
	}
}
