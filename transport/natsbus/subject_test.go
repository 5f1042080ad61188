package natsbus

import (
	"net/url"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/bus"
)

func TestSubjectsOfDestinations(t *testing.T) {
	tests := []struct{ dest, want string }{
		{"all", "all"},
		{"t:room:lobby", "t.room:lobby"},
		{"t:a.b", "t.a%2Eb"},
		{"t:*", "t.%2A"},
		{"t:>", "t.%3E"},
		{"t:%2A", "t.%252A"},
		{"t:", "t.%"},
		{":", "%.%"},
		{"*:*", "%2A.%2A"},
		{"a b\tc\r\n\x00\x7f", "a%20b%09c%0D%0A%00%7F"},
		{"t:été", "t.été"},
	}
	for _, tt := range tests {
		require.Equal(t, tt.want, string(appendDest(nil, tt.dest)))
	}
}

// FuzzSubject: every destination becomes one or two literal tokens, and the
// escaping can be undone by somebody else's code, so that no two give the same.
func FuzzSubject(f *testing.F) {
	for _, dest := range []string{"all", "t:*", "t:>", "t:", ":", "::", "*", ">", ".", "%", "%2A", " \t\r\n", "\x00\x7f", "\u0085\u2028é", strings.Repeat("*", bus.MaxDest)} {
		f.Add(dest)
	}
	f.Fuzz(func(t *testing.T, dest string) {
		if bus.CheckDest(dest) != nil {
			return
		}
		name := string(appendDest(nil, dest))
		subject := "rollcall." + name
		require.True(t, server.IsValidLiteralSubject(subject), "%q", subject)
		require.False(t, strings.ContainsAny(name, " \t\r\n*>"), "%q", name)
		require.LessOrEqual(t, len(name), 3*bus.MaxDest+2)
		tokens := strings.Split(name, ".")
		for i, token := range tokens {
			if token == "%" {
				tokens[i] = ""
			}
			var err error
			tokens[i], err = url.PathUnescape(tokens[i])
			require.NoError(t, err)
		}
		require.Equal(t, dest, strings.Join(tokens, ":"))
	})
}
