package natsbus

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/bus"
)

// What is on the wire must not change while replicas of different releases share a
// network.
func TestTheWireFormatStays(t *testing.T) {
	tests := []struct {
		buckets             int
		lane                bus.Lane
		dest, data          string
		wantSubject, wanted string
	}{
		{0, bus.LanePresence, bus.DestAll, "beat", "rollcall.all", "pbeat"},
		{0, bus.LanePresence, "r:eu/1", "sync", "rollcall.r.eu/1", "psync"},
		{0, bus.LaneChannel, bus.TopicDest("room:lobby"), "shout", "rollcall.t.room:lobby", "cshout"},
		{0, bus.LaneChannel, bus.TopicDest("a.*"), "", "rollcall.t.a%2E%2A", "c"},
		{0, bus.LaneLongPoll, "l:00ff", "poll", "rollcall.l.00ff", "lpoll"},
		{8, bus.LanePresence, bus.DestAll, "beat", "rollcall.all", "pbeat"},
		{8, bus.LanePresence, bus.TopicDest("room:lobby"), "delta", "rollcall.b.8.2", "p\x0ct:room:lobbydelta"},
		{8, bus.LaneChannel, bus.TopicDest("a.*"), "", "rollcall.b.8.6", "c\x05t:a.*"},
	}
	s := startServer(t)
	stranger := dial(t, s)
	for _, tt := range tests {
		b := newBus(t, s, Config{Buckets: tt.buckets})
		r := open(t, b, tt.lane, tt.dest)
		sub, err := stranger.SubscribeSync("rollcall.>")
		require.NoError(t, err)
		require.NoError(t, stranger.Flush())

		r.send(tt.dest, tt.data)
		m, err := sub.NextMsg(waitLimit)
		require.NoError(t, err)
		require.Equal(t, tt.wantSubject, m.Subject)
		require.Equal(t, tt.wanted, string(m.Data))
		require.Empty(t, r.until(tt.data))

		require.NoError(t, sub.Unsubscribe())
		require.NoError(t, stranger.Publish(tt.wantSubject, []byte(tt.wanted)))
		require.Empty(t, r.until(tt.data), "the same from another replica")
		require.NoError(t, b.Close())
	}
}

func TestTheLongestDestinationWorks(t *testing.T) {
	s := startServer(t)
	a, b := newBus(t, s, Config{Prefix: strings.Repeat("p", maxPrefix)}), newBus(t, s, Config{Prefix: strings.Repeat("p", maxPrefix)})
	dest := strings.Repeat("*", bus.MaxDest)
	ra, rb := open(t, a, bus.LanePresence, "end"), open(t, b, bus.LanePresence, dest)
	require.NoError(t, ra.Request(dest, []byte("1")))
	require.Empty(t, rb.until("1"))
	require.NoError(t, rb.Unsubscribe(dest))
	require.NoError(t, b.nc.Flush())
	require.NoError(t, ra.Request(dest, []byte("2")))
	require.Empty(t, ra.until("!unreachable "+dest))
}

func TestLanesShareOneSubscription(t *testing.T) {
	s := startServer(t)
	b := newBus(t, s, Config{})
	base := b.nc.NumSubscriptions()
	rp, rc := open(t, b, bus.LanePresence, "x", "x"), open(t, b, bus.LaneChannel, "x")
	require.Equal(t, base+1, b.nc.NumSubscriptions())
	require.Equal(t, 1, b.Stats().Subscriptions)
	rp.send("x", "p")
	rc.send("x", "c")
	require.Empty(t, rp.until("p"))
	require.Empty(t, rc.until("c"))

	require.NoError(t, rp.Unsubscribe("x"))
	require.NoError(t, rp.Unsubscribe("x"))
	require.Equal(t, base+1, b.nc.NumSubscriptions(), "the other lane still has it")

	require.NoError(t, rc.Unsubscribe("x"))
	require.Equal(t, base, b.nc.NumSubscriptions())
	require.Zero(t, b.Stats().Subscriptions)
}

func TestAClosedLaneEndsItsOwnSubscriptionsOnly(t *testing.T) {
	s := startServer(t)
	b := newBus(t, s, Config{})
	open(t, b, bus.LaneChannel, "shared", "end")
	r := open(t, b, bus.LanePresence, "shared", "own")
	require.NoError(t, r.SubscribeAll("t"))
	require.Equal(t, 4, b.Stats().Subscriptions)
	r.Close()
	require.Equal(t, 2, b.Stats().Subscriptions)
	require.Empty(t, b.classes)
}

func TestCloseOfTheBusWaitsForTheRunningCall(t *testing.T) {
	s := startServer(t)
	b := newBus(t, s, Config{})
	running, release, closed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	conn, err := b.Open(bus.LanePresence, bus.Handler{Message: func([]byte) { close(running); <-release }})
	require.NoError(t, err)
	require.NoError(t, conn.Subscribe("x"))
	require.NoError(t, conn.Publish("x", []byte("1")))
	require.NoError(t, conn.Publish("x", []byte("2")))
	<-running
	go func() { closed <- b.Close() }()
	<-b.pumped
	select {
	case <-closed:
		t.Fatal("Close did not wait")
	default:
	}
	close(release)
	require.NoError(t, <-closed)
	require.NoError(t, b.Close(), "again")
	require.Zero(t, b.nc.NumSubscriptions())
	require.True(t, b.nc.IsConnected(), "the connection is the caller's")
	require.ErrorIs(t, conn.Publish("x", nil), bus.ErrClosed)
	require.ErrorIs(t, conn.Subscribe("x"), bus.ErrClosed)
	require.NoError(t, conn.Unsubscribe("x"))
	conn.Close()
	_, err = b.Open(bus.LanePresence, bus.Handler{Message: func([]byte) {}})
	require.ErrorIs(t, err, bus.ErrClosed)
}

func TestStrangersOnOurSubjectsAreIgnored(t *testing.T) {
	s := startServer(t)
	b := newBus(t, s, Config{})
	r := open(t, b, bus.LanePresence, "x")
	stranger := dial(t, s)
	require.NoError(t, stranger.Publish("rollcall.x", nil))
	require.NoError(t, stranger.Publish("rollcall.x", []byte("zother lane")))
	require.NoError(t, stranger.PublishRequest("rollcall.x", "rollcall.x", nil))
	for _, token := range []string{"1", "0", "zzzzzzzzzzzzzzzzzzzzzzzz", "-"} {
		require.NoError(t, stranger.Publish(b.inbox+token, []byte("x")))
		require.NoError(t, stranger.Publish(b.inbox+token, nil))
	}
	require.NoError(t, stranger.Publish("rollcall.x", []byte("pend")))
	require.Empty(t, r.until("end"))
	require.Equal(t, uint64(1), b.Stats().Received)
}

func TestPrefixesAreApart(t *testing.T) {
	s := startServer(t)
	a, b := newBus(t, s, Config{Prefix: "eu.one"}), newBus(t, s, Config{Prefix: "eu.two"})
	ra, rb := open(t, a, bus.LanePresence, "x"), open(t, b, bus.LanePresence, "x")
	ra.send("x", "1", "end")
	rb.send("x", "2", "end")
	require.Equal(t, []string{"1"}, ra.until("end"))
	require.Equal(t, []string{"2"}, rb.until("end"))
}

func TestMaxPayloadIsTheServersLessTheLane(t *testing.T) {
	s := startServer(t, func(o *server.Options) { o.MaxPayload = 2048 })
	require.Equal(t, 2047, newBus(t, s, Config{}).MaxPayload())
}

func BenchmarkPublish(b *testing.B) {
	for _, bm := range []struct{ name, dest string }{{"subscribed", "t:room:lobby"}, {"not subscribed", "t:room:other"}} {
		b.Run(bm.name, func(b *testing.B) {
			s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
			require.NoError(b, err)
			go s.Start()
			defer stopServer(s)
			require.True(b, s.ReadyForConnections(waitLimit))
			nc, err := nats.Connect(s.ClientURL(), Options()...)
			require.NoError(b, err)
			defer nc.Close()
			nb, err := New(nc, Config{})
			require.NoError(b, err)
			defer nb.Close()
			conn, err := nb.Open(bus.LanePresence, bus.Handler{Message: func([]byte) {}})
			require.NoError(b, err)
			nb.subjects["rollcall.t.room:lobby"] = &subject{name: "rollcall.t.room:lobby"} // known, but nothing comes back
			defer delete(nb.subjects, "rollcall.t.room:lobby")
			data := make([]byte, 200)
			b.ReportAllocs()
			for b.Loop() {
				if err := conn.Publish(bm.dest, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
