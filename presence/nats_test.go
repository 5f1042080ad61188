package presence_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/natsbus"
)

// The same over a real NATS server, outside of bubbles: in real time, most of which
// is spent waiting, so these tests run in parallel.

func startNATS(t *testing.T, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true})
	require.NoError(t, err)
	s.Start()
	t.Cleanup(func() { stopNATS(s) })
	require.True(t, s.ReadyForConnections(10*time.Second))
	return s
}

func stopNATS(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// onNATS starts a replica with a connection of its own; kill cuts it off the
// network without a word, which the others learn from heartbeats that are missing
// and a question that reaches nobody. Only silence is judged by DownPeriod: it is
// as long as ever, for machines that are busy.
func onNATS(t *testing.T, name, url string, cfg natsbus.Config) (tracker *presence.Tracker, kill func()) {
	t.Helper()
	nc, err := nats.Connect(url, natsbus.Options()...)
	require.NoError(t, err)
	closed := make(chan struct{})
	nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
	kill = sync.OnceFunc(func() {
		nc.Close()
		<-closed
	})
	t.Cleanup(kill)
	bus, err := natsbus.New(nc, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { _ = bus.Close() })
	return startWith(t, presence.Config{Name: name, Bus: bus, BeatPeriod: 100 * time.Millisecond}), kill
}

// await waits until the list of topic is want, told by a watcher.
func await(t *testing.T, tracker *presence.Tracker, topic, want string) {
	t.Helper()
	changed := make(chan struct{}, 1)
	w, err := tracker.Watch(topic, func(presence.Event) {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	require.NoError(t, err)
	defer w.Stop()
	deadline := time.After(20 * time.Second)
	for here(tracker.Peek(topic)) != want {
		select {
		case <-changed:
		case <-deadline:
			require.Equal(t, want, here(tracker.Peek(topic)))
		}
	}
}

func TestThreeReplicasOverNATS(t *testing.T) {
	t.Parallel()
	s := startNATS(t, -1)
	eu, _ := onNATS(t, "eu", s.ClientURL(), natsbus.Config{})
	us, kill := onNATS(t, "us", s.ClientURL(), natsbus.Config{})
	ap, _ := onNATS(t, "ap", s.ClientURL(), natsbus.Config{})

	alice, bob := eu.NewSession(), us.NewSession()
	_, err := alice.Track("room *", "alice", color("red"))
	require.NoError(t, err)
	_, err = bob.Track("room *", "bob", color("blue"))
	require.NoError(t, err)
	for _, tracker := range []*presence.Tracker{eu, us, ap} {
		await(t, tracker, "room *", "alice=red,bob=blue")
	}
	list, err := ap.List(t.Context(), "room *")
	require.NoError(t, err)
	require.True(t, list.Complete)

	_, err = bob.Update("room *", "bob", presence.Replace(color("green")))
	require.NoError(t, err)
	await(t, ap, "room *", "alice=red,bob=green")

	kill()
	await(t, ap, "room *", "alice=red")
	await(t, eu, "room *", "alice=red")

	require.NoError(t, eu.Close(t.Context()))
	await(t, ap, "room *", "")
}

func TestARestartOfTheNATSServerMakesNobodyLeave(t *testing.T) {
	t.Parallel()
	s := startNATS(t, -1)
	port := s.Addr().(*net.TCPAddr).Port
	eu, _ := onNATS(t, "eu", s.ClientURL(), natsbus.Config{})
	us, _ := onNATS(t, "us", s.ClientURL(), natsbus.Config{})
	alice := eu.NewSession()
	_, err := alice.Track("room", "alice", color("red"))
	require.NoError(t, err)
	await(t, us, "room", "alice=red")

	var left []string
	var mu sync.Mutex
	w, err := us.Watch("room", func(e presence.Event) {
		mu.Lock()
		defer mu.Unlock()
		for _, p := range e.Diff.Leaves {
			left = append(left, p.Key)
		}
	})
	require.NoError(t, err)
	defer w.Stop()
	stopNATS(s)
	// What is changed meanwhile is seen afterwards.
	_, err = alice.Track("room", "alice's friend", color("blue"))
	require.NoError(t, err)
	startNATS(t, port)
	await(t, us, "room", "alice=red,alice's friend=blue")
	mu.Lock()
	defer mu.Unlock()
	require.Empty(t, left)
}

// BenchmarkJoinSeenElsewhere measures the way of one change in a quiet topic
// through two trackers and NATS. (In a busy topic it waits for FlushInterval.)
func BenchmarkJoinSeenElsewhere(b *testing.B) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
	require.NoError(b, err)
	s.Start()
	defer stopNATS(s)
	require.True(b, s.ReadyForConnections(10*time.Second))
	var trackers []*presence.Tracker
	for _, name := range []string{"eu", "us"} {
		nc, err := nats.Connect(s.ClientURL(), natsbus.Options()...)
		require.NoError(b, err)
		defer nc.Close()
		bus, err := natsbus.New(nc, natsbus.Config{})
		require.NoError(b, err)
		defer bus.Close()
		tracker, err := presence.Start(b.Context(), presence.Config{Name: name, Bus: bus})
		require.NoError(b, err)
		defer tracker.Close(context.Background())
		trackers = append(trackers, tracker)
	}
	const topics = 1000
	seen := make(chan string, 1)
	topic := func(i int) string { return fmt.Sprint("room ", i%topics) }
	for i := range topics {
		w, err := trackers[1].Watch(topic(i), func(e presence.Event) {
			for _, p := range e.Diff.Joins {
				seen <- p.Key
			}
		})
		require.NoError(b, err)
		defer w.Stop()
		_, err = trackers[1].List(b.Context(), topic(i))
		require.NoError(b, err)
	}
	i := 0
	for b.Loop() {
		i++
		session, key := trackers[0].NewSession(), fmt.Sprint("user ", i)
		if _, err := session.Track(topic(i), key, nil); err != nil {
			b.Fatal(err)
		}
		for got := ""; got != key; got = <-seen {
		}
		session.Close()
	}
}
