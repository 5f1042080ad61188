package channel

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// TestManyClientsInRealTime is for the race detector: clients come, talk and go
// on two replicas while one of them drains. At the end nothing is left.
func TestManyClientsInRealTime(t *testing.T) {
	network := membus.New()
	var endpoints []*Endpoint
	var trackers []*presence.Tracker
	for i := range 2 {
		bus := network.Bus()
		tracker, err := presence.Start(t.Context(), presence.Config{Name: fmt.Sprintf("r%d", i), Bus: bus})
		require.NoError(t, err)
		e, err := New(Config{Bus: bus, Presence: tracker, DrainBatch: 2, DrainInterval: time.Millisecond})
		require.NoError(t, err)
		endpoints, trackers = append(endpoints, e), append(trackers, tracker)
	}
	h := referenceHandler(t)
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			r := rand.New(rand.NewPCG(uint64(i), 2))
			for n := range 30 {
				if i == 0 && n == 15 {
					_ = endpoints[0].Drain(context.Background()) // at once with all the rest
				}
				c, err := endpoints[i%2].Connect(context.Background(), h, wire.ConnectInfo{
					Params: url.Values{"vsn": {"2.0.0"}, "user": {fmt.Sprintf("u%d", i)}},
				})
				if err != nil {
					continue // it drains
				}
				c.Start(&testLink{})
				for k := range 20 {
					topic := []string{"room:a", "room:b", "echo:a"}[r.IntN(3)]
					event := []string{"phx_join", "phx_join", "phx_leave", "msg", "ping", "tell_secret", "update_meta", "shout_from"}[r.IntN(8)]
					c.Receive(false, fmt.Appendf(nil, `["%d","%d","%s","%s",{"meta":{"k":%d}}]`, r.IntN(2), k, topic, event, k))
				}
				switch r.IntN(4) {
				case 0:
					c.Receive(false, fmt.Appendf(nil, `["1","1","echo:a","disconnect_user",{"user":"u%d"}]`, r.IntN(8)))
					c.Closed(wire.ReasonClosed)
				default:
					c.Closed(wire.ReasonClosed)
				}
			}
		})
	}
	clients.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	for _, e := range endpoints {
		require.NoError(t, e.Close(ctx))
		stats := e.Stats()
		require.Zero(t, stats.Connections)
		require.Zero(t, stats.Channels)
		require.Zero(t, stats.Garbage)
		require.Empty(t, e.rooms.all)
		require.Zero(t, e.pubsub.Topics())
	}
	for _, tracker := range trackers {
		require.Eventually(t, func() bool { return len(tracker.Peek("room:a").Presences) == 0 }, 10*time.Second, time.Millisecond)
	}
	for _, tracker := range trackers {
		require.NoError(t, tracker.Close(ctx))
	}
}
