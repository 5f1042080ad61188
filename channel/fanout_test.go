package channel

import (
	"context"
	"net/url"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// roomOf is an endpoint with n clients in the topic "t".
func roomOf(t *testing.T, n int) *Endpoint {
	e := startOne(t, Config{})
	h := handlerOf(script{})
	for range n {
		c, err := e.Connect(context.Background(), h, wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
		require.NoError(t, err)
		c.Start(nullLink{})
		require.Nil(t, c.Receive(false, []byte(`["1","1","t","phx_join",{}]`)))
	}
	synctest.Wait()
	require.EqualValues(t, n, e.Stats().Channels)
	return e
}

// What a broadcast allocates, it allocates once: a delivery takes nothing.
func TestABroadcastToManyAllocatesWhatOneToFewDoes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		payload := map[string]any{"body": "hello"}
		allocations := func(n int) float64 {
			e := roomOf(t, n)
			return testing.AllocsPerRun(200, func() { must(e.Broadcast("t", "msg", payload)) })
		}
		require.InDelta(t, allocations(1), allocations(500), 2)
	})
}

// A countingBus counts what the endpoint is given of the bus.
type countingBus struct {
	bus.Bus
	received atomic.Int64
}

func (b *countingBus) Open(lane bus.Lane, h bus.Handler) (bus.Conn, error) {
	receive := h.Message
	h.Message = func(data []byte) { b.received.Add(1); receive(data) }
	return b.Bus.Open(lane, h)
}

// Interest: a replica is sent, and so decodes, only what it has subscribers for.
func TestATopicWithoutSubscribersCostsAReplicaNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		network := membus.New()
		counting := &countingBus{Bus: network.Bus()}
		a, b := startOne(t, Config{Bus: network.Bus()}), startOne(t, Config{Bus: counting})
		broadcasts := func() int64 {
			before := counting.received.Load()
			for range 10 {
				require.NoError(t, a.Broadcast("t", "e", nil))
			}
			synctest.Wait()
			return counting.received.Load() - before
		}
		c := connect(t, b, handlerOf(script{}), "")
		c.get(`["1","1","other","phx_join",{}]`)
		require.Zero(t, broadcasts())
		c.get(`["2","2","t","phx_join",{}]`)
		require.EqualValues(t, 10, broadcasts())
		require.Len(t, c.take(), 10)
		c.get(`["2","3","t","phx_leave",{}]`)
		require.Zero(t, broadcasts(), "and again when the last has left")
	})
}
