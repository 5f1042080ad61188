package natsbus

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
)

// onServers runs a test on one server, and on two with a route between them.
func onServers(t *testing.T, test func(t *testing.T, a, b *server.Server)) {
	t.Run("one server", func(t *testing.T) {
		s := startServer(t)
		test(t, s, s)
	})
	t.Run("two servers", func(t *testing.T) {
		a, b := startCluster(t)
		test(t, a, b)
	})
}

// meet waits until a's server knows everything that b is subscribed to: interest
// takes a moment to cross a route. It crosses in order, so a subscription made
// now is the last to be known. r is the recorder of b's lane.
func meet(t *testing.T, a, b *Bus, lane byte, r *recorder) {
	t.Helper()
	dest := fmt.Sprint("meet:", rand.Uint64())
	require.NoError(t, b.Subscribe(lane, dest))
	r.provoke(func() { publish(t, a, lane, dest, "meet") })
	publish(t, a, lane, dest, "met")
	r.until("met")
	require.NoError(t, b.Unsubscribe(lane, dest))
}

func TestMessagesReachSubscribersOfTheLaneAndThePublisherItself(t *testing.T) {
	onServers(t, func(t *testing.T, sa, sb *server.Server) {
		a, b := newBus(t, sa), newBus(t, sb)
		ra, rb := open(t, a, 'p', "x", "end"), open(t, b, 'p', "x", "y", "end")
		other := open(t, b, 'c', "x", "end")
		meet(t, a, b, 'p', rb)
		publish(t, a, 'p', "x", "1")
		publish(t, a, 'p', "y", "2")
		publish(t, a, 'p', "z", "3")
		publish(t, a, 'p', "x", "")
		publish(t, a, 'p', "end", "end")
		publish(t, a, 'c', "end", "end")
		require.Equal(t, []string{"1", ""}, ra.until("end"), "echo")
		require.Equal(t, []string{"1", "2", ""}, rb.until("end"))
		require.Empty(t, other.until("end"), "another lane")
	})
}

func TestOneSendersOrderHoldsAcrossSubjects(t *testing.T) {
	onServers(t, func(t *testing.T, sa, sb *server.Server) {
		const subjects, messages = 50, 20000
		a, b := newBus(t, sa), newBus(t, sb)
		r := open(t, b, 'p', "last")
		for i := range subjects {
			require.NoError(t, b.Subscribe('p', fmt.Sprint("t:", i)))
		}
		meet(t, a, b, 'p', r)
		for i := range messages {
			publish(t, a, 'p', fmt.Sprint("t:", i%subjects), fmt.Sprint(i))
			if i%500 == 499 { // no faster than it is read: this is not about overflow
				publish(t, a, 'p', "last", "batch")
				r2 := r.until("batch")
				for j, got := range r2 {
					require.Equal(t, fmt.Sprint(i-499+j), got)
				}
				require.Len(t, r2, 500)
			}
		}
	})
}

func TestTopicStarIsNotAWildcard(t *testing.T) {
	s := startServer(t)
	a, b := newBus(t, s), newBus(t, s)
	hard := []string{"t:*", "t:>", "*", ">", "t:%2A", "t:a.b", "t:a.*", "t:a.>", "t: ", "t:\t\r\n", "t:\x00", "t:é\u2028", ".", "..", "$SYS.>"}
	r := open(t, a, 'p', append(hard, "end")...)
	for _, other := range []string{"t:x", "x", "t:a.c", "t:a", "t:", "all"} {
		publish(t, b, 'p', other, "not subscribed")
	}
	for i, dest := range hard {
		publish(t, b, 'p', dest, fmt.Sprint(i))
	}
	publish(t, b, 'p', "end", "end")
	var want []string
	for i := range hard {
		want = append(want, fmt.Sprint(i))
	}
	require.Equal(t, want, r.until("end"))
}

func TestTheLongestDestinationWorks(t *testing.T) {
	s := startServer(t)
	a, b := newBus(t, s, Prefix(strings.Repeat("p", maxPrefix))), newBus(t, s, Prefix(strings.Repeat("p", maxPrefix)))
	dest := strings.Repeat("*", MaxDest)
	ra, rb := open(t, a, 'p', "end"), open(t, b, 'p', dest)
	require.NoError(t, a.Request('p', dest, []byte("1")))
	require.Empty(t, rb.until("1"))
	require.NoError(t, b.Unsubscribe('p', dest))
	require.NoError(t, b.nc.Flush())
	require.NoError(t, a.Request('p', dest, []byte("2")))
	require.Empty(t, ra.until("!unreachable "+dest))
}

func TestLanesShareOneSubscription(t *testing.T) {
	s := startServer(t)
	b := newBus(t, s)
	base := b.nc.NumSubscriptions()
	rp, rc := open(t, b, 'p', "x", "x"), open(t, b, 'c', "x")
	require.Equal(t, base+1, b.nc.NumSubscriptions())
	require.Equal(t, 1, b.Stats().Subscriptions)
	publish(t, b, 'p', "x", "p")
	publish(t, b, 'c', "x", "c")
	require.Empty(t, rp.until("p"))
	require.Empty(t, rc.until("c"))

	require.NoError(t, b.Unsubscribe('p', "x"))
	require.NoError(t, b.Unsubscribe('p', "x"))
	require.Equal(t, base+1, b.nc.NumSubscriptions(), "the other lane still has it")
	publish(t, b, 'p', "x", "nobody's")
	require.NoError(t, b.Subscribe('p', "end"))
	publish(t, b, 'p', "end", "end")
	require.Empty(t, rp.until("end"))

	require.NoError(t, b.Unsubscribe('c', "x"))
	require.NoError(t, b.Unsubscribe('p', "end"))
	require.NoError(t, b.Unsubscribe('q', "x"), "a lane that is not open")
	require.Equal(t, base, b.nc.NumSubscriptions())
	require.Zero(t, b.Stats().Subscriptions)
}

func TestStopDropsTheLanesSubscriptionsOnly(t *testing.T) {
	s := startServer(t)
	b := newBus(t, s)
	r := open(t, b, 'c', "shared", "end")
	stop, err := b.Listen('p', func([]byte) { t.Error("called after stop") }, func(string, string) {})
	require.NoError(t, err)
	require.NoError(t, b.Subscribe('p', "shared"))
	require.NoError(t, b.Subscribe('p', "own"))
	require.Equal(t, 3, b.Stats().Subscriptions)
	stop()
	stop()
	require.Equal(t, 2, b.Stats().Subscriptions)
	require.ErrorIs(t, b.Subscribe('p', "x"), ErrLaneClosed)
	publish(t, b, 'p', "shared", "no")
	publish(t, b, 'c', "shared", "yes")
	publish(t, b, 'c', "end", "end")
	require.Equal(t, []string{"yes"}, r.until("end"))

	again := open(t, b, 'p', "end")
	publish(t, b, 'p', "shared", "no longer subscribed")
	publish(t, b, 'p', "end", "end")
	require.Empty(t, again.until("end"))
}

func TestCloseWaitsForTheRunningCall(t *testing.T) {
	s := startServer(t)
	b := newBus(t, s)
	running, release, closed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	_, err := b.Listen('p', func([]byte) { close(running); <-release }, func(string, string) {})
	require.NoError(t, err)
	require.NoError(t, b.Subscribe('p', "x"))
	publish(t, b, 'p', "x", "1", "2")
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
	require.ErrorIs(t, b.Publish('p', "x", nil), ErrClosed)
	require.ErrorIs(t, b.Subscribe('p', "x"), ErrClosed)
	require.NoError(t, b.Unsubscribe('p', "x"))
	_, err = b.Listen('p', func([]byte) {}, func(string, string) {})
	require.ErrorIs(t, err, ErrClosed)
}

func TestRequestToNobodyIsUnreachable(t *testing.T) {
	onServers(t, func(t *testing.T, sa, sb *server.Server) {
		a, b := newBus(t, sa), newBus(t, sb)
		ra, rb := open(t, a, 'p', "me"), open(t, b, 'p', "r:b")
		meet(t, a, b, 'p', rb)
		require.NoError(t, a.Request('p', "r:b", []byte("there?")))
		require.Empty(t, rb.until("there?"))
		require.NoError(t, a.Request('p', "me", []byte("myself")))
		require.Empty(t, ra.until("myself"), "nothing was unreachable so far")

		require.NoError(t, b.Close())
		closeConn(b.nc)
		ra.provoke(func() { require.NoError(t, a.Request('p', "r:b", []byte("there?"))) })
		require.Empty(t, ra.until("!unreachable r:b"))
	})
}

func TestUnreachableIsToldToTheLaneThatAsked(t *testing.T) {
	s := startServer(t)
	b := newBus(t, s)
	rp, rc := open(t, b, 'p', "end"), open(t, b, 'c', "end")
	require.NoError(t, b.Request('c', "nobody", nil))
	require.NoError(t, b.Request('q', "nobody", nil), "a lane that is not open")
	publish(t, b, 'p', "end", "end")
	publish(t, b, 'c', "end", "end")
	rc.until("!unreachable nobody")
	require.Empty(t, rc.until("end"))
	require.Empty(t, rp.until("end"))
}

func TestStrangersOnOurSubjectsAreIgnored(t *testing.T) {
	s := startServer(t)
	b := newBus(t, s)
	r := open(t, b, 'p', "x")
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
	a, b := newBus(t, s, Prefix("eu.one")), newBus(t, s, Prefix("eu.two"))
	ra, rb := open(t, a, 'p', "x"), open(t, b, 'p', "x")
	publish(t, a, 'p', "x", "1", "end")
	publish(t, b, 'p', "x", "2", "end")
	require.Equal(t, []string{"1"}, ra.until("end"))
	require.Equal(t, []string{"2"}, rb.until("end"))
}

func TestWrongCallsAreErrors(t *testing.T) {
	s := startServer(t, func(o *server.Options) { o.MaxPayload = 2048 })
	b := newBus(t, s)
	r := open(t, b, 'p', "x")
	_, err := b.Listen('p', func([]byte) {}, func(string, string) {})
	require.ErrorIs(t, err, ErrLaneOpen)
	_, err = b.Listen('q', func([]byte) {}, nil)
	require.ErrorIs(t, err, ErrNilCallback)
	require.ErrorIs(t, b.Subscribe('q', "x"), ErrLaneClosed)
	require.Equal(t, 2047, b.MaxPayload())
	require.ErrorIs(t, b.Publish('p', "x", make([]byte, 2048)), ErrPayload)
	full := strings.Repeat("x", 2047)
	publish(t, b, 'p', "x", full)
	require.Empty(t, r.until(full))
	for _, dest := range []string{"", "\xff", strings.Repeat("x", MaxDest+1)} {
		require.ErrorIs(t, b.Subscribe('p', dest), ErrDest)
		require.ErrorIs(t, b.Unsubscribe('p', dest), ErrDest)
		require.ErrorIs(t, b.Publish('p', dest, nil), ErrDest)
		require.ErrorIs(t, b.Request('p', dest, nil), ErrDest)
	}
}

func BenchmarkPublish(b *testing.B) {
	for _, bm := range []struct{ name, dest string }{{"subscribed", "t:room:lobby"}, {"not subscribed", "t:room:other"}} {
		b.Run(bm.name, func(b *testing.B) {
			s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true})
			require.NoError(b, err)
			go s.Start()
			defer stopServer(s)
			require.True(b, s.ReadyForConnections(patience))
			nc, err := nats.Connect(s.ClientURL(), Options()...)
			require.NoError(b, err)
			defer nc.Close()
			bus, err := New(nc)
			require.NoError(b, err)
			defer bus.Close()
			bus.subjects["rollcall.t.room:lobby"] = &subject{name: "rollcall.t.room:lobby"} // known, but nothing comes back
			defer delete(bus.subjects, "rollcall.t.room:lobby")
			data := make([]byte, 200)
			b.ReportAllocs()
			for b.Loop() {
				if err := bus.Publish('p', bm.dest, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
