package natsbus

import (
	"net/url"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
)

func TestTokensOfDestinations(t *testing.T) {
	tests := []struct{ dest, want string }{
		{"all", "all"},
		{"t:room:lobby", "t:room:lobby"},
		{"t:a.b", "t:a%2Eb"},
		{"t:*", "t:%2A"},
		{"t:>", "t:%3E"},
		{"t:%2A", "t:%252A"},
		{"a b\tc\r\n\x00\x7f", "a%20b%09c%0D%0A%00%7F"},
		{"t:été", "t:été"},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, string(appendToken(nil, tt.dest)))
	}
}

// FuzzToken: every destination becomes one literal token, and the escaping can
// be undone by somebody else's code, so that no two give the same.
func FuzzToken(f *testing.F) {
	for _, dest := range []string{"all", "t:*", "t:>", "*", ">", ".", "%", "%2A", " \t\r\n", "\x00\x7f", "\u0085\u2028é", strings.Repeat("*", MaxDest)} {
		f.Add(dest)
	}
	f.Fuzz(func(t *testing.T, dest string) {
		if checkDest(dest) != nil {
			return
		}
		token := string(appendToken(nil, dest))
		subject := "rollcall." + token
		require.True(t, server.IsValidLiteralSubject(subject), "%q", subject)
		require.NotContains(t, token, ".")
		require.False(t, strings.ContainsAny(token, " \t\r\n*>"), "%q", token)
		require.LessOrEqual(t, len(token), 3*MaxDest)
		back, err := url.PathUnescape(token)
		require.NoError(t, err)
		require.Equal(t, dest, back)
	})
}
