package membus

import (
	"bytes"
	"strings"
	"sync"

	"github.com/rollcall-go/rollcall/transport/internal/lane"
)

// defaultMaxPayload is what natsbus has with a server's defaults.
const defaultMaxPayload = 1<<20 - 1

// An Option changes a default of [New].
type Option func(*Net)

// MaxPayload is the most bytes one message may have; default 1 MiB less one
// byte. Values below 1 are taken as 1.
func MaxPayload(n int) Option { return func(net *Net) { net.maxPayload = max(n, 1) } }

// QueueBytes bounds the queue of each lane of each bus, in bytes; default
// 64 MiB. A message counts 96 bytes more than it has. Values below 1 are taken
// as 1, with which every message is dropped.
func QueueBytes(n int) Option { return func(net *Net) { net.queueBytes = max(n, 1) } }

// Net connects the buses of one process. Make it with [New].
type Net struct {
	// static after New
	maxPayload int
	queueBytes int

	mu sync.Mutex // held while a message is handed to all queues: one order for all
	// guarded by mu
	lanes map[byte][]*openLane // those that are open, of all buses, by name
}

// New returns a network without buses. It needs no shutdown of its own.
func New(opts ...Option) *Net {
	n := &Net{
		maxPayload: defaultMaxPayload,
		queueBytes: lane.DefaultLimit,
		lanes:      make(map[byte][]*openLane),
	}
	for _, opt := range opts {
		opt(n)
	}
	return n
}

// Bus attaches another replica. The bus is connected and has no lane open.
func (n *Net) Bus() *Bus {
	return &Bus{net: n, lanes: make(map[byte]*openLane)}
}

// send copies data to every connected bus whose lane of that name is subscribed to
// dest, and tells whether there was one. The caller holds mu. It asks each bus:
// there are few in a process, and of subscriptions there may be a million.
func (n *Net) send(name byte, dest string, data []byte) (reached bool) {
	all := ""
	if class, _, ok := strings.Cut(dest, ":"); ok {
		all = everything(class)
	}
	for _, l := range n.lanes[name] {
		if l.bus.down {
			continue
		}
		for _, d := range [...]string{dest, all} {
			if _, ok := l.dests[d]; ok {
				reached = true
				l.queue.Message(bytes.Clone(data))
			}
		}
	}
	return reached
}
