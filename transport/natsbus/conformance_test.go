package natsbus

import (
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/bus/bustest"
)

// The promises of package bus hold on one server and on two with a route between them,
// with a subject for each topic and with few for all.
func TestConformance(t *testing.T) {
	one := startServer(t)
	a, b := startCluster(t)
	for _, servers := range [][]*server.Server{{one}, {a, b}} {
		for _, buckets := range []int{0, 3} {
			t.Run(fmt.Sprintf("servers=%d buckets=%d", len(servers), buckets), func(t *testing.T) {
				bustest.Run(t, func(t testing.TB, o bustest.Options) bustest.Network {
					return network(t, servers, Config{Buckets: buckets, QueueBytes: o.QueueBytes})
				})
			})
		}
	}
}

// network spreads its buses over the servers. Their connections can be cut.
func network(t testing.TB, servers []*server.Server, cfg Config) bustest.Network {
	next, wires := 0, map[bus.Bus]*wire{}
	return bustest.Network{
		Bus: func() bus.Bus {
			w := &wire{}
			nc := dial(t, servers[next%len(servers)], nats.SetCustomDialer(w), nats.IgnoreDiscoveredServers())
			next++
			b, err := New(nc, cfg)
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, b.Close()) })
			wires[b] = w
			return b
		},
		Disconnect: func(b bus.Bus) { wires[b].cut() },
		Reconnect:  func(b bus.Bus) { wires[b].mend() },
	}
}

// A wire is a dialer whose connections can be cut.
type wire struct {
	mu     sync.Mutex
	broken bool
	conns  []net.Conn
}

func (w *wire) Dial(network, address string) (net.Conn, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken {
		return nil, errors.New("the wire is cut")
	}
	conn, err := net.Dial(network, address)
	if err == nil {
		w.conns = append(w.conns, conn)
	}
	return conn, err
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = true
	for _, conn := range w.conns {
		_ = conn.Close()
	}
	w.conns = nil
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.broken = false
}
