package presence_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// BenchmarkTrack is one caller who tracks and untracks.
func BenchmarkTrack(b *testing.B) {
	tracker, err := presence.Start(b.Context(), presence.Config{Name: "eu", Bus: membus.New().Bus()})
	require.NoError(b, err)
	defer tracker.Close(context.Background())
	session := tracker.NewSession()
	meta := map[string]string{"color": "red"}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := session.Track("room", "alice", meta); err != nil {
			b.Fatal(err)
		}
		if err := session.Untrack("room", "alice"); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkPeek reads a room of 1,000, unchanged and after a change each time.
func BenchmarkPeek(b *testing.B) {
	tracker, err := presence.Start(b.Context(), presence.Config{Name: "eu", Bus: membus.New().Bus()})
	require.NoError(b, err)
	defer tracker.Close(context.Background())
	session := tracker.NewSession()
	for i := range 1000 {
		_, err := session.Track("room", fmt.Sprint("user ", i), nil)
		require.NoError(b, err)
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
			if _, err := session.Update("room", "user 7", presence.Replace(nil)); err != nil {
				b.Fatal(err)
			}
			tracker.Peek("room")
		}
	})
}

// BenchmarkState is a room of 1,000 in which one changes, and its presence_state
// is encoded: what a join into a busy room costs besides its own frames.
func BenchmarkState(b *testing.B) {
	tracker, err := presence.Start(b.Context(), presence.Config{Name: "eu", Bus: membus.New().Bus()})
	require.NoError(b, err)
	defer tracker.Close(context.Background())
	session := tracker.NewSession()
	for i := range 1000 {
		_, err := session.Track("room", fmt.Sprint("user ", i), nil)
		require.NoError(b, err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := session.Update("room", "user 7", presence.Replace(nil)); err != nil {
			b.Fatal(err)
		}
		tracker.Peek("room").JSON()
	}
}
