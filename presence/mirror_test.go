package presence_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
	"github.com/rollcall-go/rollcall/transport/natsbus"
)

// mirrored folds what a watcher of all topics is told.
type mirrored struct {
	t        *testing.T
	changed  chan struct{} // capacity 1
	mu       sync.Mutex
	topics   map[string]*folded
	complete bool
}

func watchAll(t *testing.T, tracker *presence.Tracker) (*mirrored, *presence.Watch) {
	t.Helper()
	m := &mirrored{t: t, changed: make(chan struct{}, 1), topics: map[string]*folded{}}
	w, err := tracker.WatchAll(m.handle)
	require.NoError(t, err)
	t.Cleanup(w.Stop)
	return m, w
}

func (m *mirrored) handle(e presence.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.Topic == "" {
		m.complete = e.Complete
	} else {
		if m.topics[e.Topic] == nil {
			m.topics[e.Topic] = &folded{t: m.t, metas: map[string]presence.Meta{}, keys: map[string]string{}}
		}
		m.topics[e.Topic].handle(e)
	}
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

// names are the topics in which somebody is as far as it was told.
func (m *mirrored) names() (list []string, complete bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for name, f := range m.topics {
		if len(f.metas) > 0 {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list, m.complete
}

func (m *mirrored) requireTopics(want ...string) {
	m.t.Helper()
	synctest.Wait()
	have, complete := m.names()
	require.Equal(m.t, want, have)
	require.True(m.t, complete)
}

func TestAMirrorIsToldOfEveryTopicOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		eu, us, ap := start(t, "eu", net.Bus()), start(t, "us", net.Bus()), start(t, "ap", net.Bus())
		session := eu.NewSession()
		for _, topic := range []string{"room", "hall"} {
			_, err := session.Track(topic, "alice", color("red"))
			require.NoError(t, err)
		}
		own := ap.NewSession()
		_, err := own.Track("hall", "dave", color("grey"))
		require.NoError(t, err)
		time.Sleep(2 * time.Second)

		first, _ := watchAll(t, ap)
		time.Sleep(2 * time.Second)
		first.requireTopics("hall", "room")
		require.Equal(t, "alice=red,dave=grey", here(ap.Peek("hall")))

		_, err = us.NewSession().Track("attic", "bob", color("blue"))
		require.NoError(t, err)
		require.NoError(t, session.Untrack("room", "alice"))
		time.Sleep(time.Second)
		second, w := watchAll(t, ap)
		for _, m := range []*mirrored{first, second} {
			m.requireTopics("attic", "hall")
			for topic, f := range m.topics {
				f.requireEqual(ap.Peek(topic))
			}
		}
		topics, complete := ap.Topics()
		require.Equal(t, []string{"attic", "hall"}, topics)
		require.True(t, complete)
		list, err := ap.List(t.Context(), "nobody was ever here")
		require.NoError(t, err)
		require.True(t, list.Complete)
		count, err := ap.Count(t.Context(), "attic")
		require.NoError(t, err)
		require.Equal(t, presence.Count{Keys: 1, Sessions: 1, Complete: true}, count)

		w.Refresh()
		w.Stop()
		require.NoError(t, session.Untrack("hall", "alice"))
		time.Sleep(time.Second)
		first.requireTopics("attic", "hall")
		require.Len(t, first.topics["hall"].metas, 1)
		require.Len(t, second.topics["hall"].metas, 2, "stopped")
	})
}

func TestAMirrorLingersAndEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		eu, ap := start(t, "eu", net.Bus()), start(t, "ap", net.Bus())
		_, err := eu.NewSession().Track("room", "alice", color("red"))
		require.NoError(t, err)
		_, w := watchAll(t, ap)
		time.Sleep(time.Second)
		require.True(t, ap.Status().Mirror)
		w.Stop()
		w.Stop()
		time.Sleep(29 * time.Second)
		require.Equal(t, "alice=red", here(ap.Peek("room")))
		time.Sleep(2 * time.Second)
		require.Empty(t, here(ap.Peek("room")))
		require.False(t, ap.Status().Mirror)
		topics, complete := ap.Topics()
		require.Empty(t, topics)
		require.False(t, complete)

		require.NoError(t, ap.Close(t.Context()))
		_, err = ap.WatchAll(func(presence.Event) {})
		require.ErrorIs(t, err, presence.ErrClosed)
	})
}

// There is no room for more than Config.MaxTopics: the mirror says that it does
// not know all, and does when there is room again.
func TestAMirrorWithoutRoomIsNotComplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		eu := start(t, "eu", net.Bus())
		ap, err := presence.Start(t.Context(), presence.Config{Name: "ap", Bus: net.Bus(), MaxTopics: 16})
		require.NoError(t, err)
		defer func() { require.NoError(t, ap.Close(context.Background())) }()
		session := eu.NewSession()
		for i := range 16 {
			_, err := session.Track(fmt.Sprint("room", i), "alice", nil)
			require.NoError(t, err)
		}
		watchAll(t, ap)
		time.Sleep(2 * time.Second)
		topics, complete := ap.Topics()
		require.Len(t, topics, 16)
		require.True(t, complete)

		_, err = session.Track("one too many", "alice", nil)
		require.NoError(t, err)
		time.Sleep(time.Second)
		topics, complete = ap.Topics()
		require.Len(t, topics, 16)
		require.False(t, complete)
		require.False(t, ap.Peek("room1").Complete)
		require.NotZero(t, ap.Status().Stats.Unmirrored)
		_, err = ap.NewSession().Track("another", "bob", nil)
		require.ErrorIs(t, err, presence.ErrTooManyTopics)

		for i := range 4 {
			require.NoError(t, session.Untrack(fmt.Sprint("room", i), "alice"))
		}
		time.Sleep(30 * time.Second)
		topics, complete = ap.Topics()
		require.Len(t, topics, 13)
		require.True(t, complete)
		require.Contains(t, topics, "one too many")
	})
}

// Over NATS, a topic a subject and in buckets.
func TestAMirrorOverNATS(t *testing.T) {
	t.Parallel()
	for _, buckets := range []int{0, 4} {
		t.Run(fmt.Sprintf("buckets=%d", buckets), func(t *testing.T) {
			t.Parallel()
			s := startNATS(t, -1)
			cfg := natsbus.Config{Buckets: buckets}
			eu, _ := onNATS(t, "eu", s.ClientURL(), cfg)
			us, kill := onNATS(t, "us", s.ClientURL(), cfg)
			ap, _ := onNATS(t, "ap", s.ClientURL(), cfg)
			_, err := eu.NewSession().Track("room *", "alice", color("red"))
			require.NoError(t, err)
			m, _ := watchAll(t, ap)
			_, err = us.NewSession().Track("hall", "bob", color("blue"))
			require.NoError(t, err)
			until := func(want ...string) {
				t.Helper()
				deadline := time.After(20 * time.Second)
				for {
					have, complete := m.names()
					if complete && slices.Equal(have, want) {
						return
					}
					select {
					case <-m.changed:
					case <-deadline:
						require.Equal(t, want, have)
						require.True(t, complete)
					}
				}
			}
			until("hall", "room *")
			_, err = eu.NewSession().Track("attic", "carol", color("green"))
			require.NoError(t, err)
			until("attic", "hall", "room *")
			kill()
			until("attic", "room *")
		})
	}
}
