package channel

import (
	"bytes"
	"context"
	"fmt"
	"net/url"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// startRoom starts a replica with a route whose channels are pushed the state.
func startRoom(t *testing.T) (*Endpoint, *Handler, *presence.Session) {
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

// stateLink tells how large a presence_state is, and of each diff, which takes its
// time, if somebody wants to know.
type stateLink struct {
	state chan int
	takes time.Duration
	diff  chan struct{}
}

func (l *stateLink) Send(frames ...*wire.Frame) {
	for _, f := range frames {
		switch {
		case bytes.Contains(f.Data, []byte(`"presence_state"`)):
			l.state <- len(f.Data)
		case bytes.Contains(f.Data, []byte(`"presence_diff"`)):
			if l.diff != nil {
				time.Sleep(l.takes)
				l.diff <- struct{}{}
			}
		}
	}
}

func (l *stateLink) Close(int, string) {}

func joinRoom(t *testing.T, e *Endpoint, h *Handler, link wire.Link) {
	t.Helper()
	c, err := e.Connect(t.Context(), h, wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
	require.NoError(t, err)
	c.Start(link)
	require.Nil(t, c.Receive(false, []byte(`["1","1","t","phx_join",{}]`)))
}

// Who joins costs one frame with the state in it, which is encoded for all: to
// encode it takes several times the memory.
func TestTheStateIsEncodedOnceForAllWhoJoin(t *testing.T) {
	e, h, session := startRoom(t)
	for i := range 1000 {
		_, err := session.Track("t", fmt.Sprintf("user-%04d", i), map[string]any{"name": fmt.Sprint("somebody ", i), "online_at": i})
		require.NoError(t, err)
	}
	link := &stateLink{state: make(chan int, 1)}
	join := func() int {
		joinRoom(t, e, h, link)
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

// Where it takes long to send a round of frames there are fewer of them: the time
// goes to others too.
func TestDiffsAreMergedLongerWhereARoundTakesLong(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, h, session := startRoom(t)
		const clients, took = 10, 50 * time.Millisecond // each round
		link := &stateLink{state: make(chan int), takes: took / clients, diff: make(chan struct{})}
		for range clients {
			joinRoom(t, e, h, link)
			<-link.state
		}
		n := 0
		// One at a time: what waits for a lock keeps the bubble's time from passing.
		change := func(times int) (each time.Duration) {
			began := time.Now()
			for range times {
				n++
				_, err := session.Track("t", fmt.Sprint(n), map[string]any{})
				require.NoError(t, err)
				for range clients {
					<-link.diff
				}
			}
			return time.Since(began) / time.Duration(times)
		}
		change(50) // in which it finds out
		require.Greater(t, change(50), 3*took, "most of the time is for others")
	})
}
