package behaviour_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/presence"
)

// latest is the longest that a change may wait to be merged with others.
const latest = 500 * time.Millisecond

// room is a topic with many presences and one client, which is shown them.
type room struct {
	*testing.T
	session *presence.Session
	viewer  *client
	next    int
	changed map[string]time.Time // the changes not told of yet, by "join key" or "leave key"
}

func openRoom(t *testing.T, size int) *room {
	t.Helper()
	cl := startCluster(t, 1, channel.Config{})
	const each = 1000 // a session holds no more
	for from := 0; from < size; from += each {
		s := cl.trackers[0].NewSession()
		for i := from; i < min(from+each, size); i++ {
			_, err := s.Track("t", fmt.Sprint("seat", i), struct{}{})
			require.NoError(t, err)
		}
	}
	h := &room{T: t, session: cl.trackers[0].NewSession(), changed: map[string]time.Time{}}
	h.viewer = connect(t, cl.endpoints[0], serve(t, observing()), "viewer")
	h.viewer.join("t")
	h.quiet()
	return h
}

// quiet waits until the topic has been quiet for a while, and forgets what the
// viewer was sent.
func (h *room) quiet() {
	time.Sleep(time.Minute)
	h.viewer.take()
	clear(h.changed)
}

func (h *room) come() (key string) {
	h.Helper()
	key = fmt.Sprint("guest", h.next)
	h.next++
	_, err := h.session.Track("t", key, struct{}{})
	require.NoError(h, err)
	h.changed["join "+key] = time.Now()
	return key
}

func (h *room) leave(key string) {
	h.Helper()
	require.NoError(h, h.session.Untrack("t", key))
	h.changed["leave "+key] = time.Now()
}

// told returns how many diffs the viewer was sent for the changes since the last
// quiet, and how long each change waited.
func (h *room) told() (diffs int, waits []time.Duration) {
	h.Helper()
	all := of("presence_diff", h.viewer.take())
	for _, m := range all {
		d := diffOf(h, m)
		for kind, l := range map[string]shown{"join ": d.Joins, "leave ": d.Leaves} {
			for key := range l {
				require.Contains(h, h.changed, kind+key)
				waits = append(waits, m.at.Sub(h.changed[kind+key]))
				delete(h.changed, kind+key)
			}
		}
	}
	require.Empty(h, slices.Collect(maps.Keys(h.changed)), "changes that no diff tells of")
	return len(all), waits
}

func TestFirstDiffOfAQuietTopicIsSentAtOnce(t *testing.T) {
	for _, size := range []int{0, 20, 500} {
		synctest.Test(t, func(t *testing.T) {
			h := openRoom(t, size)
			key := h.come()
			diffs, waits := h.told()
			require.Equal(t, 1, diffs)
			require.Zero(t, waits[0])
			h.quiet()
			h.leave(key)
			time.Sleep(time.Minute)
			_, waits = h.told()
			require.LessOrEqual(t, waits[0], latest)
		})
	}
}

// busy makes 50 changes a second for 3 s, each of another key.
func (h *room) busy() (changes int) {
	for range 150 {
		h.come()
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(time.Minute)
	return 150
}

func TestChangesInABusyRoomAreMerged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openRoom(t, 100)
		changes := h.busy()
		diffs, _ := h.told()
		require.Less(t, diffs, changes)
	})
}

// A room of n clients is sent n frames for a diff.
func TestLargerRoomIsSentFewerDiffsForTheSameChanges(t *testing.T) {
	var diffs []int
	for _, size := range []int{0, 100, 6000} {
		synctest.Test(t, func(t *testing.T) {
			h := openRoom(t, size)
			h.busy()
			n, _ := h.told()
			diffs = append(diffs, n)
		})
	}
	require.Greater(t, diffs[0], diffs[1])
	require.Greater(t, diffs[1], diffs[2])
}

func TestNoChangeWaitsLongerThanHalfASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openRoom(t, 16_000)
		var there []string
		for range 100 {
			there = append(there, h.come())
		}
		h.quiet()
		for i := range 160 { // some close together, some alone
			if i%3 == 0 {
				h.leave(there[i/3])
			} else {
				h.come()
			}
			time.Sleep(time.Duration(i*i%700) * time.Millisecond)
		}
		time.Sleep(time.Minute)
		diffs, waits := h.told()
		require.Less(t, diffs, 160, "some wait")
		require.LessOrEqual(t, slices.Max(waits), latest)

		for _, change := range []func(){func() { h.come() }, func() { h.leave(there[99]) }} {
			h.quiet()
			change()
			time.Sleep(latest)
			_, waits = h.told()
			require.Len(t, waits, 1)
		}
	})
}
