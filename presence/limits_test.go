package presence_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

func TestConfigNamesEveryFaultAtOnce(t *testing.T) {
	_, err := presence.Start(t.Context(), presence.Config{
		Name: strings.Repeat("x", 256), BeatPeriod: -1, DownPeriod: -5, PermdownPeriod: -6, IsolatedPeriod: -7, FlushInterval: -1,
		RepairRate: 1, WireVersion: 9, Linger: -1, MaxMeta: 1, MaxSessionPresences: -1, MaxTopicPresences: -1, MaxTopics: -1, MaxReplicas: -1,
	})
	for _, want := range []string{
		"Name must be 1 to 255 bytes", "Bus is missing", "BeatPeriod must be", "DownPeriod must be", "PermdownPeriod must be", "IsolatedPeriod must be",
		"FlushInterval must be", "RepairRate must be", "WireVersion must be", "Linger must be", "MaxMeta must be at least 2 bytes, have 1",
		"MaxSessionPresences must be", "MaxTopicPresences must be", "MaxTopics must be", "MaxReplicas must be",
	} {
		require.ErrorContains(t, err, want)
	}
	require.Len(t, strings.Split(err.Error(), "\n"), 15)

	small := membus.New(membus.MaxPayload(8 << 10)).Bus()
	_, err = presence.Start(t.Context(), presence.Config{Name: "eu", Bus: small})
	require.EqualError(t, err, "presence: config: MaxMeta must be at most 6144 bytes, what the bus has room for in a message, have 8192")
}

// An error at the call names the limit and by how much it was missed, and does not
// repeat all of what is too long.
func TestWhatIsOverALimitIsAnErrorThatNamesItAndTheSize(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker, err := presence.Start(t.Context(), presence.Config{
			Name: "eu", Bus: membus.New().Bus(), MaxMeta: 100, MaxSessionPresences: 2, MaxTopicPresences: 3, MaxTopics: 4,
		})
		require.NoError(t, err)
		defer func() { require.NoError(t, tracker.Close(t.Context())) }()
		s, other := tracker.NewSession(), tracker.NewSession()
		for _, key := range []string{"a", "b"} {
			_, err := s.Track("room", key, nil)
			require.NoError(t, err)
		}
		_, err = other.Track("room", "c", nil)
		require.NoError(t, err)
		for i := range 3 {
			_, err := tracker.Watch(fmt.Sprint("room", i), func(presence.Event) {})
			require.NoError(t, err)
		}

		long, large := strings.Repeat("é", 1<<20), map[string]string{"x": strings.Repeat("x", 93)}
		track := func(s *presence.Session, topic, key string, meta any) error {
			_, err := s.Track(topic, key, meta)
			return err
		}
		watch := func(topic string) error { _, err := tracker.Watch(topic, func(presence.Event) {}); return err }
		list := func(topic string) error { _, err := tracker.List(t.Context(), topic); return err }
		count := func(topic string) error { _, err := tracker.Count(t.Context(), topic); return err }
		for _, test := range []struct {
			have error
			is   error
			want string
		}{
			{track(other, long, "d", nil), presence.ErrTopicInvalid, "1 to 255 bytes of UTF-8, has 2097152 bytes"},
			{track(other, "", "d", nil), presence.ErrTopicInvalid, "has 0 bytes"},
			{track(other, "\xff", "d", nil), presence.ErrTopicInvalid, "is no UTF-8"},
			{watch(long), presence.ErrTopicInvalid, "has 2097152 bytes"},
			{list(long), presence.ErrTopicInvalid, "has 2097152 bytes"},
			{count(long), presence.ErrTopicInvalid, "has 2097152 bytes"},
			{track(other, "room", long, nil), presence.ErrKeyInvalid, "1 to 255 bytes of UTF-8, has 2097152 bytes"},
			{track(other, "room0", "d", large), presence.ErrMetaTooLarge, "101 bytes, the limit is 100"},
			{track(s, "room0", "d", nil), presence.ErrTooManyPresences, "the session has 2, the limit"},
			{track(other, "room", "d", nil), presence.ErrTooManyPresences, `topic "room" has 3 from this replica, the limit`},
			{track(other, "attic", "d", nil), presence.ErrTooManyTopics, "this replica follows 4, the limit"},
			{watch("attic"), presence.ErrTooManyTopics, "this replica follows 4, the limit"},
		} {
			require.ErrorIs(t, test.have, test.is)
			require.ErrorContains(t, test.have, test.want)
			require.Less(t, len(test.have.Error()), 1000)
		}
		require.Equal(t, 3, tracker.Status().Presences)
	})
}

// slowBus takes no message while it is stopped.
type slowBus struct {
	bus.Bus
	stopped sync.RWMutex // locked
}

func (b *slowBus) Open(lane bus.Lane, h bus.Handler) (bus.Conn, error) {
	conn, err := b.Bus.Open(lane, h)
	return slowConn{conn, &b.stopped}, err
}

type slowConn struct {
	bus.Conn
	stopped *sync.RWMutex
}

func (c slowConn) Publish(dest string, data []byte) error {
	c.stopped.RLock()
	defer c.stopped.RUnlock()
	return c.Conn.Publish(dest, data)
}

// What a bus does not take waits up to 32 MiB. What is dropped beyond that is a loss
// like any other.
func TestABusThatTakesNothingDoesNotFillTheMemory(t *testing.T) {
	net := membus.New()
	slow := &slowBus{Bus: net.Bus()}
	eu, us := start(t, "eu", slow), start(t, "us", net.Bus())
	session := eu.NewSession()
	_, err := session.Track("room", "alice", nil)
	require.NoError(t, err)
	await(t, us, "room", "alice=")
	slow.stopped.Lock()
	large := make([]byte, 8000) // does not get smaller
	for i := range large {
		large[i] = 'a' + byte(rand.IntN(26))
	}
	var others *presence.Session
	for n := 0; n%16 > 0 || eu.Status().Dropped == 0; n++ {
		require.Less(t, n, 10_000)
		if n%1000 == 0 {
			others = eu.NewSession()
		}
		_, err := others.Track(fmt.Sprint("room ", n), "bob", map[string]string{"x": string(large)}) // in a quiet topic: at once
		require.NoError(t, err)
	}
	require.InDelta(t, 32<<20, eu.Status().Queued, 1<<20)
	_, err = session.Update("room", "alice", presence.Replace(color("red")))
	require.NoError(t, err)
	slow.stopped.Unlock()
	await(t, us, "room", "alice=red")
	require.Less(t, eu.Status().Queued, 1<<20)
}

// shrunkBus takes messages of up to most bytes, once that is set.
type shrunkBus struct {
	bus.Bus
	most atomic.Int64
}

func (b *shrunkBus) MaxPayload() int {
	if most := b.most.Load(); most > 0 {
		return int(most)
	}
	return b.Bus.MaxPayload()
}

func (b *shrunkBus) Open(lane bus.Lane, h bus.Handler) (bus.Conn, error) {
	conn, err := b.Bus.Open(lane, h)
	return shrunkConn{conn, b}, err
}

type shrunkConn struct {
	bus.Conn
	bus *shrunkBus
}

func (c shrunkConn) Publish(dest string, data []byte) error {
	if len(data) > c.bus.MaxPayload() {
		return bus.ErrPayload
	}
	return c.Conn.Publish(dest, data)
}

// What a bus refuses is counted; and reported where it is too large, which no repair
// mends.
func TestWhatTheBusRefusesIsCountedAndWhatIsTooLargeReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		shrunk := &shrunkBus{Bus: membus.New().Bus()}
		tracker, err := presence.Start(t.Context(), presence.Config{Name: "eu", Bus: shrunk, Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		track := func(key string) {
			large := make([]byte, 4000) // does not get smaller
			for i := range large {
				large[i] = 'a' + byte(rand.IntN(26))
			}
			_, err := tracker.NewSession().Track("room", key, map[string]string{"x": string(large)})
			require.NoError(t, err)
			time.Sleep(time.Second / 2)
			synctest.Wait()
		}
		track("alice")
		require.Zero(t, tracker.Status().Unsent)
		shrunk.most.Store(2000)
		track("bob")
		require.Equal(t, uint64(1), tracker.Status().Unsent)
		require.NoError(t, tracker.Close(t.Context()))
		require.Regexp(t, `level=WARN msg="presence: bus refused" dest=t:room bytes=4\d\d\d error="bus: message too large"`, log.String())
		require.Equal(t, 1, strings.Count(log.String(), "bus refused"))
	})
}

// Events wait for a watcher that is slow, and how many can be seen.
func TestEventsThatWaitForAWatcherAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := start(t, "eu", membus.New().Bus())
		release := make(chan struct{})
		_, err := tracker.Watch("room", func(presence.Event) { <-release })
		require.NoError(t, err)
		session := tracker.NewSession()
		for i := range 10 {
			_, err := session.Track("room", fmt.Sprint(i), nil)
			require.NoError(t, err)
			synctest.Wait()
		}
		require.GreaterOrEqual(t, tracker.Status().Undelivered, 9)
		close(release)
		synctest.Wait()
		require.Zero(t, tracker.Status().Undelivered)
	})
}

// open opens a lane that hears nothing.
func open(t *testing.T, b bus.Bus, lane bus.Lane) bus.Conn {
	t.Helper()
	conn, err := b.Open(lane, bus.Handler{Message: func([]byte) {}})
	require.NoError(t, err)
	t.Cleanup(conn.Close)
	return conn
}

// Whatever else is on our subjects is counted, and changes nothing.
func TestGarbageAndForeignMessagesAreCountedAndIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		eu, us, others := start(t, "eu", net.Bus()), start(t, "us", net.Bus()), net.Bus()
		foreign, foreignChannel := open(t, others, bus.LanePresence), open(t, others, bus.LaneChannel)
		_, err := eu.NewSession().Track("room", "alice", color("red"))
		require.NoError(t, err)
		f := watch(t, us, "room")
		time.Sleep(2 * time.Second)
		before, diffs := us.Status(), f.diffs
		require.Zero(t, before.Stats.Malformed)

		garbage := []string{"", "x", "RC", "GET / HTTP/1.1\r\n\r\n", `{"event":"phx_join"}`, "\x00\xff\xfe", strings.Repeat("\xff", 100_000)}
		for _, data := range garbage {
			require.NoError(t, foreign.Publish(bus.DestAll, []byte(data)))
			require.NoError(t, foreign.Publish(bus.TopicDest("room"), []byte(data)))
		}
		require.NoError(t, foreignChannel.Publish(bus.TopicDest("room"), []byte("another lane's")))
		synctest.Wait()
		for _, tracker := range []*presence.Tracker{eu, us} {
			status := tracker.Status()
			require.Equal(t, uint64(2*len(garbage)), status.Stats.Malformed)
			require.True(t, status.Ready())
			require.Len(t, status.Replicas, 1)
			require.Equal(t, "alice=red", here(tracker.Peek("room")))
		}
		require.Equal(t, before.Stats.Received, us.Status().Stats.Received)
		f.requireEqual(us.Peek("room"))
		require.Equal(t, diffs, f.diffs)
	})
}
