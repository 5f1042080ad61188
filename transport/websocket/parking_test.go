package websocket

import (
	"context"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// parkedNow returns how many connections are parked.
func (p *parking) parkedNow() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.parked.Len()
}

func awaitParked(t testing.TB, transport *Transport, n int) {
	t.Helper()
	require.Eventually(t, func() bool { return transport.parking.parkedNow() == n }, 10*time.Second, time.Millisecond)
}

func TestIdleConnectionsHaveNoGoroutine(t *testing.T) {
	if runtime.GOOS != "linux" {
		return // there they have
	}
	const n = 100
	transport, server := serveLoopback(t, Options{}, func(context.Context, wire.ConnectInfo) (session, error) { return idleSession{}, nil })
	before := runtime.NumGoroutine()
	for range n {
		raw := rawClient(t, server)
		t.Cleanup(func() { raw.Close() })
		_, err := raw.Write(rawFrame(0x81, []byte("hello")))
		require.NoError(t, err)
	}
	awaitParked(t, transport, n)
	require.Eventually(t, func() bool { return runtime.NumGoroutine()-before < n/2 }, 10*time.Second, time.Millisecond)
}

// The same connections with and without a poll, which a system may refuse. They are
// real ones, so time has to pass.
func TestParkedAndWaitingConnectionsAreServedAlike(t *testing.T) {
	for name, broken := range map[string]bool{"parked": false, "waiting": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const idle = time.Second
			sessions := make(chan *fakeSession, 3)
			transport, server := serveLoopback(t, Options{IdleTimeout: idle}, func(context.Context, wire.ConnectInfo) (session, error) {
				s := echo()
				sessions <- s
				return s, nil
			})
			transport.parking.broken = broken
			waits := func() { // for input
				if !broken {
					awaitParked(t, transport, 1)
				}
			}
			client, slow := dial(t, server, nil), dial(t, server, nil)
			<-sessions
			<-sessions
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
			s := <-sessions
			waits()
			awaitLink(t, s).Close(wire.CloseGoingAway, "bye")
			requireClosed(t, client, wire.CloseGoingAway, "bye")
			await(t, s.closed, "the session's end")

			client = dial(t, server, nil)
			s = <-sessions
			waits()
			require.NoError(t, client.NetConn().Close())
			await(t, s.closed, "the session's end")
		})
	}
}

// A connection may be cut while it is parked: the kernel does not report a socket that
// we close ourselves.
func TestParkedConnectionThatIsCutEnds(t *testing.T) {
	s := newSession()
	transport, server := serveLoopback(t, Options{}, letIn(s))
	dial(t, server, nil)
	link := awaitLink(t, s)
	awaitParked(t, transport, 1)
	link.(*conn).abort()
	await(t, s.closed, "the session's end")
	require.Eventually(t, func() bool { return transport.Stats().Connections == 0 }, 10*time.Second, time.Millisecond)
}

// The goroutine ends with the last connection, and comes back with the next.
func TestParkingOpensAndCloses(t *testing.T) {
	transport, server := serveLoopback(t, Options{}, func(context.Context, wire.ConnectInfo) (session, error) { return idleSession{}, nil })
	for range 3 {
		clients := make([]net.Conn, 5)
		for i := range clients {
			clients[i] = rawClient(t, server)
		}
		awaitParked(t, transport, len(clients))
		clients[1].Close()
		awaitParked(t, transport, len(clients)-1)
		late := rawClient(t, server)
		awaitParked(t, transport, len(clients))
		transport.parking.mu.Lock()
		require.Len(t, transport.parking.places, len(clients), "a place is used again")
		transport.parking.mu.Unlock()
		late.Close()
		for _, client := range clients {
			client.Close()
		}
		require.Eventually(t, func() bool { return transport.Stats().Connections == 0 }, 10*time.Second, time.Millisecond)
		transport.parking.mu.Lock()
		require.Nil(t, transport.parking.poll)
		transport.parking.mu.Unlock()
	}
}

// An event may be about a connection that had the place before.
func TestConnectionWithoutInputIsParkedAgain(t *testing.T) {
	transport, server := serveLoopback(t, Options{}, letIn(echo()))
	client := dial(t, server, nil)
	for range 10 {
		awaitParked(t, transport, 1)
		c := only(t, transport)
		transport.parking.heard(c.place.number)
		transport.parking.heard(c.place.number + 1) // no connection has it
	}
	awaitParked(t, transport, 1)
	require.NoError(t, client.WriteMessage(gorilla.TextMessage, []byte("here")))
	requireText(t, client, "here")
}

// A process that was stopped, or a machine that slept, has not listened: a client that
// seems to have been silent meanwhile gets time to be heard.
func TestStallIsNotTheClientsSilence(t *testing.T) {
	s := newSession()
	transport, server := serveLoopback(t, Options{}, letIn(s))
	dial(t, server, nil)
	awaitLink(t, s)
	awaitParked(t, transport, 1)
	p := transport.parking
	now := time.Now()
	p.mu.Lock()
	poll := p.poll
	p.parked.Front().place.since, p.alarm = now.Add(-2*p.timeout), now.Add(-p.timeout)
	p.mu.Unlock()
	p.findSilent(poll, now)
	require.Equal(t, 1, p.parkedNow())
	p.mu.Lock()
	require.Equal(t, now.Add(stallGrace), p.alarm)
	p.mu.Unlock()
	p.findSilent(poll, now.Add(stallGrace-time.Millisecond))
	require.Equal(t, 1, p.parkedNow())
	require.Zero(t, transport.Stats().Idle)

	p.mu.Lock()
	p.patience = now // as if that time were over
	p.mu.Unlock()
	p.findSilent(poll, now)
	require.Zero(t, p.parkedNow())
	require.Eventually(t, func() bool { return transport.Stats().Idle == 1 }, 10*time.Second, time.Millisecond)
}
