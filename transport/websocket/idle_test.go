package websocket

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

func awaitParked(t testing.TB, transport *Transport, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return transport.poller.Parked() == n }, 10*time.Second, time.Millisecond)
}

func TestIdleConnectionsHaveNoGoroutine(t *testing.T) {
	const n = 50
	eachKind(t, func(t *testing.T, k kind) {
		if !k.parks() {
			return
		}
		transport, server := k.serve(t, Config{}, func(context.Context, wire.ConnectInfo) (channelConn, error) { return idleConn{}, nil })
		before := runtime.NumGoroutine()
		for range n {
			raw := rawClient(t, server)
			t.Cleanup(func() { raw.Close() })
			_, err := raw.Write(rawFrame(0x81, []byte("hello")))
			require.NoError(t, err)
		}
		awaitParked(t, transport, n)
		require.Eventually(t, func() bool { return runtime.NumGoroutine()-before < n/2 }, 10*time.Second, time.Millisecond)
	})
}

// Sockets are real here, so time has to pass.
func TestClientsAreHeardUntilTheyAreSilentForTheTimeout(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		t.Parallel()
		const idle = 2 * time.Second
		fakes := make(chan *fakeConn, 3)
		transport, server := k.serve(t, Config{IdleTimeout: idle}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
			s := echo()
			fakes <- s
			return s, nil
		})
		client, slow := dial(t, server, nil), dial(t, server, nil)
		<-fakes
		<-fakes
		// Whole messages keep the one alive for longer than the timeout, and parts of a
		// message the other.
		long := strings.Repeat("x", 200_000)
		rest := rawFrame(0x81, []byte(long))
		var last time.Time
		for i, began := 0, time.Now(); last.Sub(began) < idle*5/4; i++ {
			last = time.Now()
			want := fmt.Sprint(i, strings.Repeat("x", i%20*i%20*100))
			require.NoError(t, client.WriteMessage(gorilla.TextMessage, []byte(want)))
			requireText(t, client, want)
			_, err := slow.NetConn().Write(rest[:1])
			require.NoError(t, err)
			rest = rest[1:]
		}
		_, err := slow.NetConn().Write(rest)
		require.NoError(t, err)
		requireText(t, slow, long)
		requireClosed(t, client, wire.CloseProtocol, "idle timeout")
		require.GreaterOrEqual(t, time.Since(last), idle)
		requireClosed(t, slow, wire.CloseProtocol, "idle timeout")
		require.EqualValues(t, 2, transport.Stats().Idle, "they are counted before the close")

		client = dial(t, server, nil)
		s := <-fakes
		awaitParked(t, transport, 1)
		awaitLink(t, s).Close(wire.CloseGoingAway, "bye")
		requireClosed(t, client, wire.CloseGoingAway, "bye")
		await(t, s.closed, "the end")

		client = dial(t, server, nil)
		s = <-fakes
		awaitParked(t, transport, 1)
		require.NoError(t, client.NetConn().Close())
		await(t, s.closed, "the end")
	})
}

// A connection may be cut while it is parked: the kernel does not report a socket that
// we close ourselves.
func TestParkedConnectionThatIsCutEnds(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := newFake()
		transport, server := k.serve(t, Config{}, letIn(s))
		dial(t, server, nil)
		link := awaitLink(t, s)
		awaitParked(t, transport, 1)
		link.(*conn).abort()
		await(t, s.closed, "the end")
		require.Eventually(t, func() bool { return transport.Stats().Connections == 0 }, 10*time.Second, time.Millisecond)
	})
}
