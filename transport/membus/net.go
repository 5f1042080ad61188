package membus

import (
	"bytes"
	"slices"
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
	subs map[address][]*openLane // in the order of subscribing; no empty lists
}

// An address is what one lane of all buses calls a destination.
type address struct {
	lane byte
	dest string
}

// New returns a network without buses. It needs no shutdown of its own.
func New(opts ...Option) *Net {
	n := &Net{
		maxPayload: defaultMaxPayload,
		queueBytes: lane.DefaultLimit,
		subs:       make(map[address][]*openLane),
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

// subscribe adds l to those that get what is sent to a. The caller holds mu and
// has checked that l is not there.
func (n *Net) subscribe(a address, l *openLane) {
	n.subs[a] = append(n.subs[a], l)
}

// unsubscribe takes l from those that get what is sent to a. The caller holds mu.
func (n *Net) unsubscribe(a address, l *openLane) {
	rest := slices.DeleteFunc(n.subs[a], func(other *openLane) bool { return other == l })
	if len(rest) == 0 {
		delete(n.subs, a)
		return
	}
	n.subs[a] = rest
}

// send copies data to every connected subscriber of a, and tells whether there
// was one. The caller holds mu.
func (n *Net) send(a address, data []byte) (reached bool) {
	give := func(a address) {
		for _, l := range n.subs[a] {
			if l.bus.down {
				continue
			}
			reached = true
			l.queue.Message(bytes.Clone(data))
		}
	}
	give(a)
	if class, _, ok := strings.Cut(a.dest, ":"); ok {
		give(address{a.lane, everything(class)})
	}
	return reached
}
