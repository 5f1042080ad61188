package websocket

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// openClients connects n clients over loopback whose input is thrown away, its
// bytes counted.
func openClients(tb testing.TB, n int) (links []wire.Link, received *meter) {
	tb.Helper()
	sessions := make(chan *fakeSession, n)
	transport := transportFor(tb, Options{}, func(context.Context, wire.ConnectInfo) (session, error) {
		s := newSession()
		sessions <- s
		return s, nil
	})
	server := httptest.NewServer(transport)
	received = &meter{reached: make(chan struct{}, 1)}
	var readers sync.WaitGroup
	var clients []net.Conn
	for range n {
		client, _, err := gorilla.DefaultDialer.Dial(wsURL(server), nil)
		require.NoError(tb, err)
		clients = append(clients, client.NetConn())
		readers.Go(func() { io.Copy(received, client.NetConn()) })
		links = append(links, <-(<-sessions).started)
	}
	tb.Cleanup(func() {
		for _, client := range clients {
			client.Close()
		}
		readers.Wait()
		closeTransport(tb, transport)
		server.Close()
	})
	return links, received
}

// A meter counts what clients received and wakes the goroutine that waits for it.
type meter struct {
	received atomic.Int64
	awaited  atomic.Int64
	reached  chan struct{} // 1
}

func (m *meter) Write(p []byte) (int, error) {
	now := m.received.Add(int64(len(p)))
	if before := now - int64(len(p)); m.awaited.Load() > before && m.awaited.Load() <= now {
		select {
		case m.reached <- struct{}{}:
		default:
		}
	}
	return len(p), nil
}

// await waits until want bytes were received in all.
func (m *meter) await(want int64) {
	m.awaited.Store(want)
	for m.received.Load() < want {
		<-m.reached
	}
}

// BenchmarkFanOut sends one shared frame of 128 bytes to 1,000 subscribers over
// loopback; window is how many broadcasts are outstanding. Client and server
// share the CPUs, so cpu-us/delivery is that of both.
func BenchmarkFanOut(b *testing.B) {
	const subscribers, payload = 1000, 128
	for _, window := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) {
			links, received := openClients(b, subscribers)
			const wire = payload + 4 // header of 4 bytes: more than 125
			base := received.received.Load()
			b.ReportAllocs()
			begin := cpuTime()
			sent := 0
			for b.Loop() {
				for range window {
					f := shared(strings.Repeat("x", payload))
					for _, link := range links {
						link.Send(f)
					}
				}
				sent += window
				received.await(base + int64(sent)*subscribers*wire)
			}
			deliveries := float64(sent) * subscribers
			b.ReportMetric(float64(cpuTime()-begin)/1e3/deliveries, "cpu-us/delivery")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/deliveries, "ns/delivery")
		})
	}
}

// BenchmarkDelivery is one frame to one client, from Send to the socket.
func BenchmarkDelivery(b *testing.B) {
	for name, isShared := range map[string]bool{"shared": true, "own": false} {
		b.Run(name, func(b *testing.B) {
			links, received := openClients(b, 1)
			f := text(strings.Repeat("x", 128))
			f.Shared = isShared
			base, sent := received.received.Load(), int64(0)
			b.ReportAllocs()
			for b.Loop() {
				links[0].Send(f)
				sent++
				received.await(base + sent*132)
			}
		})
	}
}

// BenchmarkIdleConnection reports what an idle connection holds on the server's
// side and on a minimal client's together: the heap and stacks in use.
func BenchmarkIdleConnection(b *testing.B) {
	for b.Loop() {
		const n = 1000
		before := memoryInUse()
		s := func(context.Context, wire.ConnectInfo) (session, error) { return idleSession{}, nil }
		transport := transportFor(b, Options{}, s)
		server := httptest.NewServer(transport)
		var clients []net.Conn
		for range n {
			clients = append(clients, rawClient(b, server))
		}
		require.Eventually(b, func() bool { return transport.Stats().Accepted == n }, time.Minute, time.Millisecond)
		time.Sleep(100 * time.Millisecond) // net/http's goroutines end
		b.ReportMetric(float64(memoryInUse()-before)/1024/n, "KiB/connection")
		for _, client := range clients {
			client.Close()
		}
		closeTransport(b, transport)
		server.Close()
	}
}

type idleSession struct{}

func (idleSession) Start(wire.Link)                  {}
func (idleSession) Receive(bool, []byte) *wire.Close { return nil }
func (idleSession) ReceiveControl() *wire.Close      { return nil }
func (idleSession) Reject(wire.Rejection)            {}
func (idleSession) Closed(channel.Reason)            {}

func memoryInUse() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// rawClient shakes hands and holds nothing but a socket.
func rawClient(tb testing.TB, server *httptest.Server) net.Conn {
	raw, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(tb, err)
	_, err = io.WriteString(raw, request("GET", "/", handshakeHeaders))
	require.NoError(tb, err)
	var answer [512]byte
	n, err := raw.Read(answer[:])
	require.NoError(tb, err)
	require.Contains(tb, string(answer[:n]), "101")
	return raw
}
