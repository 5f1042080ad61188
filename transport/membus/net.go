package membus

import (
	"bytes"
	"strings"
	"sync"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/transport/internal/delivery"
)

// defaultMaxPayload is that of natsbus with a server's defaults.
const defaultMaxPayload = 1<<20 - 1

// An Option changes a default of [New].
type Option func(*Net)

// MaxPayload is the most bytes of one message; default 1 MiB less one byte. Values below
// 1 are taken as 1.
func MaxPayload(n int) Option { return func(net *Net) { net.maxPayload = max(n, 1) } }

// QueueBytes bounds the queue of each Conn, in bytes; default 64 MiB. Each message counts
// 96 bytes more than it has. Values below 1 are taken as 1, with which every message is
// dropped.
func QueueBytes(n int) Option { return func(net *Net) { net.queueBytes = max(n, 1) } }

// Net connects the buses of one process. Make it with [New].
type Net struct {
	// static after New
	maxPayload int
	queueBytes int

	mu sync.Mutex // held while a message is handed to all queues: one order for all
	// guarded by mu
	open map[bus.Lane][]*conn // of all buses
}

// New returns a network without buses.
func New(opts ...Option) *Net {
	n := &Net{
		maxPayload: defaultMaxPayload,
		queueBytes: delivery.DefaultLimit,
		open:       make(map[bus.Lane][]*conn),
	}
	for _, opt := range opts {
		opt(n)
	}
	return n
}

// Bus attaches another replica. The bus is connected and has no lane open.
func (n *Net) Bus() *Bus {
	return &Bus{net: n, open: make(map[bus.Lane]*conn)}
}

// send copies data to every Conn of the lane that is subscribed to dest and whose bus is
// connected, and reports whether there was one. The caller holds mu. It asks each Conn:
// there are few in a process, and there may be a million subscriptions.
func (n *Net) send(lane bus.Lane, dest string, data []byte) (reached bool) {
	all := ""
	if class, _, ok := strings.Cut(dest, ":"); ok {
		all = everything(class)
	}
	for _, c := range n.open[lane] {
		if c.bus.down {
			continue
		}
		for _, d := range [...]string{dest, all} {
			if _, ok := c.dests[d]; ok {
				reached = true
				c.queue.Message(bytes.Clone(data))
			}
		}
	}
	return reached
}
