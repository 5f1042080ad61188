package membus

import (
	"fmt"
	"slices"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/transport/internal/delivery"
)

// A conn is one open lane of one bus.
type conn struct {
	// static
	bus   *Bus
	lane  bus.Lane
	queue *delivery.Queue // has its own lock

	// guarded by bus.net.mu
	dests  map[string]struct{} // destinations and whole classes; nothing once closed
	closed bool
}

// Close implements bus.Conn.
func (c *conn) Close() {
	c.leave()
	c.queue.Wait()
}

// leave takes the Conn from its bus and ends its goroutine, without waiting.
func (c *conn) leave() {
	net := c.bus.net
	net.mu.Lock()
	defer net.mu.Unlock()
	if c.closed {
		return
	}
	c.closed = true
	c.dests = nil
	delete(c.bus.open, c.lane)
	net.open[c.lane] = slices.DeleteFunc(net.open[c.lane], func(other *conn) bool { return other == c })
	c.queue.Close()
}

// Subscribe implements bus.Conn.
func (c *conn) Subscribe(dest string) error { return c.subscribe(dest, dest) }

// Unsubscribe implements bus.Conn.
func (c *conn) Unsubscribe(dest string) error { return c.unsubscribe(dest, dest) }

// SubscribeAll implements bus.Conn.
func (c *conn) SubscribeAll(class string) error { return c.subscribe(class, everything(class)) }

// UnsubscribeAll implements bus.Conn.
func (c *conn) UnsubscribeAll(class string) error { return c.unsubscribe(class, everything(class)) }

// everything stands for all destinations of a class among the subscriptions. It is no
// destination: those are UTF-8.
func everything(class string) string { return class + ":\xff" }

// subscribe adds entry to the subscriptions; name is the destination or class.
func (c *conn) subscribe(name, entry string) error {
	if err := bus.CheckDest(name); err != nil {
		return err
	}
	c.bus.net.mu.Lock()
	defer c.bus.net.mu.Unlock()
	if c.closed {
		return fmt.Errorf("%w: subscribe to %q", bus.ErrClosed, name)
	}
	c.dests[entry] = struct{}{}
	return nil
}

func (c *conn) unsubscribe(name, entry string) error {
	if err := bus.CheckDest(name); err != nil {
		return err
	}
	c.bus.net.mu.Lock()
	defer c.bus.net.mu.Unlock()
	delete(c.dests, entry)
	return nil
}

// Publish implements bus.Conn.
func (c *conn) Publish(dest string, data []byte) error {
	_, err := c.send(dest, data)
	return err
}

// Request implements bus.Conn.
func (c *conn) Request(dest string, data []byte) error {
	reached, err := c.send(dest, data)
	if err == nil && !reached {
		c.queue.Unreachable(dest)
	}
	return err
}

func (c *conn) send(dest string, data []byte) (reached bool, err error) {
	if err := bus.CheckDest(dest); err != nil {
		return false, err
	}
	net := c.bus.net
	net.mu.Lock()
	defer net.mu.Unlock()
	switch {
	case c.closed:
		return false, fmt.Errorf("%w: publish to %q", bus.ErrClosed, dest)
	case c.bus.down:
		return false, fmt.Errorf("%w: publish to %q", bus.ErrDown, dest)
	case len(data) > net.maxPayload:
		return false, fmt.Errorf("%w: %d bytes to %q, at most %d", bus.ErrPayload, len(data), dest, net.maxPayload)
	}
	return net.send(c.lane, dest, data), nil
}
