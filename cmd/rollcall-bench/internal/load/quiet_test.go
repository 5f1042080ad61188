package load

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A delivery delayed by the load counts in the step in which it was due.
func TestALatencyOfTheQuietRoomBelongsToTheStepInWhichItWasDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quietRoom{origin: time.Now()}
		c := &client{}
		come := func(seq int64) error {
			return q.handle(c, frame{event: []byte(publishEvent), payload: fmt.Appendf(nil, `{"s":%d,"p":"x"}`, seq)})
		}
		q.during("before", time.Now())
		time.Sleep(5 * time.Millisecond)
		require.NoError(t, come(1)) // due at 0
		time.Sleep(25 * time.Millisecond)
		q.during("storm", time.Unix(0, time.Now().UnixNano()))
		time.Sleep(20 * time.Millisecond)
		require.NoError(t, come(2)) // due at 20 ms, before the storm
		require.NoError(t, come(3)) // due at 40 ms
		before, storm := &q.steps[0].latency, &q.steps[1].latency
		require.EqualValues(t, 2, before.Count())
		require.InEpsilon(t, 5e6, float64(before.Percentile(50)), 0.01)
		require.InEpsilon(t, 30e6, float64(before.Percentile(100)), 0.01)
		require.EqualValues(t, 1, storm.Count())
		require.InEpsilon(t, 10e6, float64(storm.Percentile(100)), 0.01)
		require.EqualValues(t, 3, q.delivered.Load())
		require.ErrorContains(t, come(5), "delivery 5 came after 3")
	})
}

// The error has the reason.
func TestAQuietRoomThatDoesNotStartIsAnError(t *testing.T) {
	target := &url.URL{Scheme: "ws", Host: "127.0.0.1:1", Path: "/socket/websocket"}
	for what, command := range map[string][]string{
		"no command that starts":          nil,
		"no such file":                    {"/nonexistent"},
		"its log: not here":               {"sh", "-c", "echo not here >&2; exit 1"},
		`unexpected output "something\n"`: {"sh", "-c", "echo something"},
		"context deadline":                {"sh", "-c", "echo 'quiet room: ready'; cat >/dev/null"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		r := &run{Config: &Config{QuietCommand: command}, show: &progress{}}
		_, err := r.openQuietRooms(ctx, target)
		require.ErrorContains(t, err, what)
		cancel()
	}
	require.ErrorContains(t, ServeQuietRoom(t.Context(), strings.NewReader(""), io.Discard, "http://example.com", "room:q"), "only this machine may be loaded")
	require.ErrorContains(t, ServeQuietRoom(t.Context(), strings.NewReader(""), io.Discard, "http://127.0.0.1:1", "room:q"), "quiet room: connect to")
}
