package channel

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// realRoom starts a replica in real time, for what a bubble cannot show: memory,
// and time that passes while a lock is held. Its channels are pushed the state.
func realRoom(t *testing.T) (*Endpoint, *Handler, *presence.Session) {
	t.Helper()
	bus := membus.New().Bus()
	tracker, err := presence.Start(t.Context(), presence.Config{Name: "r", Bus: bus})
	require.NoError(t, err)
	e, err := New(Config{Bus: bus, Presence: tracker})
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, e.Close(context.Background()))
		require.NoError(t, tracker.Close(context.Background()))
	})
	h, err := NewHandler(Handler{Routes: []Route{{Pattern: "*", PushState: true, New: func() Channel { return script{} }}}})
	require.NoError(t, err)
	return e, h, tracker.NewSession()
}

// stateLink tells how large a presence_state is, and counts diffs, each of which
// takes its time.
type stateLink struct {
	state chan int
	takes time.Duration
	diffs atomic.Int64
}

func (l *stateLink) Send(f *Frame) {
	switch {
	case bytes.Contains(f.Data, []byte(`"presence_state"`)):
		l.state <- len(f.Data)
	case bytes.Contains(f.Data, []byte(`"presence_diff"`)):
		time.Sleep(l.takes)
		l.diffs.Add(1)
	}
}

func (l *stateLink) Close(int, string) {}

func joinReal(t *testing.T, e *Endpoint, h *Handler, link Link) {
	t.Helper()
	c, err := e.Connect(t.Context(), h, ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
	require.NoError(t, err)
	c.Start(link)
	require.Nil(t, c.Receive(false, []byte(`["1","1","t","phx_join",{}]`)))
}

// Who joins costs one frame with the state in it, which is encoded for all: to
// encode it takes several times the memory.
func TestTheStateIsEncodedOnceForAllWhoJoin(t *testing.T) {
	e, h, session := realRoom(t)
	for i := range 1000 {
		_, err := session.Track("t", fmt.Sprintf("user-%04d", i), map[string]any{"name": fmt.Sprint("somebody ", i), "online_at": i})
		require.NoError(t, err)
	}
	link := &stateLink{state: make(chan int, 1)}
	join := func() int {
		joinReal(t, e, h, link)
		return <-link.state
	}
	join() // it is encoded
	const joins = 50
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	size := 0
	for range joins {
		size = join()
	}
	runtime.ReadMemStats(&after)
	require.Greater(t, size, 80_000)
	each := float64(after.TotalAlloc-before.TotalAlloc) / joins
	require.Less(t, each, 1.5*float64(size))
}

// Where it takes long to send a round of frames, there are fewer: the time goes
// to others too.
func TestDiffsAreMergedLongerWhereARoundTakesLong(t *testing.T) {
	e, h, session := realRoom(t)
	const clients = 10 // a round takes 50 ms
	link := &stateLink{state: make(chan int), takes: 5 * time.Millisecond}
	for range clients {
		joinReal(t, e, h, link)
		<-link.state
	}
	n := 0
	changeFor := func(period time.Duration) (rounds int64) {
		before := link.diffs.Load()
		for began := time.Now(); time.Since(began) < period; n++ {
			_, err := session.Track("t", fmt.Sprint(n), map[string]any{})
			require.NoError(t, err)
			time.Sleep(5 * time.Millisecond)
		}
		return (link.diffs.Load() - before) / clients
	}
	changeFor(1500 * time.Millisecond) // in which it finds out
	rounds := changeFor(1500 * time.Millisecond)
	require.Positive(t, rounds)
	require.LessOrEqual(t, rounds, int64(12), "one in four times 50 ms; one after the other there would be 30")
}
