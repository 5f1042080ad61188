package websocket

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
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
	eachKind(t, func(t *testing.T, k kind) {
		transport, server := k.serve(t, Config{}, letIn(echo()))
		client := dial(t, server, nil)
		for _, size := range []int{1, readBuffer, readAhead, 3 * readAhead} {
			message := strings.Repeat("x", size)
			require.NoError(t, client.WriteMessage(gorilla.TextMessage, []byte(message)))
			requireText(t, client, message)
		}
		c := only(t, transport)
		awaitParked(t, transport, 1)
		require.Nil(t, c.input)
		require.Equal(t, k.compress, c.framer != nil, "see framer")
		c.out.writing.Wait()
		c.out.mu.Lock()
		require.Nil(t, c.out.queue)
		c.out.mu.Unlock()
	})
}

// Framers are shared: what one client sends of a message that is not read must
// not be there for another one.
func TestRestOfAMessageIsNotReadFromAnotherClient(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		tooBig := rawFrame(0x01, bytes.Repeat([]byte("x"), 2000)) // not its last part
		whileClosing := rawFrame(0x81, bytes.Repeat([]byte("x"), 500))
		for name, message := range map[string][]byte{"too big": tooBig, "while closing": whileClosing} {
			t.Run(name, func(t *testing.T) {
				fakes := make(chan *fakeConn, 1)
				_, server := k.serve(t, Config{MaxFrame: 1000}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
					s := echo()
					fakes <- s
					return s, nil
				})
				for range 20 {
					bad := rawClient(t, server)
					if link := awaitLink(t, <-fakes); name == "while closing" {
						link.Close(wire.CloseRestart, "restart")
					}
					for part := range bytesIn(message, 300) {
						_, err := bad.Write(part)
						require.NoError(t, err)
					}
					good := dial(t, server, nil)
					<-fakes
					for _, text := range []string{"a", "b"} {
						require.NoError(t, good.WriteMessage(gorilla.TextMessage, []byte(text)))
						requireText(t, good, text)
					}
					good.Close()
					bad.Close()
				}
			})
		}
	})
}

// The bound on what an idle connection costs is generous: less than 3 KiB, of
// which a client's socket is a part.
func TestIdleConnectionIsSmall(t *testing.T) {
	if raceEnabled || runtime.GOOS != "linux" {
		return // they have a goroutine there
	}
	const n = 500
	transport := transportFor(t, Config{}, func(context.Context, wire.ConnectInfo) (channelConn, error) { return idleConn{}, nil })
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
	eachKind(t, func(t *testing.T, k kind) {
		var mu sync.Mutex
		var got []string
		s := newFake()
		s.receive = func(_ bool, data []byte) *wire.Close {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, string(data))
			return nil
		}
		_, server := k.serve(t, Config{}, letIn(s))
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
	})
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

// stuck connects a client that reads nothing, to a server of narrow connections, and
// sends it more than its socket takes.
func stuck(t *testing.T, server *httptest.Server, s *fakeConn, frames ...*wire.Frame) (*gorilla.Conn, wire.Link) {
	client := dial(t, server, nil)
	link := awaitLink(t, s)
	c := link.(*conn)
	require.NoError(t, socketUnder(client).SetReadBuffer(64<<10))
	for _, f := range frames {
		link.Send(f)
	}
	require.Eventually(t, func() bool {
		c.out.mu.Lock()
		defer c.out.mu.Unlock()
		return c.out.taken && c.out.waits == priorityNone && !c.out.armed.IsZero()
	}, 10*time.Second, time.Millisecond)
	return client, link
}

// eachNarrow is eachKind with sockets that take little at once.
func eachNarrow(t *testing.T, run func(t *testing.T, k kind)) {
	eachKind(t, func(t *testing.T, k kind) {
		k.narrow = true
		run(t, k)
	})
}

// fillers are 1 MiB in frames of 16 KiB.
func fillers() []*wire.Frame { return slices.Repeat([]*wire.Frame{shared(filler)}, 64) }

var filler = string(noise(16 << 10))

// noise is text that compression makes little smaller.
func noise(n int) []byte {
	raw := make([]byte, n*3/4)
	rand.NewChaCha8([32]byte{}).Read(raw)
	return base64.StdEncoding.AppendEncode(nil, raw)
}

// large is a frame of many times what a socket takes at once.
func large() *wire.Frame { return &wire.Frame{Data: noise(3 << 20)} }

// A full socket neither holds up the writers nor loses, doubles or tears what
// was sent to it.
func TestFullSocketDelaysNoOtherAndLosesNothing(t *testing.T) {
	eachNarrow(t, func(t *testing.T, k kind) {
		slow, fast := newFake(), newFake()
		fakes := make(chan *fakeConn, 2)
		fakes <- slow
		fakes <- fast
		_, server := k.serve(t, Config{OutboxBytes: 64 << 20, OutboxAge: time.Minute}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
			return <-fakes, nil
		})
		client, link := stuck(t, server, slow, fillers()...)
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
			if string(data) == filler {
				require.Zero(t, next)
				continue
			}
			require.Equal(t, fmt.Sprint(next), string(data))
			next++
		}
		c := link.(*conn)
		c.out.writing.Wait()
		c.out.mu.Lock()
		c.out.arm(time.Unix(1, 0))
		c.out.mu.Unlock()
		link.Send(text("last")) // a deadline of old is nothing to what needs no waiting
		requireText(t, client, "last")
	})
}

// A client is cut that does not take a batch in time, whatever the batch is, and
// nothing remains of the connection.
func TestFullSocketIsCutAtTheAge(t *testing.T) {
	eachNarrow(t, func(t *testing.T, k kind) {
		for name, frames := range map[string][]*wire.Frame{"many frames": fillers(), "a large one": {large(), text("behind it")}} {
			t.Run(name, func(t *testing.T) {
				s := newFake()
				transport, server := k.serve(t, Config{OutboxBytes: 64 << 20, OutboxAge: 300 * time.Millisecond}, letIn(s))
				_, link := stuck(t, server, s, frames...)
				await(t, s.closed, "the cut")
				require.EqualValues(t, 1, transport.Stats().Slow)
				requireNothingLeft(t, transport, link)
			})
		}
	})
}

// requireNothingLeft waits for the end of a connection, and of all goroutines that
// worked for it.
func requireNothingLeft(t *testing.T, transport *Transport, link wire.Link) {
	t.Helper()
	require.Eventually(t, func() bool { return transport.Stats().Connections == 0 }, 10*time.Second, time.Millisecond)
	transport.helpers.Wait()
	out := &link.(*conn).out
	out.writing.Wait()
	require.False(t, out.taken)
	require.Nil(t, out.queue)
	require.Nil(t, out.begun)
	require.Zero(t, transport.writers.normal.Len()+transport.writers.low.Len())
	require.Zero(t, transport.writers.active+transport.writers.activeLow)
}

// Neither a large frame nor a client that takes it slowly keeps other connections
// waiting, and all of it arrives.
func TestLargeBatchArrivesWholeWhileOthersAreServed(t *testing.T) {
	eachNarrow(t, func(t *testing.T, k kind) {
		slow, fast := newFake(), newFake()
		fakes := make(chan *fakeConn, 2)
		fakes <- slow
		fakes <- fast
		transport, server := k.serve(t, Config{OutboxBytes: 64 << 20, OutboxAge: time.Minute}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
			return <-fakes, nil
		})
		transport.writers.most = 1
		frame, sharedFrame := large(), large()
		sharedFrame.Shared = true
		frames := []*wire.Frame{text("before"), frame, text("between"), sharedFrame, text("after")}
		b := &batch{frames: slices.Clone(frames), compress: k.compress}
		_, want := drain(t, b, whole)
		client, _ := stuck(t, server, slow, frames...)
		other := dial(t, server, nil)
		otherLink := awaitLink(t, fast)
		got := make([]byte, len(want))
		for at := 0; at < len(got); {
			n, err := io.ReadFull(client.NetConn(), got[at:min(at+128<<10, len(got))])
			require.NoError(t, err)
			at += n
			now := fmt.Sprint(at)
			otherLink.Send(lowPriority(now))
			requireText(t, other, now)
		}
		require.True(t, bytes.Equal(want, got))
	})
}

// What is left of a large batch goes out before the close frame.
func TestCloseInTheMiddleOfALargeBatch(t *testing.T) {
	eachNarrow(t, func(t *testing.T, k kind) {
		s := newFake()
		transport, server := k.serve(t, Config{OutboxBytes: 64 << 20, CloseTimeout: 20 * time.Second}, letIn(s))
		f := large()
		client, link := stuck(t, server, s, f, text("last"))
		link.Close(wire.CloseRestart, "restart")
		_, data, err := client.ReadMessage()
		require.NoError(t, err)
		require.True(t, bytes.Equal(f.Data, data))
		requireText(t, client, "last")
		requireClosed(t, client, wire.CloseRestart, "restart")
		requireNothingLeft(t, transport, link)
	})
}

func TestClientThatGoesInTheMiddleOfALargeBatchLeavesNothing(t *testing.T) {
	eachNarrow(t, func(t *testing.T, k kind) {
		s := newFake()
		transport, server := k.serve(t, Config{OutboxBytes: 64 << 20}, letIn(s))
		client, link := stuck(t, server, s, large(), text("behind it"))
		require.NoError(t, client.NetConn().Close())
		await(t, s.closed, "the end")
		requireNothingLeft(t, transport, link)
		require.Zero(t, transport.Stats().Slow)
	})
}

// The close frame that answers a violation is no part of another frame: it comes when
// what was begun is written.
func TestCloseFrameOfAViolationTearsNoOther(t *testing.T) {
	eachNarrow(t, func(t *testing.T, k kind) {
		s := newFake()
		transport, server := k.serve(t, Config{OutboxBytes: 64 << 20}, letIn(s))
		f := large()
		client, link := stuck(t, server, s, f)
		_, err := client.NetConn().Write([]byte{0xff, 0xff, 0, 0, 0, 0})
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			_, closing := link.(*conn).out.closing()
			return closing
		}, 10*time.Second, time.Millisecond)
		requireText(t, client, string(f.Data))
		reason := "RSV1 set, RSV2 set, RSV3 set, bad opcode 15"
		if k.compress {
			reason = strings.TrimPrefix(reason, "RSV1 set, ")
		}
		requireClosed(t, client, wire.CloseProtocol, reason)
		client.Close()
		requireNothingLeft(t, transport, link)
	})
}

func TestPanicInStartEndsThatConnection(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		var logged bytes.Buffer
		_, server := k.serve(t, Config{Logger: slog.New(slog.NewTextHandler(&logged, nil))}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
			return panickingStart{}, nil
		})
		client := dial(t, server, nil)
		requireClosed(t, client, wire.CloseInternal, "internal error")
		require.Contains(t, logged.String(), "doing=starting")
	})
}

type panickingStart struct{ idleConn }

func (panickingStart) Start(wire.Link) { panic("boom") }
