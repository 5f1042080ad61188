package websocket

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// openClients connects n clients over loopback whose input is thrown away, its
// bytes counted.
func (k kind) openClients(tb testing.TB, n int) (links []wire.Link, received *meter) {
	tb.Helper()
	fakes := make(chan *fakeConn, n)
	transport := transportFor(tb, Config{Compress: k.compress}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
		s := newFake()
		fakes <- s
		return s, nil
	})
	server := httptest.NewUnstartedServer(transport)
	k.start(server)
	received = &meter{reached: make(chan struct{}, 1)}
	var readers sync.WaitGroup
	var clients []net.Conn
	for range n {
		client, _, err := dialerFor(server).Dial(wsURL(server), nil)
		require.NoError(tb, err)
		clients = append(clients, client.NetConn())
		readers.Go(func() { io.Copy(received, client.NetConn()) })
		links = append(links, <-(<-fakes).started)
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

// size is how many bytes a client of this kind receives for a frame.
func (k kind) size(f *wire.Frame) int64 {
	b := &batch{frames: []*wire.Frame{f}, compress: k.compress}
	b.gather()
	return int64(len(b.unsent))
}

// sample is 128 bytes.
func sample() string { return string(noise(128)) }

// eachKindOf runs a benchmark for the kinds that clients are of.
func eachKindOf(b *testing.B, run func(b *testing.B, k kind)) {
	for _, k := range kinds[:3] {
		b.Run(k.name, func(b *testing.B) { run(b, k) })
	}
}

// BenchmarkFanOut sends one shared frame of 128 bytes to 1,000 subscribers over
// loopback; window is how many broadcasts are outstanding. Client and server
// share the CPUs, so cpu-us/delivery is that of both.
func BenchmarkFanOut(b *testing.B) {
	const subscribers = 1000
	for _, window := range []int{1, 8, 32} {
		b.Run(fmt.Sprintf("window=%d", window), func(b *testing.B) {
			eachKindOf(b, func(b *testing.B, k kind) {
				links, received := k.openClients(b, subscribers)
				payload := sample()
				size := k.size(shared(payload))
				base := received.received.Load()
				b.ReportAllocs()
				begin := cpuTime()
				sent := 0
				for b.Loop() {
					for range window {
						frames := []*wire.Frame{shared(payload)}
						for _, link := range links {
							link.Send(frames...)
						}
					}
					sent += window
					received.await(base + int64(sent)*subscribers*size)
				}
				deliveries := float64(sent) * subscribers
				b.ReportMetric(float64(cpuTime()-begin)/1e3/deliveries, "cpu-us/delivery")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/deliveries, "ns/delivery")
			})
		})
	}
}

// BenchmarkDelivery is one frame to one client, from Send to the socket.
func BenchmarkDelivery(b *testing.B) {
	for _, isShared := range []bool{true, false} {
		b.Run(map[bool]string{true: "shared", false: "own"}[isShared], func(b *testing.B) {
			eachKindOf(b, func(b *testing.B, k kind) {
				links, received := k.openClients(b, 1)
				f := text(sample())
				f.Shared = isShared
				frames := []*wire.Frame{f}
				base, sent, size := received.received.Load(), int64(0), k.size(f)
				b.ReportAllocs()
				for b.Loop() {
					links[0].Send(frames...)
					sent++
					received.await(base + sent*size)
				}
			})
		})
	}
}

// BenchmarkMessage is one message of a client, from its socket to the channelConn.
func BenchmarkMessage(b *testing.B) {
	eachKindOf(b, func(b *testing.B, k kind) {
		heard := make(chan struct{}, 1)
		s := newFake()
		s.receive = func(bool, []byte) *wire.Close {
			heard <- struct{}{}
			return nil
		}
		transport := transportFor(b, Config{Compress: k.compress}, letIn(s))
		server := httptest.NewUnstartedServer(transport)
		k.start(server)
		client := rawClient(b, server)
		message := rawFrame(0x81, []byte(sample()))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := client.Write(message); err != nil {
				b.Fatal(err)
			}
			<-heard
		}
		client.Close()
		closeTransport(b, transport)
		server.Close()
	})
}

// BenchmarkIdleConnection reports what an idle connection that has sent a message holds:
// the heap and stacks in use. Of its client there is the socket only.
func BenchmarkIdleConnection(b *testing.B) {
	eachKindOf(b, func(b *testing.B, k kind) {
		for b.Loop() {
			const n = 1000
			before := memoryInUse()
			s := func(context.Context, wire.ConnectInfo) (channelConn, error) { return idleConn{}, nil }
			transport := transportFor(b, Config{Compress: k.compress}, s)
			server := httptest.NewUnstartedServer(transport)
			k.start(server)
			var clients []*os.File
			for range n {
				client := rawClient(b, server)
				_, err := client.Write(rawFrame(0x81, []byte("hello")))
				require.NoError(b, err)
				if secured, ok := client.(*tls.Conn); ok {
					client = secured.NetConn()
				}
				socket, err := client.(*net.TCPConn).File()
				require.NoError(b, err)
				client.Close()
				clients = append(clients, socket)
			}
			awaitParked(b, transport, n)
			time.Sleep(100 * time.Millisecond) // net/http's goroutines end
			b.ReportMetric(float64(memoryInUse()-before)/1024/n, "KiB/connection")
			for _, client := range clients {
				client.Close()
			}
			closeTransport(b, transport)
			server.Close()
		}
	})
}

type idleConn struct{}

func (idleConn) Start(wire.Link)                  {}
func (idleConn) Receive(bool, []byte) *wire.Close { return nil }
func (idleConn) ReceiveControl() *wire.Close      { return nil }
func (idleConn) Reject(wire.Rejection)            {}
func (idleConn) Closed(channel.Reason)            {}

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
	if server.TLS != nil {
		config := clientTLS(server).Clone()
		config.ServerName = "example.com"
		raw = tls.Client(raw, config)
	}
	_, err = io.WriteString(raw, request("GET", "/", handshakeHeaders+"Sec-WebSocket-Extensions: permessage-deflate\r\n"))
	require.NoError(tb, err)
	var answer [512]byte
	n, err := raw.Read(answer[:])
	require.NoError(tb, err)
	require.Contains(tb, string(answer[:n]), "101")
	return raw
}
