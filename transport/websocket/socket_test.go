package websocket

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
)

// These tests are about what only real sockets do; time_test.go has the same
// bounds over net.Pipe.

// only is the one connection of a transport.
func only(t *testing.T, transport *Transport) *conn {
	t.Helper()
	transport.mu.Lock()
	defer transport.mu.Unlock()
	require.Len(t, transport.conns, 1)
	for c := range transport.conns {
		return c
	}
	return nil
}

func TestIdleConnectionHoldsNoBuffers(t *testing.T) {
	transport, server := serveLoopback(t, Options{}, letIn(echo()))
	client := dial(t, server, nil)
	for _, size := range []int{1, readBuffer, readAhead, 3 * readAhead} {
		message := strings.Repeat("x", size)
		require.NoError(t, client.WriteMessage(gorilla.TextMessage, []byte(message)))
		requireText(t, client, message)
	}
	c := only(t, transport)
	awaitParked(t, transport, 1)
	require.Nil(t, c.wire.input)
	require.Nil(t, c.own)
	c.out.writing.Wait()
	c.out.mu.Lock()
	require.Nil(t, c.out.queue)
	c.out.mu.Unlock()
	c.wire.mu.Lock()
	require.Nil(t, c.wire.cork)
	c.wire.mu.Unlock()
}

// Framers are shared: what one client sends of a message that nobody reads must
// not be there for another one.
func TestRestOfAMessageIsNotReadFromAnotherClient(t *testing.T) {
	tooBig := rawFrame(0x01, bytes.Repeat([]byte("x"), 2000)) // not its last part
	whileClosing := rawFrame(0x81, bytes.Repeat([]byte("x"), 500))
	for name, message := range map[string][]byte{"too big": tooBig, "while closing": whileClosing} {
		t.Run(name, func(t *testing.T) {
			sessions := make(chan *fakeSession, 1)
			_, server := serveLoopback(t, Options{MaxFrame: 1000}, func(context.Context, channel.ConnectInfo) (session, error) {
				s := echo()
				sessions <- s
				return s, nil
			})
			for range 20 {
				bad := rawClient(t, server)
				if link := awaitLink(t, <-sessions); name == "while closing" {
					link.Close(channel.CloseRestart, "restart")
				}
				for part := range bytesIn(message, 300) {
					_, err := bad.Write(part)
					require.NoError(t, err)
				}
				good := dial(t, server, nil)
				<-sessions
				for _, text := range []string{"a", "b"} {
					require.NoError(t, good.WriteMessage(gorilla.TextMessage, []byte(text)))
					requireText(t, good, text)
				}
				good.Close()
				bad.Close()
			}
		})
	}
}

// The bound on what an idle connection costs is generous: less than 3 KiB, of
// which a client's socket is a part.
func TestIdleConnectionIsSmall(t *testing.T) {
	if raceEnabled || runtime.GOOS != "linux" {
		return // they have a goroutine there
	}
	const n = 500
	transport := transportFor(t, Options{}, func(context.Context, channel.ConnectInfo) (session, error) { return idleSession{}, nil })
	server := httptest.NewServer(transport)
	before := memoryInUse()
	clients := make([]net.Conn, n)
	for i := range clients {
		clients[i] = rawClient(t, server)
		_, err := clients[i].Write(rawFrame(0x81, []byte("hello")))
		require.NoError(t, err)
	}
	require.Eventually(t, func() bool { return (memoryInUse()-before)/n < 3<<10 }, 10*time.Second, 50*time.Millisecond,
		"%d bytes a connection", (memoryInUse()-before)/n)
	for _, client := range clients {
		client.Close()
	}
	closeTransport(t, transport)
	server.Close()
}

func TestMessagesThatArriveTogetherAreAllReceived(t *testing.T) {
	var mu sync.Mutex
	var got []string
	s := newSession()
	s.receive = func(_ bool, data []byte) *channel.CloseError {
		mu.Lock()
		defer mu.Unlock()
		got = append(got, string(data))
		return nil
	}
	_, server := serveLoopback(t, Options{}, letIn(s))
	client := dial(t, server, nil)
	var want []string
	var sent []byte
	for i := range 200 { // the edges of messages come to lie at the edges of the buffers
		want = append(want, fmt.Sprintf("%d:%s", i, strings.Repeat("x", i*37%1500)))
		sent = append(sent, rawFrame(0x81, []byte(want[i]))...)
		if i%7 == 0 {
			sent = append(sent, rawFrame(0x89, []byte("ping"))...)
		}
	}
	for _, size := range []int{len(sent), 13, readBuffer, readAhead, 1009} {
		for part := range bytesIn(sent, size) {
			_, err := client.NetConn().Write(part)
			require.NoError(t, err)
		}
		require.Eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return len(got) == len(want)
		}, 20*time.Second, time.Millisecond)
		require.Equal(t, want, got)
		got = nil
	}
}

// bytesIn cuts b into parts.
func bytesIn(b []byte, size int) func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			n := min(size, len(b))
			if !yield(b[:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// stuck connects a client that reads nothing, and fills its socket.
func stuck(t *testing.T, server *httptest.Server, s *fakeSession) (*gorilla.Conn, channel.Link) {
	client := dial(t, server, nil)
	link := awaitLink(t, s)
	c := link.(*conn)
	require.NoError(t, client.NetConn().(*net.TCPConn).SetReadBuffer(64<<10))
	require.NoError(t, c.wire.Conn.(*net.TCPConn).SetWriteBuffer(64<<10))
	filler := shared(strings.Repeat("x", 16<<10))
	for range 64 {
		link.Send(filler)
	}
	require.Eventually(t, func() bool {
		c.out.mu.Lock()
		defer c.out.mu.Unlock()
		return c.out.taken && !c.out.armed.IsZero()
	}, 10*time.Second, time.Millisecond)
	return client, link
}

// A full socket neither holds up the writers nor loses, doubles or tears what
// was sent to it.
func TestFullSocketHoldsUpNobodyAndLosesNothing(t *testing.T) {
	slow, fast := newSession(), newSession()
	sessions := make(chan *fakeSession, 2)
	sessions <- slow
	sessions <- fast
	_, server := serveLoopback(t, Options{OutboxBytes: 64 << 20, OutboxAge: time.Minute}, func(context.Context, channel.ConnectInfo) (session, error) {
		return <-sessions, nil
	})
	client, link := stuck(t, server, slow)
	other := dial(t, server, nil)
	otherLink := awaitLink(t, fast)
	for i := range 1000 {
		f := shared(fmt.Sprint(i))
		link.Send(f)
		otherLink.Send(f)
		requireText(t, other, fmt.Sprint(i))
	}
	for next := 0; next < 1000; {
		_, data, err := client.ReadMessage()
		require.NoError(t, err)
		if len(data) == 16<<10 {
			require.Zero(t, next)
			require.Empty(t, bytes.Trim(data, "x"))
			continue
		}
		require.Equal(t, fmt.Sprint(next), string(data))
		next++
	}
	c := link.(*conn)
	c.out.writing.Wait()
	c.arm(longAgo)
	link.Send(text("last")) // a deadline of old is nothing to what needs no waiting
	requireText(t, client, "last")
}

func TestFullSocketIsCutAtTheAge(t *testing.T) {
	s := newSession()
	transport, server := serveLoopback(t, Options{OutboxBytes: 64 << 20, OutboxAge: 300 * time.Millisecond}, letIn(s))
	stuck(t, server, s)
	await(t, s.closed, "the cut")
	require.EqualValues(t, 1, transport.Stats().Slow)
}

func TestSilentSocketIsClosedWith1002(t *testing.T) {
	s := newSession()
	const idle = 500 * time.Millisecond
	transport, server := serveLoopback(t, Options{IdleTimeout: idle}, letIn(s))
	client := dial(t, server, nil)
	begin := time.Now()
	var last time.Time
	for last.Sub(begin) < idle {
		last = time.Now()
		require.NoError(t, client.WriteMessage(gorilla.TextMessage, nil))
		time.Sleep(20 * time.Millisecond)
	}
	requireClosed(t, client, channel.CloseProtocol, "idle timeout")
	require.GreaterOrEqual(t, time.Since(last), idle, "since the last message")
	require.Eventually(t, func() bool { return transport.Stats().Idle == 1 }, 10*time.Second, time.Millisecond) // counted after the close
}

// A violation while a frame is half written: its close frame would tear it.
func TestCloseFrameOfAViolationTearsNoOther(t *testing.T) {
	s := newSession()
	// The close frame waits for the write that is stuck, for at most OutboxAge.
	_, server := serveLoopback(t, Options{OutboxBytes: 64 << 20, OutboxAge: 500 * time.Millisecond, CloseTimeout: 300 * time.Millisecond}, letIn(s))
	client, _ := stuck(t, server, s)
	_, err := client.NetConn().Write([]byte{0xff, 0xff, 0, 0, 0, 0})
	require.NoError(t, err)
	await(t, s.closed, "the end")
	for {
		_, data, err := client.ReadMessage()
		if err != nil {
			break
		}
		require.Len(t, data, 16<<10)
		require.Empty(t, bytes.Trim(data, "x"))
	}
}

func TestPanicInStartEndsThatConnection(t *testing.T) {
	var logged bytes.Buffer
	_, server := serveLoopback(t, Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))}, func(context.Context, channel.ConnectInfo) (session, error) {
		return panickingStart{}, nil
	})
	client := dial(t, server, nil)
	requireClosed(t, client, channel.CloseInternal, "internal error")
	require.Contains(t, logged.String(), "doing=starting")
}

type panickingStart struct{ idleSession }

func (panickingStart) Start(channel.Link) { panic("boom") }
