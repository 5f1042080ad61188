package websocket

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// These tests run over net.Pipe in virtual time.

// pipeKinds are the kinds of connections over pipes.
var pipeKinds = []kind{plain, {name: "TLS", secure: true}, {name: "compressed", compress: true}}

// eachPipe runs a test in a bubble for each of them.
func eachPipe(t *testing.T, run func(t *testing.T, k kind)) {
	for _, k := range pipeKinds {
		t.Run(k.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { run(t, k) })
		})
	}
}

// inBubble connects one client.
func inBubble(t *testing.T, cfg Config, run func(t *testing.T, s *fakeConn, transport *Transport, client *gorilla.Conn, link wire.Link)) {
	eachPipe(t, func(t *testing.T, k kind) {
		s := newFake()
		cfg.Compress = k.compress
		transport := transportFor(t, cfg, letIn(s))
		client, _ := k.dialPipe(t, transport)
		run(t, s, transport, client, <-s.started)
		client.Close()
		require.NoError(t, transport.Close(context.Background()))
		<-s.closed
		require.Equal(t, 1, s.timesClosed())
	})
}

// B090.
func TestSilentClientIsClosedWith1002(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *fakeConn, transport *Transport, client *gorilla.Conn, link wire.Link) {
		begin := time.Now()
		requireClosed(t, client, wire.CloseProtocol, "idle timeout")
		require.Equal(t, 60*time.Second, time.Since(begin))
		synctest.Wait()
		require.Equal(t, 1, s.timesClosed())
		require.EqualValues(t, 1, transport.Stats().Idle)
		require.Zero(t, transport.Stats().Slow)
	})
}

func TestOutputDoesNotKeepASilentClientAlive(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *fakeConn, _ *Transport, client *gorilla.Conn, link wire.Link) {
		begin := time.Now()
		go func() {
			for range 59 {
				time.Sleep(time.Second)
				link.Send(text("tick"))
			}
		}()
		requireClosed(t, client, wire.CloseProtocol, "idle timeout")
		require.Equal(t, 60*time.Second, time.Since(begin))
	})
}

func TestAnyInputKeepsAClientAlive(t *testing.T) {
	sends := map[string]func(client *gorilla.Conn) error{
		"a message":         func(c *gorilla.Conn) error { return c.WriteMessage(gorilla.TextMessage, []byte("x")) },
		"a ping":            func(c *gorilla.Conn) error { return c.WriteMessage(gorilla.PingMessage, nil) },
		"a pong":            func(c *gorilla.Conn) error { return c.WriteMessage(gorilla.PongMessage, nil) },
		"part of a message": func(c *gorilla.Conn) error { _, err := c.NetConn().Write([]byte{0x81}); return err },
	}
	for name, send := range sends {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config{}, func(t *testing.T, s *fakeConn, _ *Transport, client *gorilla.Conn, _ wire.Link) {
				begin := time.Now()
				go func() {
					time.Sleep(59 * time.Second)
					send(client)
				}()
				requireClosed(t, client, wire.CloseProtocol, "idle timeout")
				require.Equal(t, 119*time.Second, time.Since(begin))
			})
		})
	}
}

func TestHeartbeatsKeepAClientForHours(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *fakeConn, _ *Transport, client *gorilla.Conn, link wire.Link) {
		for i := range 500 {
			time.Sleep(30 * time.Second)
			require.NoError(t, client.WriteMessage(gorilla.TextMessage, []byte("heartbeat")))
			link.Send(text(fmt.Sprint(i)))
			requireText(t, client, fmt.Sprint(i))
		}
		require.Zero(t, s.timesClosed())
	})
}

// A channelConn that is slow with one message is not the client's silence.
func TestTimeSpentInReceiveIsNotSilence(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *fakeConn, _ *Transport, client *gorilla.Conn, _ wire.Link) {
		received := make(chan string, 2)
		s.receive = func(_ bool, data []byte) *wire.Close {
			if string(data) == "slow" {
				time.Sleep(5 * time.Minute)
			}
			received <- string(data)
			return nil
		}
		require.NoError(t, client.WriteMessage(gorilla.TextMessage, []byte("slow")))
		go client.WriteMessage(gorilla.TextMessage, []byte("next"))
		require.Equal(t, "slow", <-received)
		require.Equal(t, "next", <-received)
		require.Zero(t, s.timesClosed())
	})
}

// Answering a ping puts a deadline of 1 s on the socket in gorilla's default
// handler; a later write must not die of it, nor of a deadline of its own kind.
func TestPongLeavesNoDeadlineBehind(t *testing.T) {
	inBubble(t, Config{IdleTimeout: time.Hour}, func(t *testing.T, _ *fakeConn, transport *Transport, client *gorilla.Conn, link wire.Link) {
		for i := range 5 {
			pong := make(chan string, 1)
			client.SetPongHandler(func(data string) error { pong <- data; return nil })
			pinged := make(chan error, 1)
			go func() { pinged <- client.WriteMessage(gorilla.PingMessage, []byte(fmt.Sprint("ping ", i))) }()
			go func() {
				time.Sleep(time.Second)
				link.Send(text("a"))
			}()
			requireText(t, client, "a")
			require.NoError(t, <-pinged)
			require.Equal(t, fmt.Sprint("ping ", i), <-pong)
			time.Sleep(20 * time.Minute / 5)
			link.Send(shared("b"))
			requireText(t, client, "b")
		}
		require.Zero(t, transport.Stats().Slow)
	})
}

// A client may send pings and never read: one pong waits, and then it is slow.
func TestPingFloodWithoutReadingIsBounded(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *fakeConn, transport *Transport, client *gorilla.Conn, _ wire.Link) {
		begin := time.Now()
		for client.WriteMessage(gorilla.PingMessage, []byte("ping")) == nil {
			time.Sleep(time.Millisecond)
		}
		require.LessOrEqual(t, time.Since(begin), 12600*time.Millisecond)
		<-s.closed
		require.EqualValues(t, 1, transport.Stats().Slow)
	})
}

func TestClientThatReadsNothingIsCutAtTheAge(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *fakeConn, transport *Transport, client *gorilla.Conn, link wire.Link) {
		begin := time.Now()
		link.Send(shared("never read"))
		<-s.closed
		require.GreaterOrEqual(t, time.Since(begin), 10*time.Second)
		require.LessOrEqual(t, time.Since(begin), 12500*time.Millisecond)
		require.EqualValues(t, 1, transport.Stats().Slow)
	})
}

func TestClientOverItsBytesIsClosedWith1013(t *testing.T) {
	inBubble(t, Config{OutboxBytes: 1000}, func(t *testing.T, s *fakeConn, transport *Transport, client *gorilla.Conn, link wire.Link) {
		link.Send(shared("in flight"))
		synctest.Wait()
		for range 20 {
			link.Send(text(strings.Repeat("x", 100)))
		}
		synctest.Wait()
		require.Equal(t, 1, s.timesClosed(), "it learns of it at once")
		time.Sleep(4 * time.Second) // within CloseTimeout the client wakes up
		requireText(t, client, "in flight")
		requireClosed(t, client, wire.CloseTryLater, "client too slow")
		require.EqualValues(t, 1, transport.Stats().Slow)
	})
}

func TestSlowClientCostsOthersNothing(t *testing.T) {
	eachPipe(t, func(t *testing.T, k kind) {
		slow, fast := newFake(), newFake()
		fakes := []*fakeConn{slow, fast}
		transport := transportFor(t, Config{Compress: k.compress}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
			s := fakes[0]
			fakes = fakes[1:]
			return s, nil
		})
		stuck, _ := k.dialPipe(t, transport)
		client, _ := k.dialPipe(t, transport)
		links := []wire.Link{<-slow.started, <-fast.started}
		for i := range 1000 {
			begin := time.Now()
			f := shared(fmt.Sprint(i))
			for _, link := range links {
				link.Send(f)
			}
			requireText(t, client, fmt.Sprint(i))
			require.Zero(t, time.Since(begin))
			time.Sleep(50 * time.Millisecond)
			if i%100 == 0 {
				require.NoError(t, client.WriteMessage(gorilla.TextMessage, nil))
			}
		}
		require.Equal(t, 1, slow.timesClosed())
		require.Zero(t, fast.timesClosed())
		require.EqualValues(t, 1, transport.Stats().Slow)
		stuck.Close()
		client.Close()
		require.NoError(t, transport.Close(context.Background()))
	})
}

func TestCloseEndsInTimeWhateverTheClientDoes(t *testing.T) {
	clients := map[string]struct {
		do   func(client *gorilla.Conn)
		took time.Duration
	}{
		"reads and answers":        {func(c *gorilla.Conn) { c.ReadMessage(); hangUp(c) }, 0},
		"reads, does not answer":   {func(c *gorilla.Conn) { io.Copy(io.Discard, c.NetConn()) }, 5 * time.Second},
		"does nothing":             {func(*gorilla.Conn) {}, 5 * time.Second},
		"keeps sending, no answer": {func(c *gorilla.Conn) { go io.Copy(io.Discard, c.NetConn()); flood(c) }, 5 * time.Second},
	}
	for name, test := range clients {
		t.Run(name, func(t *testing.T) {
			inBubble(t, Config{}, func(t *testing.T, s *fakeConn, transport *Transport, client *gorilla.Conn, link wire.Link) {
				received := 0
				s.receive = func(bool, []byte) *wire.Close { received++; return nil }
				begin := time.Now()
				link.Close(1012, "drain")
				done := make(chan struct{})
				go func() {
					defer close(done)
					test.do(client)
				}()
				synctest.Wait()
				require.Equal(t, 1, s.timesClosed(), "it ends at once")
				require.NoError(t, transport.Close(context.Background()))
				require.Equal(t, test.took, time.Since(begin))
				require.Zero(t, received, "nothing is received any more")
				client.Close()
				<-done
			})
		})
	}
}

// hangUp closes the pipe of a client. TLS would say goodbye, and wait until that is read.
func hangUp(c *gorilla.Conn) {
	if secured, ok := c.NetConn().(*tls.Conn); ok {
		secured.NetConn().Close()
	}
	c.Close()
}

func flood(c *gorilla.Conn) {
	for c.WriteMessage(gorilla.TextMessage, []byte("x")) == nil {
		time.Sleep(time.Millisecond)
	}
}

func TestTransportCloseClosesEveryConnectionWith1012(t *testing.T) {
	eachPipe(t, func(t *testing.T, k kind) {
		var fakes []*fakeConn
		transport := transportFor(t, Config{Compress: k.compress}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
			s := newFake()
			fakes = append(fakes, s)
			return s, nil
		})
		var clients []*gorilla.Conn
		for range 10 {
			client, _ := k.dialPipe(t, transport)
			clients = append(clients, client)
		}
		closed := make(chan error, 2)
		for range 2 {
			go func() { closed <- transport.Close(context.Background()) }()
		}
		for _, client := range clients {
			requireClosed(t, client, wire.CloseRestart, "service restart")
		}
		require.NoError(t, <-closed)
		require.NoError(t, <-closed)
		for _, s := range fakes {
			require.Equal(t, 1, s.timesClosed())
		}
		require.ErrorIs(t, transport.enter(), errClosing)
		require.NoError(t, transport.Close(context.Background()), "again")
	})
}

func TestTransportCloseCutsWhenItsContextEnds(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *fakeConn, transport *Transport, _ *gorilla.Conn, link wire.Link) {
		link.Send(text("never read"))
		begin := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err := transport.Close(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualError(t, err, "websocket: close: 1 connections cut: context deadline exceeded")
		require.Equal(t, time.Second, time.Since(begin))
		require.Zero(t, transport.Stats().Connections)
	})
}

func TestTransportCloseIsNotHeldUpForEverByACallback(t *testing.T) {
	inBubble(t, Config{}, func(t *testing.T, s *fakeConn, transport *Transport, client *gorilla.Conn, _ wire.Link) {
		release := make(chan struct{})
		s.receive = func(bool, []byte) *wire.Close { <-release; return nil }
		require.NoError(t, client.WriteMessage(gorilla.TextMessage, []byte("x")))
		synctest.Wait() // Receive runs
		begin := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.EqualError(t, transport.Close(ctx), "websocket: close: 1 connections remain: context deadline exceeded")
		require.Equal(t, 6*time.Second, time.Since(begin))
		close(release)
	})
}

func TestHandshakeOvertakenByCloseIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFake()
		asked, release := make(chan struct{}), make(chan struct{})
		transport := transportFor(t, Config{}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
			close(asked)
			<-release
			return s, nil
		})
		closed := make(chan error, 1)
		go func() {
			<-asked
			go func() { closed <- transport.Close(context.Background()) }()
			time.Sleep(time.Second)
			require.Empty(t, closed, "Close waits for the handshake")
			close(release)
		}()
		client, _ := dialPipe(t, transport)
		requireClosed(t, client, wire.CloseRestart, "service restart")
		require.NoError(t, <-closed)
		require.Equal(t, 1, s.timesClosed())
		client.Close()
	})
}
