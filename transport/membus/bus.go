package membus

import (
	"fmt"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/transport/internal/delivery"
)

// Bus is one replica's attachment to a [Net]. Its methods may be called concurrently.
type Bus struct {
	net *Net // static

	// guarded by net.mu
	open map[bus.Lane]*conn
	down bool
}

var _ bus.Bus = (*Bus)(nil)

// Open opens a lane, see [bus.Bus].
func (b *Bus) Open(lane bus.Lane, h bus.Handler) (bus.Conn, error) {
	if h.Message == nil {
		return nil, fmt.Errorf("%w: open lane %q", bus.ErrHandler, lane)
	}
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	if b.open[lane] != nil {
		return nil, fmt.Errorf("%w: %q", bus.ErrLaneOpen, lane)
	}
	c := &conn{
		bus:   b,
		lane:  lane,
		queue: delivery.Start(b.net.queueBytes, !b.down, h),
		dests: make(map[string]struct{}),
	}
	b.open[lane] = c
	b.net.open[lane] = append(b.net.open[lane], c)
	return c, nil
}

// MaxPayload returns the largest message that can be published, in bytes.
func (b *Bus) MaxPayload() int { return b.net.maxPayload }

// Settings returns "": nothing can differ among the buses of a Net.
func (b *Bus) Settings() string { return "" }

// Disconnect takes the link down, as the loss of a network connection does: bus.Down is
// delivered, Publish and Request fail, and nothing that others publish arrives.
// Subscriptions stay. It does nothing while the link is down.
func (b *Bus) Disconnect() { b.setDown(true) }

// Reconnect undoes [Bus.Disconnect]: bus.Up and then bus.Lost are delivered.
func (b *Bus) Reconnect() { b.setDown(false) }

func (b *Bus) setDown(down bool) {
	b.net.mu.Lock()
	defer b.net.mu.Unlock()
	if b.down == down {
		return
	}
	b.down = down
	for _, c := range b.open { // each has its own queue: the order is not seen
		c.queue.Link(!down)
	}
}
