package natsbus

import (
	"slices"
	"sync/atomic"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/transport/internal/delivery"
)

// A conn is one open lane. Its methods are in the files of what they do: subscribe.go,
// class.go and publish.go.
type conn struct {
	// static
	bus   *Bus
	lane  bus.Lane
	queue *delivery.Queue // has its own lock

	closed atomic.Bool // changed with Bus.change held
	warned uint64      // owned by the pump: one more than the Lost delivered at the last warning
}

// Close implements bus.Conn.
func (c *conn) Close() {
	c.bus.change.Lock()
	c.leave()
	c.bus.change.Unlock()
	c.queue.Wait()
}

// leave takes the Conn from its bus and ends its goroutine, without waiting. It does
// nothing the second time. The caller holds Bus.change.
func (c *conn) leave() {
	if c.closed.Swap(true) {
		return
	}
	b := c.bus
	b.mu.Lock()
	delete(b.open, c.lane)
	var unused []*subject
	for _, s := range b.subjects {
		if slices.Contains(s.conns, c) && b.drop(s, c) {
			unused = append(unused, s)
		}
	}
	classes := slices.Clone(b.classes)
	b.mu.Unlock()
	for _, s := range unused {
		b.unsubscribe(s)
	}
	for _, class := range classes {
		b.dropClass(class, c)
	}
	c.queue.Close()
	_, dropped, told := c.queue.Counts()
	b.dropped.Add(dropped)
	b.lost.Add(told)
}

// conns are those that are subscribed to one thing: few, so a slice.
type conns []*conn

// of returns the Conn of a lane, nil if it is not among them.
func (list conns) of(lane bus.Lane) *conn {
	for _, c := range list {
		if c.lane == lane {
			return c
		}
	}
	return nil
}

// without returns the list without c.
func (list conns) without(c *conn) conns {
	rest := make(conns, 0, len(list))
	for _, other := range list {
		if other != c {
			rest = append(rest, other)
		}
	}
	return rest
}
