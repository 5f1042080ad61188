package presence_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// lockedBuffer is what several goroutines write to.
type lockedBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// A handler that takes long delays its own events, and the log says so. What happens
// on the bus goes on, and other watches are told at once: of the same topic, of
// another one, and of all.
func TestASlowWatchHandlerHoldsUpNoOtherWatch(t *testing.T) {
	const slow = 8 * time.Second
	synctest.Test(t, func(t *testing.T) {
		var log lockedBuffer
		net := membus.New()
		eu := start(t, "eu", net.Bus())
		us := startWith(t, presence.Config{Name: "us", Bus: net.Bus(), Logger: slog.New(slog.NewTextHandler(&log, nil))})
		time.Sleep(2 * time.Second)
		_, err := us.Watch("room", func(e presence.Event) {
			if len(e.Diff.Joins) > 0 {
				time.Sleep(slow)
			}
		})
		require.NoError(t, err)
		same, other := watch(t, us, "room"), watch(t, us, "hall")
		all, _ := watchAll(t, us)
		time.Sleep(2 * time.Second)
		diffs := same.diffs

		session := eu.NewSession()
		for _, topic := range []string{"room", "hall"} {
			_, err = session.Track(topic, "alice", nil)
			require.NoError(t, err)
		}
		time.Sleep(slow / 2)
		synctest.Wait()
		require.Equal(t, diffs+1, same.diffs)
		same.requireEqual(us.Peek("room"))
		other.requireEqual(us.Peek("hall"))
		all.requireTopics("hall", "room")
		require.Equal(t, 1, us.Status().Undelivered, "the slow one's")
		require.NotContains(t, log.String(), "slow")

		time.Sleep(slow)
		synctest.Wait()
		require.Equal(t, 1, strings.Count(log.String(), "slow"))
		require.Contains(t, log.String(), `level=WARN msg="presence: slow Watch handler" topic=room duration=8s`)
		require.Zero(t, us.Status().Undelivered)
	})
}

// However much happens while a handler does not return, what waits for it is bounded:
// its diffs are merged, in order, and lose nothing. A Refresh meanwhile is answered
// where it belongs.
func TestEventsOfASlowWatchAreMergedAndStayInOrder(t *testing.T) {
	for _, refreshed := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			tracker := start(t, "eu", membus.New().Bus())
			time.Sleep(time.Second)
			release := make(chan struct{})
			events, states := 0, 0
			var told *presence.List
			w, err := tracker.Watch("room", func(e presence.Event) {
				<-release
				events++
				if e.State != nil {
					states++
					if told != nil { // the diffs before lead to it
						require.Equal(t, string(e.State.JSON()), string(told.JSON()))
					}
					told = e.State
				}
				told = told.Apply(e.Diff)
			})
			require.NoError(t, err)
			session := tracker.NewSession()
			most := 0
			for i := range 20_000 {
				key := fmt.Sprint("user ", i%50)
				if i%100 < 50 {
					_, err = session.Track("room", key, nil)
				} else {
					err = session.Untrack("room", key)
				}
				require.NoError(t, err)
				most = max(most, tracker.Status().Undelivered)
				if refreshed && i%3000 == 30 {
					w.Refresh()
				}
			}
			_, err = session.Track("room", "alice", nil)
			require.NoError(t, err)
			require.Less(t, most, 1100)
			close(release)
			synctest.Wait()
			require.Less(t, events, 1100)
			require.Equal(t, map[bool]int{false: 1, true: 2}[refreshed], states, "of those that waited together the last")
			require.Equal(t, "alice=", here(told))
			require.Zero(t, tracker.Status().Undelivered)
		})
	}
}

// A watch of all topics has states of all of them to begin with; those do not count
// against each other, and what happens meanwhile is merged topic by topic.
func TestEventsOfASlowWatchOfAllTopicsAreMergedByTopic(t *testing.T) {
	const topics = 3000
	synctest.Test(t, func(t *testing.T) {
		tracker := startWith(t, presence.Config{Name: "eu", Bus: membus.New().Bus(), MaxSessionPresences: 2 * topics})
		session := tracker.NewSession()
		topic := func(i int) string { return fmt.Sprintf("room %04d", i) }
		for i := range topics {
			_, err := session.Track(topic(i), "alice", nil)
			require.NoError(t, err)
		}
		time.Sleep(time.Second)
		release := make(chan struct{})
		all := &mirrored{t: t, changed: make(chan struct{}, 1), topics: map[string]*folded{}}
		w, err := tracker.WatchAll(func(e presence.Event) {
			<-release
			all.handle(e)
		})
		require.NoError(t, err)
		defer w.Stop()
		for i := range topics {
			_, err = session.Update(topic(i), "alice", presence.Replace(color("red")))
			require.NoError(t, err)
		}
		for i := range topics {
			require.NoError(t, session.Untrack(topic(i), "alice"))
			if i%2 == 0 {
				_, err = session.Track(topic(i), "bob", nil)
				require.NoError(t, err)
			}
		}
		require.Less(t, tracker.Status().Undelivered, 6*topics)
		close(release)
		synctest.Wait()
		names, complete := all.names()
		require.True(t, complete)
		want, _ := tracker.Topics()
		require.Len(t, want, topics/2)
		require.Equal(t, want, names)
	})
}

// A watch that is stopped while events wait gets none of them.
func TestAStoppedWatchIsToldNothingMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := start(t, "eu", membus.New().Bus())
		release := make(chan struct{})
		calls := 0
		w, err := tracker.Watch("room", func(presence.Event) { calls++; <-release })
		require.NoError(t, err)
		session := tracker.NewSession()
		for i := range 10 {
			_, err := session.Track("room", fmt.Sprint(i), nil)
			require.NoError(t, err)
		}
		synctest.Wait()
		w.Stop()
		w.Stop()
		w.Refresh()
		close(release)
		synctest.Wait()
		require.Equal(t, 1, calls)
		require.Zero(t, tracker.Status().Undelivered)
	})
}
