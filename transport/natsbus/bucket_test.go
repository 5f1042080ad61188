package natsbus

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/bus"
)

func TestTopicsInBucketsAreReceivedBySubscribersOnly(t *testing.T) {
	s := startServer(t)
	a, b := newBus(t, s, Config{Buckets: 2}), newBus(t, s, Config{Buckets: 2})
	from, otherFrom := open(t, a, bus.LanePresence), open(t, a, bus.LaneChannel)
	r, other := open(t, b, bus.LanePresence, "t:1", "t:3", "t:*", "end"), open(t, b, bus.LaneChannel, "t:2", "end")
	for i := range 6 {
		from.send(fmt.Sprint("t:", i), fmt.Sprint("p", i))
		otherFrom.send(fmt.Sprint("t:", i), fmt.Sprint("c", i))
	}
	from.send("t:*", "")
	from.send("end", "end")
	otherFrom.send("end", "end")
	require.Equal(t, []string{"p1", "p3", ""}, r.until("end"))
	require.Equal(t, []string{"c2"}, other.until("end"))
}

func TestABucketIsSubscribedToWhileSomethingInItIs(t *testing.T) {
	s := startServer(t)
	b := newBus(t, s, Config{Buckets: 1})
	r, other := open(t, b, bus.LanePresence, "end"), open(t, b, bus.LaneChannel)
	before := b.nc.NumSubscriptions()
	for i := range 100 {
		require.NoError(t, r.Subscribe(fmt.Sprint("t:", i)))
	}
	require.NoError(t, other.Subscribe("t:7"))
	require.Equal(t, before+1, b.nc.NumSubscriptions())
	require.Equal(t, 2, b.Stats().Subscriptions, "with that of end")
	for i := range 100 {
		require.NoError(t, r.Unsubscribe(fmt.Sprint("t:", i)))
		require.NoError(t, r.Unsubscribe(fmt.Sprint("t:", i)), "a second time")
	}
	require.Equal(t, before+1, b.nc.NumSubscriptions(), "the other lane's")
	require.NoError(t, other.Unsubscribe("t:7"))
	require.Equal(t, before, b.nc.NumSubscriptions())
	require.Empty(t, b.buckets)

	require.NoError(t, r.Subscribe("t:again"))
	r.send("t:again", "1")
	r.send("end", "end")
	require.Equal(t, []string{"1"}, r.until("end"))
}

// Buses with other numbers of buckets are deaf to each other's topics, which their
// settings tell, and to nothing else.
func TestOtherBucketsAreApartAndTheSettingsTell(t *testing.T) {
	s := startServer(t)
	var buses []*Bus
	var recorders []*recorder
	for _, n := range []int{0, 2, 4} {
		b := newBus(t, s, Config{Buckets: n})
		r := open(t, b, bus.LanePresence, "t:x", "t:0", "all")
		buses, recorders = append(buses, b), append(recorders, r)
		require.NoError(t, r.SubscribeAll("u"))
		require.NoError(t, b.nc.Flush())
	}
	for i, from := range recorders {
		for _, dest := range []string{"t:x", "t:0", "u:x"} {
			from.send(dest, fmt.Sprint(dest, " of ", i))
		}
		from.send("all", "end")
		for j, r := range recorders {
			want := []string{fmt.Sprint("u:x of ", i)}
			if i == j {
				want = []string{fmt.Sprint("t:x of ", i), fmt.Sprint("t:0 of ", i), fmt.Sprint("u:x of ", i)}
			}
			require.Equal(t, want, r.until("end"))
		}
	}
	require.Empty(t, buses[0].Settings())
	require.Equal(t, "buckets=2", buses[1].Settings())
	require.Equal(t, "buckets=4", buses[2].Settings())
}

func TestTheLargestMessageInABucketFits(t *testing.T) {
	s := startServer(t)
	b := newBus(t, s, Config{Buckets: 8})
	dest := "t:" + string(make([]byte, bus.MaxDest-2))
	r := open(t, b, bus.LanePresence, dest)
	large := string(make([]byte, b.MaxPayload()))
	r.send(dest, large, "end")
	require.Equal(t, []string{large}, r.until("end"))
	require.ErrorIs(t, r.Publish(dest, make([]byte, b.MaxPayload()+1)), bus.ErrPayload)
}

// FuzzBucketed: whatever comes in a bucket is taken apart or refused, and what
// was put together comes apart again.
func FuzzBucketed(f *testing.F) {
	f.Add([]byte("p"))
	f.Add([]byte("p\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x"))
	f.Add(appendBucketed(nil, 'p', "t:room", []byte("data")))
	f.Fuzz(func(t *testing.T, msg []byte) {
		if len(msg) == 0 {
			return
		}
		dest, data, ok := splitBucketed(msg)
		if !ok {
			return
		}
		again, rest, ok := splitBucketed(appendBucketed(nil, bus.Lane(msg[0]), string(dest), data))
		require.True(t, ok)
		require.Equal(t, dest, again)
		require.Equal(t, data, rest)
	})
}

// BenchmarkSubscriptions tells what a topic that a bus is subscribed to costs the
// bus and a server in the same process, in bytes: B/topic.
func BenchmarkSubscriptions(b *testing.B) {
	for _, buckets := range []int{0, 1024} {
		b.Run(fmt.Sprintf("buckets=%d", buckets), func(b *testing.B) {
			const topics = 100_000
			names := make([]string, topics)
			for i := range names {
				names[i] = fmt.Sprint("t:room:", i)
			}
			for b.Loop() {
				s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
				require.NoError(b, err)
				go s.Start()
				require.True(b, s.ReadyForConnections(waitLimit))
				nc, err := nats.Connect(s.ClientURL(), Options()...)
				require.NoError(b, err)
				nb, err := New(nc, Config{Buckets: buckets})
				require.NoError(b, err)
				conn, err := nb.Open(bus.LanePresence, bus.Handler{Message: func([]byte) {}})
				require.NoError(b, err)
				before := heap()
				for _, name := range names {
					require.NoError(b, conn.Subscribe(name))
				}
				require.NoError(b, nc.Flush())
				b.ReportMetric(float64(heap()-before)/topics, "B/topic")
				require.NoError(b, nb.Close())
				nc.Close()
				stopServer(s)
			}
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
