package natsbus

import (
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// waitLimit bounds every wait for an event in these tests.
const waitLimit = 20 * time.Second

// startServer runs a NATS server on loopback until the test ends.
func startServer(t testing.TB, change ...func(*server.Options)) *server.Server {
	t.Helper()
	opts := &server.Options{Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true}
	for _, c := range change {
		c(opts)
	}
	s, err := server.NewServer(opts)
	require.NoError(t, err)
	go s.Start()
	t.Cleanup(func() { stopServer(s) })
	require.True(t, s.ReadyForConnections(waitLimit), "server is ready")
	return s
}

func stopServer(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// startCluster runs two servers and waits for all routes between them: a pool for
// accounts, and one for the system account. Interest keeps its order on one route
// only, and moves to another while routes are added.
func startCluster(t *testing.T) (a, b *server.Server) {
	t.Helper()
	cluster := func(o *server.Options) {
		o.Cluster.Name, o.Cluster.Host, o.Cluster.Port = "test", "127.0.0.1", -1
	}
	a = startServer(t, cluster)
	b = startServer(t, cluster, func(o *server.Options) {
		o.Routes = []*url.URL{{Scheme: "nats", Host: a.ClusterAddr().String()}}
	})
	const routes = server.DEFAULT_ROUTE_POOL_SIZE + 1
	require.Eventually(t, func() bool { return a.NumRoutes() == routes && b.NumRoutes() == routes }, waitLimit, time.Millisecond)
	return a, b
}

// dial connects with the options of the bus until the test ends.
func dial(t testing.TB, s *server.Server, opts ...nats.Option) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(s.ClientURL(), append(Options(), opts...)...)
	require.NoError(t, err)
	t.Cleanup(func() { closeConn(nc) })
	return nc
}

// closeConn closes a connection and waits for the last of its goroutines.
func closeConn(nc *nats.Conn) {
	if nc.IsClosed() {
		return
	}
	done := make(chan struct{})
	closed := nc.ClosedHandler()
	nc.SetClosedHandler(func(nc *nats.Conn) {
		if closed != nil {
			closed(nc)
		}
		close(done)
	})
	nc.Close()
	<-done
}

// newBus makes a bus over a connection of its own.
func newBus(t *testing.T, s *server.Server, cfg Config) *Bus {
	t.Helper()
	b, err := New(dial(t, s), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// A recorder is an open lane that writes down what it is told. Between block and
// unblock its callbacks wait.
type recorder struct {
	bus.Conn
	t    *testing.T
	gate sync.RWMutex

	mu    sync.Mutex
	log   []string
	added chan struct{} // capacity 1: something was written down
}

// open opens a lane and subscribes it, at the server too.
func open(t *testing.T, b *Bus, lane bus.Lane, dests ...string) *recorder {
	t.Helper()
	r := &recorder{t: t, added: make(chan struct{}, 1)}
	var err error
	r.Conn, err = b.Open(lane, bus.Handler{
		Message: func(data []byte) { r.add(string(data)) },
		Event:   func(event bus.Event, dest string) { r.add(strings.TrimSuffix(fmt.Sprintf("!%s %s", event, dest), " ")) },
	})
	require.NoError(t, err)
	t.Cleanup(r.Close)
	for _, dest := range dests {
		require.NoError(t, r.Subscribe(dest))
	}
	require.NoError(t, b.nc.Flush())
	return r
}

func (r *recorder) add(s string) {
	r.gate.RLock()
	defer r.gate.RUnlock()
	r.mu.Lock()
	r.log = append(r.log, s)
	r.mu.Unlock()
	select {
	case r.added <- struct{}{}:
	default:
	}
}

func (r *recorder) block()   { r.gate.Lock() }
func (r *recorder) unblock() { r.gate.Unlock() }

// until waits for an entry, and returns and forgets all before it. What was
// told is therefore complete up to that entry.
func (r *recorder) until(entry string) []string {
	r.t.Helper()
	timeout := time.After(waitLimit)
	for {
		r.mu.Lock()
		for i, s := range r.log {
			if s == entry {
				before := append([]string{}, r.log[:i]...)
				r.log = r.log[i+1:]
				r.mu.Unlock()
				return before
			}
		}
		r.mu.Unlock()
		select {
		case <-r.added:
		case <-timeout:
			r.mu.Lock()
			defer r.mu.Unlock()
			require.FailNow(r.t, "never told "+entry, "told: %.2000q", fmt.Sprint(r.log))
		}
	}
}

// send publishes messages.
func (r *recorder) send(dest string, messages ...string) {
	r.t.Helper()
	for _, m := range messages {
		require.NoError(r.t, r.Publish(dest, []byte(m)))
	}
}
