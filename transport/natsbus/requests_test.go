package natsbus

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/bus"
)

func TestRequestsRemembersTheNewestOnly(t *testing.T) {
	var r requests
	var tokens []string
	const n = 3*maxRequests + 7
	for i := range n {
		tokens = append(tokens, string(r.add(nil, bus.Lane(i), string(rune('a'+i%26)))))
		require.LessOrEqual(t, len(r.ring), maxRequests)
	}
	for i, token := range tokens {
		lane, dest, ok := r.take(token)
		require.Equal(t, i >= n-maxRequests, ok, "%d", i)
		if ok {
			require.Equal(t, bus.Lane(i), lane)
			require.Equal(t, string(rune('a'+i%26)), dest)
			_, _, ok = r.take(token)
			require.False(t, ok, "once")
		}
	}
}
