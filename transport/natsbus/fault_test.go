package natsbus

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/transport/internal/delivery"
)

func TestReconnectAfterTheServerRestarts(t *testing.T) {
	s := startServer(t)
	port := s.Addr().(interface{ String() string }).String()
	b := newBus(t, s, Config{})
	r := open(t, b, bus.LanePresence, "x")
	r.send("x", "before")
	require.Empty(t, r.until("before"))
	limit := b.MaxPayload()
	stopServer(s)
	require.Empty(t, r.until("!down"))
	require.ErrorIs(t, r.Publish("x", []byte("stale")), bus.ErrDown)
	require.ErrorIs(t, r.Request("x", []byte("stale")), bus.ErrDown)
	require.NoError(t, r.Subscribe("y"), "while down")
	require.Equal(t, limit, b.MaxPayload(), "while down")

	startServer(t, func(o *server.Options) {
		_, err := fmt.Sscanf(port, "127.0.0.1:%d", &o.Port)
		require.NoError(t, err)
		o.MaxPayload = 4096
	})
	require.Empty(t, r.until("!up"))
	require.Empty(t, r.until("!lost"))
	require.Equal(t, 4095, b.MaxPayload(), "the new server's")
	r.send("x", "after")
	r.send("y", "both")
	require.Equal(t, []string{"after"}, r.until("both"), "and nothing stale")
}

func TestAClosedConnectionIsDown(t *testing.T) {
	s := startServer(t)
	b := newBus(t, s, Config{})
	r := open(t, b, bus.LanePresence, "x")
	b.nc.Close()
	require.Empty(t, r.until("!down"))
	require.ErrorIs(t, r.Publish("x", nil), bus.ErrDown)
	require.ErrorIs(t, r.Subscribe("y"), nats.ErrConnectionClosed)
	require.NoError(t, b.Close())
}

func TestALanesOverflowIsLostOnceAndLeavesTheOtherLaneAlone(t *testing.T) {
	var log syncBuffer
	s := startServer(t)
	b := newBus(t, s, Config{QueueBytes: 3 * (delivery.Overhead + 1), Logger: slog.New(slog.NewTextHandler(&log, nil))})
	slow, free := open(t, b, bus.LanePresence, "x", "y"), open(t, b, bus.LaneChannel, "x")
	slow.block()
	slow.send("x", "0") // is taken from the queue, and blocks
	require.Eventually(t, func() bool { s := b.Stats(); return s.Received == 1 && s.QueuedBytes == 0 }, waitLimit, time.Millisecond)
	slow.send("x", "1", "2", "3", "4", "5")
	slow.send("y", "6")
	free.send("x", "end")
	require.Empty(t, free.until("end"), "the other lane goes on")
	require.Equal(t, uint64(3), b.Stats().Dropped)
	require.Equal(t, 3*(delivery.Overhead+1), b.Stats().QueuedBytes)
	slow.unblock()
	require.Equal(t, []string{"0", "1", "2", "3"}, slow.until("!lost"))
	slow.send("x", "end")
	require.Empty(t, slow.until("end"), "told once")
	require.Equal(t, uint64(1), b.Stats().Lost)
	require.Equal(t, 1, bytes.Count(log.bytes(), []byte("level=WARN")), "%s", log.bytes())
}

func TestAnOverrunOfTheChannelIsLostOnce(t *testing.T) {
	s := startServer(t)
	a, b := newBus(t, s, Config{}), newBus(t, s, Config{})
	const subjects = 10
	r, other, from := open(t, b, bus.LanePresence, "end"), open(t, b, bus.LaneChannel), open(t, a, bus.LanePresence)
	for i := range subjects {
		require.NoError(t, r.Subscribe(fmt.Sprint(i)))
	}
	require.NoError(t, b.nc.Flush())
	stalled := func(messages int) {
		t.Helper()
		before := b.nc.Stats().InMsgs
		b.mu.Lock() // the pump stands still
		for i := range messages {
			from.send(fmt.Sprint(i%subjects), fmt.Sprint(i))
		}
		require.NoError(t, a.nc.Flush())
		require.Eventually(t, func() bool { return b.nc.Stats().InMsgs >= before+uint64(messages) }, waitLimit, time.Millisecond)
		b.mu.Unlock()
	}

	stalled(channelMessages - 10)
	from.send("end", "end")
	require.Len(t, r.until("end"), channelMessages-10, "it all fits")
	require.Zero(t, b.Stats().Overruns)

	stalled(4 * channelMessages)
	// nats.go tells of the overrun while the pump still takes what the channel holds, so
	// some of that may come after it.
	before := r.until("!lost")
	require.Empty(t, other.until("!lost"), "any lane may have lost something")
	from.send("end", "end")
	after := r.until("end")
	require.NotContains(t, after, "!lost", "told once")
	require.InDelta(t, channelMessages, len(before)+len(after), 2, "what the channel holds, and what the pump had")

	// The subjects are still "slow" for nats.go, so that it says nothing of more
	// drops; we do.
	stalled(4 * channelMessages)
	r.until("!lost")
	require.Empty(t, other.until("!lost"))
	from.send("end", "end")
	require.NotContains(t, r.until("end"), "!lost", "told once")
	require.Equal(t, uint64(2), b.Stats().Overruns)
	require.Equal(t, uint64(4), b.Stats().Lost, "two lanes, two overruns")
}

func TestHandlersOfTheCallerAreStillCalled(t *testing.T) {
	tests := []struct {
		name string
		opt  func(down func()) nats.Option
	}{
		{"disconnected with error", func(down func()) nats.Option {
			return nats.DisconnectErrHandler(func(*nats.Conn, error) { down() })
		}},
		{"disconnected, deprecated", func(down func()) nats.Option {
			return func(o *nats.Options) error { o.DisconnectedCB = func(*nats.Conn) { down() }; return nil }
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var down, up, failed atomic.Int32
			s := startServer(t, denyForbidden)
			nc := dial(t, s, tt.opt(func() { down.Add(1) }),
				nats.ReconnectHandler(func(*nats.Conn) { up.Add(1) }),
				nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) { failed.Add(1) }))
			closed := make(chan struct{})
			nc.SetClosedHandler(func(*nats.Conn) { close(closed) })
			b, err := New(nc, Config{})
			require.NoError(t, err)
			r := open(t, b, bus.LanePresence, "x")
			require.NoError(t, r.Subscribe("forbidden"))
			require.Eventually(t, func() bool { return b.Stats().Errors == 1 && failed.Load() == 1 }, waitLimit, time.Millisecond)
			require.NoError(t, nc.ForceReconnect())
			r.until("!lost")
			require.Eventually(t, func() bool { return down.Load() == 1 && up.Load() == 1 }, waitLimit, time.Millisecond)
			require.NoError(t, b.Close())
			nc.Close()
			<-closed
		})
	}
}

func denyForbidden(o *server.Options) {
	o.NoAuthUser = "u"
	o.Users = []*server.User{{Username: "u", Password: "p", Permissions: &server.Permissions{
		Subscribe: &server.SubjectPermission{Deny: []string{"rollcall.forbidden"}},
	}}}
}

func TestARefusedSubscriptionIsLoggedAndCounted(t *testing.T) {
	var log syncBuffer
	s := startServer(t, denyForbidden)
	b := newBus(t, s, Config{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	r := open(t, b, bus.LanePresence, "x")
	require.NoError(t, r.Subscribe("forbidden"))
	require.Eventually(t, func() bool { return b.Stats().Errors == 1 }, waitLimit, time.Millisecond)
	require.Eventually(t, func() bool { return bytes.Contains(log.bytes(), []byte("rollcall.forbidden")) }, waitLimit, time.Millisecond)
	r.send("x", "end")
	require.Empty(t, r.until("end"), "the connection lives")
}

func TestWrongConnectionsAreNamed(t *testing.T) {
	s := startServer(t, func(o *server.Options) { o.MaxPayload = 2048 })
	bare := startServer(t, func(o *server.Options) { o.NoHeaderSupport = true; o.MaxPayload = 512 })
	connect := func(s *server.Server, opts ...nats.Option) *nats.Conn { return dial(t, s, opts...) }
	closed := connect(s)
	closeConn(closed)
	plain, err := nats.Connect(s.ClientURL())
	require.NoError(t, err)
	t.Cleanup(func() { closeConn(plain) })
	never, err := nats.Connect("nats://127.0.0.1:1", append(Options(), nats.RetryOnFailedConnect(true))...)
	require.NoError(t, err)
	t.Cleanup(func() { closeConn(never) })
	tests := []struct {
		name string
		nc   *nats.Conn
		want []string // one line of the error begins with each
	}{
		{"nil", nil, []string{"it is nil"}},
		{"no echo", connect(s, nats.NoEcho()), []string{"NoEcho is set"}},
		{"gives up", connect(s, nats.MaxReconnects(60)), []string{"MaxReconnects is 60"}},
		{"does not reconnect", connect(s, nats.NoReconnect()), []string{"NoReconnect is set"}},
		{"buffers", connect(s, nats.ReconnectBufSize(4096)), []string{"ReconnectBufSize is 4096"}},
		{"closed", closed, []string{"it is closed"}},
		{"never connected", never, []string{"it was never connected"}},
		{"old server", connect(bare), []string{"the server has no headers", "the server's max_payload is 512 bytes"}},
		{"all at once", connect(s, nats.NoEcho(), nats.MaxReconnects(0), nats.ReconnectBufSize(1)),
			[]string{"NoEcho is set", "MaxReconnects is 0", "ReconnectBufSize is 1"}},
		{"the defaults of nats.go", plain, []string{"MaxReconnects is 60", "ReconnectBufSize is 8388608"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b, err := New(tt.nc, Config{})
			require.Nil(t, b)
			require.ErrorIs(t, err, errConn)
			lines := unjoin(err)
			require.Len(t, lines, len(tt.want), "%v", err)
			for i, want := range tt.want {
				require.Contains(t, lines[i].Error(), "natsbus: unusable connection: "+want)
			}
		})
	}
	b, err := New(connect(s, nats.Timeout(time.Second), nats.MaxReconnects(-2)), Config{})
	require.NoError(t, err, "what does no harm is the caller's choice")
	require.NoError(t, b.Close())
}

func TestWrongConfigsAreNamed(t *testing.T) {
	s := startServer(t)
	nc := dial(t, s)
	for _, prefix := range []string{".", "a.", ".a", "a..b", "a b", "a.*", ">", "$SYS", "é", "a\n", "0123456789012345678901234567890123456789012345678901234567890123x"} {
		_, err := New(nc, Config{Prefix: prefix})
		require.ErrorIs(t, err, errConfig, "%q", prefix)
		require.ErrorContains(t, err, fmt.Sprintf("Prefix %q", prefix))
	}
	_, err := New(nc, Config{Buckets: MaxBuckets + 1})
	require.ErrorIs(t, err, errConfig)
	_, err = New(nil, Config{Prefix: "*", QueueBytes: -1, Buckets: -1})
	require.ErrorIs(t, err, errConn)
	require.ErrorContains(t, err, "Prefix")
	require.ErrorContains(t, err, "QueueBytes -1")
	require.ErrorContains(t, err, "Buckets -1")
	require.Zero(t, nc.NumSubscriptions(), "nothing is left behind")
}

// unjoin lists the faults of errors joined once or twice.
func unjoin(err error) []error {
	var joined interface{ Unwrap() []error }
	if !errors.As(err, &joined) {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		if j, ok := e.(interface{ Unwrap() []error }); ok {
			all = append(all, j.Unwrap()...)
		} else {
			all = append(all, e)
		}
	}
	return all
}
