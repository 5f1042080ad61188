package presence_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// aTracker is one replica, alone, with no limits that a benchmark could meet.
func aTracker(b *testing.B) *presence.Tracker {
	tracker, err := presence.Start(b.Context(), presence.Config{
		Name: "eu", Bus: membus.New().Bus(), MaxSessionPresences: 1 << 30, MaxTopicPresences: 1 << 30,
	})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, tracker.Close(context.Background())) })
	return tracker
}

// BenchmarkTrack is one caller: who tracks ever more presences, in topics of 100
// with a session each, or tracks and untracks one.
func BenchmarkTrack(b *testing.B) {
	meta := map[string]string{"color": "red"}
	b.Run("more", func(b *testing.B) {
		tracker := aTracker(b)
		session := tracker.NewSession()
		keys, topic := make([]string, 100), ""
		for i := range keys {
			keys[i] = fmt.Sprint("user ", i)
		}
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			if i%len(keys) == 0 {
				topic, session = fmt.Sprint("room ", i), tracker.NewSession()
			}
			if _, err := session.Track(topic, keys[i%len(keys)], meta); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("and untrack", func(b *testing.B) {
		session := aTracker(b).NewSession()
		b.ReportAllocs()
		for b.Loop() {
			if _, err := session.Track("room", "alice", meta); err != nil {
				b.Fatal(err)
			}
			if err := session.Untrack("room", "alice"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// people tracks n in topic, in a session of their own.
func people(b *testing.B, tracker *presence.Tracker, topic string, n int) *presence.Session {
	session := tracker.NewSession()
	for i := range n {
		_, err := session.Track(topic, fmt.Sprint("user ", i), nil)
		require.NoError(b, err)
	}
	return session
}

// BenchmarkPeek reads a room of 1,000: unchanged, after an update each time, and
// with the list encoded as presence_state besides, which is what a join into a busy
// room costs beside its own frames.
func BenchmarkPeek(b *testing.B) {
	tracker := aTracker(b)
	session := people(b, tracker, "room", 1000)
	update := func() {
		if _, err := session.Update("room", "user 7", presence.Replace(nil)); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("unchanged", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tracker.Peek("room")
		}
	})
	b.Run("changed", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			update()
			tracker.Peek("room")
		}
	})
	b.Run("changed and encoded", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			update()
			tracker.Peek("room").JSON()
		}
	})
}

// BenchmarkReadWhileWriting has one reader and one writer, who updates one of the
// room as fast as it goes. writes/s is what the writer reaches beside the reader,
// writes/s-alone what it reached just before, without. B/op and allocs/op are
// those of both.
func BenchmarkReadWhileWriting(b *testing.B) {
	reads := []struct {
		name string
		read func(*presence.Tracker) error
	}{
		{"Peek", func(t *presence.Tracker) error { t.Peek("room"); return nil }},
		{"Peek of another room", func(t *presence.Tracker) error { t.Peek("quiet room"); return nil }},
		{"Count", func(t *presence.Tracker) error { _, err := t.Count(context.Background(), "room"); return err }},
	}
	for _, read := range reads {
		for _, room := range []int{10, 1000, 10_000} {
			b.Run(fmt.Sprintf("%s/room=%d", read.name, room), func(b *testing.B) {
				tracker := aTracker(b)
				session := people(b, tracker, "room", room)
				people(b, tracker, "quiet room", room)
				var writes atomic.Int64
				done := make(chan struct{})
				var writer sync.WaitGroup
				writer.Go(func() {
					for {
						select {
						case <-done:
							return
						default:
						}
						if _, err := session.Update("room", "user 7", presence.Replace(nil)); err != nil {
							b.Error(err)
							return
						}
						writes.Add(1)
					}
				})
				rate := func(during func()) float64 {
					began, before := time.Now(), writes.Load()
					during()
					return float64(writes.Load()-before) / time.Since(began).Seconds()
				}
				require.NoError(b, read.read(tracker)) // as if somebody had read before
				alone := rate(func() { time.Sleep(300 * time.Millisecond) })
				beside := rate(func() {
					b.ReportAllocs()
					for b.Loop() {
						if err := read.read(tracker); err != nil {
							b.Fatal(err)
						}
					}
				})
				close(done)
				writer.Wait()
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
				b.ReportMetric(beside, "writes/s")
				b.ReportMetric(alone, "writes/s-alone")
			})
		}
	}
}
