package membus

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/bus/bustest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	bustest.Run(t, func(_ testing.TB, o bustest.Options) bustest.Network {
		var opts []Option
		if o.QueueBytes > 0 {
			opts = append(opts, QueueBytes(o.QueueBytes))
		}
		net := New(opts...)
		return bustest.Network{
			Bus:        func() bus.Bus { return net.Bus() },
			Disconnect: func(b bus.Bus) { b.(*Bus).Disconnect() },
			Reconnect:  func(b bus.Bus) { b.(*Bus).Reconnect() },
		}
	})
}

func TestAllReceiversGetAllMessagesInOneOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const buses, messages = 4, 500
		net := New()
		var conns [buses]bus.Conn
		var got [buses][]string
		for i := range conns {
			var err error
			conns[i], err = net.Bus().Open(bus.LanePresence, bus.Handler{Message: func(data []byte) { got[i] = append(got[i], string(data)) }})
			require.NoError(t, err)
			defer conns[i].Close()
			require.NoError(t, conns[i].Subscribe("x"))
		}
		var sending sync.WaitGroup
		for i, conn := range conns {
			sending.Go(func() {
				for n := range messages {
					if err := conn.Publish("x", fmt.Appendf(nil, "%d of %d", n, i)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		sending.Wait()
		synctest.Wait()
		require.Len(t, got[0], buses*messages)
		for i := range got {
			require.Equal(t, got[0], got[i])
		}
	})
}

func TestDisconnectingTwiceIsDisconnectingOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var events []bus.Event
		b := New().Bus()
		conn, err := b.Open(bus.LanePresence, bus.Handler{
			Message: func([]byte) {},
			Event:   func(event bus.Event, _ string) { events = append(events, event) },
		})
		require.NoError(t, err)
		defer conn.Close()
		for _, change := range []func(){b.Disconnect, b.Disconnect, b.Reconnect, b.Reconnect} {
			change()
			synctest.Wait()
		}
		require.Equal(t, []bus.Event{bus.Down, bus.Up, bus.Lost}, events)
	})
}

func TestAClosedConnLeavesNothingBehind(t *testing.T) {
	net := New()
	b := net.Bus()
	conn, err := b.Open(bus.LanePresence, bus.Handler{Message: func([]byte) {}})
	require.NoError(t, err)
	require.NoError(t, conn.Subscribe("x"))
	conn.Close()
	require.Empty(t, b.open)
	require.Empty(t, net.open[bus.LanePresence])
}

func TestMaxPayloadIsWhatIsSet(t *testing.T) {
	require.Equal(t, 1<<20-1, New().Bus().MaxPayload())
	require.Equal(t, 4, New(MaxPayload(4)).Bus().MaxPayload())
	require.Equal(t, 1, New(MaxPayload(0)).Bus().MaxPayload())
}
