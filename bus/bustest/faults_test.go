package bustest

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/bus"
)

// A fault is a way for a bus to break a promise, and the check that notices. Each
// function wraps what a right bus does.
type fault struct {
	name, check string

	open       func(b *faulty, lane bus.Lane, h bus.Handler) (bus.Conn, error)
	handler    func(b *faulty, h bus.Handler) bus.Handler
	conn       func(b *faulty, c *faultyConn)
	maxPayload func(n int) int
	settings   func(b *faulty) string
}

// faulty is a bus with a fault.
type faulty struct {
	bus.Bus
	fault
	over chan struct{} // closed after the check

	conns      map[bus.Lane]*faultyConn // the last of each lane
	remembered map[string]bool          // for a fault that remembers destinations
	turn       chan struct{}            // capacity 1, for a fault that makes lanes take turns
	opened     []bus.Conn
}

// faultyConn is a Conn whose methods may be replaced.
type faultyConn struct {
	bus.Conn
	handler bus.Handler

	subscribe, unsubscribe, subscribeAll, unsubscribeAll func(string) error
	publish, request                                     func(string, []byte) error
	close                                                func()
}

func (c *faultyConn) Subscribe(dest string) error            { return c.subscribe(dest) }
func (c *faultyConn) Unsubscribe(dest string) error          { return c.unsubscribe(dest) }
func (c *faultyConn) SubscribeAll(class string) error        { return c.subscribeAll(class) }
func (c *faultyConn) UnsubscribeAll(class string) error      { return c.unsubscribeAll(class) }
func (c *faultyConn) Publish(dest string, data []byte) error { return c.publish(dest, data) }
func (c *faultyConn) Request(dest string, data []byte) error { return c.request(dest, data) }
func (c *faultyConn) Close()                                 { c.close() }

func (b *faulty) Open(lane bus.Lane, h bus.Handler) (bus.Conn, error) {
	open := b.fault.open
	if open == nil {
		open = (*faulty).wrap
	}
	return open(b, lane, h)
}

func (b *faulty) wrap(lane bus.Lane, h bus.Handler) (bus.Conn, error) {
	if b.handler != nil && h.Message != nil {
		h = b.handler(b, h)
	}
	conn, err := b.Bus.Open(lane, h)
	if err != nil {
		return nil, err
	}
	b.opened = append(b.opened, conn)
	c := &faultyConn{
		Conn: conn, handler: h, subscribe: conn.Subscribe, unsubscribe: conn.Unsubscribe, subscribeAll: conn.SubscribeAll,
		unsubscribeAll: conn.UnsubscribeAll, publish: conn.Publish, request: conn.Request, close: conn.Close,
	}
	b.conns[lane] = c
	if b.fault.conn != nil {
		b.fault.conn(b, c)
	}
	return c, nil
}

func (b *faulty) MaxPayload() int {
	if b.maxPayload != nil {
		return b.maxPayload(b.Bus.MaxPayload())
	}
	return b.Bus.MaxPayload()
}

func (b *faulty) Settings() string {
	if b.settings != nil {
		return b.settings(b)
	}
	return b.Bus.Settings()
}

// events replaces what is done with one event.
func events(only bus.Event, f func(h bus.Handler, dest string)) func(*faulty, bus.Handler) bus.Handler {
	return func(_ *faulty, h bus.Handler) bus.Handler {
		right := h
		h.Event = func(event bus.Event, dest string) {
			if event == only {
				f(right, dest)
			} else if right.Event != nil {
				right.Event(event, dest)
			}
		}
		return h
	}
}

func nothing(string) error { return nil }

const (
	reaches     = "a message reaches the subscribers on its lane and its sender"
	inOrder     = "messages of one sender arrive in order across destinations"
	literal     = "no character of a destination is a wildcard"
	ownership   = "data belongs to its receiver"
	idempotent  = "subscribing and unsubscribing are idempotent"
	classes     = "a class is received as a whole until it is unsubscribed"
	independent = "a class and a destination in it are independent"
	unreachable = "a request without a subscriber is unreachable"
	serial      = "callbacks are called one at a time"
	closing     = "Close waits for the running callback and none follows"
	forgetting  = "a closed lane has no subscriptions and can be opened again"
	openOnce    = "a lane is open once at a time"
	leaks       = "Close leaves no goroutine behind"
	validDest   = "destinations have 1 to 600 bytes of UTF-8"
	payload     = "messages have at most MaxPayload bytes"
	settings    = "buses of a network agree on their settings"
	overflow    = "an overflow is reported as lost and delays no other lane"
	links       = "a broken link is reported and nothing is sent late"
)

var faults = []fault{
	// Messages.
	{name: "no echo", check: reaches, conn: func(b *faulty, c *faultyConn) {
		subscribed := false
		c.subscribe = func(dest string) error { subscribed = subscribed || dest == "x"; return c.Conn.Subscribe(dest) }
		c.publish = func(dest string, data []byte) error {
			if dest == "x" && subscribed {
				_ = c.Conn.Unsubscribe(dest)
				defer func() { _ = c.Conn.Subscribe(dest) }()
			}
			return c.Conn.Publish(dest, data)
		}
	}},
	{name: "lanes share a destination", check: reaches, conn: func(b *faulty, c *faultyConn) {
		c.publish = func(dest string, data []byte) error {
			for _, lane := range b.conns {
				_ = lane.Conn.Publish(dest, data)
			}
			return nil
		}
	}},
	{name: "everything is delivered", check: reaches, conn: func(_ *faulty, c *faultyConn) {
		c.publish = func(_ string, data []byte) error { return c.Conn.Publish("x", data) }
		c.subscribe = func(string) error { return c.Conn.Subscribe("x") }
	}},
	{name: "empty messages are dropped", check: reaches, handler: func(_ *faulty, h bus.Handler) bus.Handler {
		message := h.Message
		h.Message = func(data []byte) {
			if len(data) > 0 {
				message(data)
			}
		}
		return h
	}},
	{name: "two messages change places", check: inOrder, handler: func(_ *faulty, h bus.Handler) bus.Handler {
		message, count, held := h.Message, 0, []byte(nil)
		h.Message = func(data []byte) {
			if count++; count == 400 {
				held = data
				return
			}
			message(data)
			if held != nil && held[0] == data[0] {
				message(held)
				held = nil
			}
		}
		return h
	}},
	{name: "one destination overtakes", check: inOrder, conn: func(_ *faulty, c *faultyConn) {
		var held []byte
		c.publish = func(dest string, data []byte) error {
			if dest == "t:3" && held == nil {
				held = bytes.Clone(data)
				return nil
			}
			if err := c.Conn.Publish(dest, data); err != nil || held == nil {
				return err
			}
			data, held = held, nil
			return c.Conn.Publish("t:3", data)
		}
	}},
	{name: "a message is dropped silently", check: inOrder, handler: func(_ *faulty, h bus.Handler) bus.Handler {
		message, count := h.Message, 0
		h.Message = func(data []byte) {
			if count++; count != 400 {
				message(data)
			}
		}
		return h
	}},
	{name: "a star is a wildcard", check: literal, conn: func(_ *faulty, c *faultyConn) {
		c.subscribe = func(dest string) error {
			if dest == "t:*" {
				return c.SubscribeAll("t")
			}
			return c.Conn.Subscribe(dest)
		}
	}},
	{name: "destinations are trimmed", check: literal, conn: func(_ *faulty, c *faultyConn) {
		c.subscribe = func(dest string) error { return c.Conn.Subscribe(strings.TrimSpace(dest)) }
	}},
	{name: "data is kept", check: ownership, conn: func(_ *faulty, c *faultyConn) {
		var kept [][]byte
		c.publish = func(dest string, data []byte) error {
			if dest == "x" {
				kept = append(kept, data)
				return nil
			}
			for _, data := range kept {
				_ = c.Conn.Publish("x", data)
			}
			kept = nil
			return c.Conn.Publish(dest, data)
		}
	}},
	{name: "two messages share memory", check: ownership, handler: func(_ *faulty, h bus.Handler) bus.Handler {
		message, held := h.Message, []byte(nil)
		h.Message = func(data []byte) {
			switch {
			case held != nil:
				both := slices.Concat(held, data)
				message(both[:len(held)])
				message(both[len(held):])
				held = nil
			case len(data) > 0 && data[0] >= '0' && data[0] <= '9':
				held = data
			default:
				message(data)
			}
		}
		return h
	}},

	// Subscriptions.
	{name: "subscriptions are counted", check: idempotent, conn: func(_ *faulty, c *faultyConn) {
		count := map[string]int{}
		c.subscribe = func(dest string) error { count[dest]++; return c.Conn.Subscribe(dest) }
		c.unsubscribe = func(dest string) error {
			if count[dest]--; count[dest] > 0 {
				return nil
			}
			return c.Conn.Unsubscribe(dest)
		}
	}},
	{name: "subscribed twice is delivered twice", check: idempotent, conn: func(_ *faulty, c *faultyConn) {
		c.subscribe = func(dest string) error {
			if dest == "x" {
				_ = c.Conn.SubscribeAll("x")
			}
			return c.Conn.Subscribe(dest)
		}
		c.publish = func(dest string, data []byte) error {
			if dest == "x" {
				_ = c.Conn.Publish("x:", data)
			}
			return c.Conn.Publish(dest, data)
		}
	}},
	{name: "nothing is unsubscribed", check: idempotent, conn: func(_ *faulty, c *faultyConn) { c.unsubscribe = nothing }},
	{name: "unsubscribing twice is an error", check: idempotent, conn: func(_ *faulty, c *faultyConn) {
		c.unsubscribe = func(dest string) error {
			if dest == "y" {
				return bus.ErrDest
			}
			return c.Conn.Unsubscribe(dest)
		}
	}},
	{name: "classes are not received", check: classes, conn: func(_ *faulty, c *faultyConn) { c.subscribeAll = nothing }},
	{name: "classes are not unsubscribed", check: classes, conn: func(_ *faulty, c *faultyConn) { c.unsubscribeAll = nothing }},
	{name: "a destination is in the class of its name", check: classes, conn: func(_ *faulty, c *faultyConn) {
		c.subscribeAll = func(class string) error {
			_ = c.Conn.Subscribe(class)
			return c.Conn.SubscribeAll(class)
		}
	}},
	{name: "unsubscribing a class takes its destinations along", check: independent, conn: func(_ *faulty, c *faultyConn) {
		c.unsubscribeAll = func(class string) error {
			_ = c.Conn.Unsubscribe(class + ":x")
			return c.Conn.UnsubscribeAll(class)
		}
	}},
	{name: "unsubscribing a destination takes its class along", check: independent, conn: func(_ *faulty, c *faultyConn) {
		c.unsubscribe = func(dest string) error {
			class, _, _ := strings.Cut(dest, ":")
			_ = c.Conn.UnsubscribeAll(class)
			return c.Conn.Unsubscribe(dest)
		}
	}},

	// Requests.
	{name: "unreachable is not reported", check: unreachable, handler: events(bus.Unreachable, func(bus.Handler, string) {})},
	{name: "unreachable has no destination", check: unreachable, handler: events(bus.Unreachable, func(h bus.Handler, _ string) { h.Event(bus.Unreachable, "") })},
	{name: "a request is not delivered", check: unreachable, conn: func(_ *faulty, c *faultyConn) {
		c.request = func(dest string, data []byte) error { return c.Conn.Request(dest, nil) }
	}},
	{name: "subscribers are unreachable", check: unreachable, conn: func(_ *faulty, c *faultyConn) {
		c.request = func(dest string, data []byte) error {
			_ = c.Conn.Request("nothing", nil)
			return c.Conn.Request(dest, data)
		}
	}},
	{name: "every lane is told", check: unreachable, conn: func(b *faulty, c *faultyConn) {
		c.request = func(dest string, data []byte) error {
			for _, lane := range b.conns {
				_ = lane.Conn.Request(dest, data)
			}
			return nil
		}
	}},

	// Conns.
	{name: "events come beside messages", check: serial, conn: func(_ *faulty, c *faultyConn) {
		c.request = func(dest string, data []byte) error {
			go c.handler.Event(bus.Unreachable, dest)
			return nil
		}
	}},
	{name: "Close does not wait", check: closing, conn: func(_ *faulty, c *faultyConn) {
		c.close = func() { go c.Conn.Close() }
	}},
	{name: "Close delivers the rest", check: closing, conn: func(_ *faulty, c *faultyConn) {
		var once sync.Once
		c.close = func() { once.Do(func() { _ = c.Conn.Unsubscribe("x"); time.Sleep(time.Second); c.Conn.Close() }) }
	}},
	{name: "a closed lane is still subscribed", check: forgetting, open: func(b *faulty, lane bus.Lane, h bus.Handler) (bus.Conn, error) {
		conn, err := b.wrap(lane, h)
		if err != nil {
			return nil, err
		}
		c := conn.(*faultyConn)
		for dest := range b.remembered {
			_ = c.Conn.Subscribe(dest)
		}
		c.subscribe = func(dest string) error { b.remembered[dest] = true; return c.Conn.Subscribe(dest) }
		return c, nil
	}},
	{name: "a closed lane publishes", check: forgetting, conn: func(_ *faulty, c *faultyConn) {
		c.publish = func(dest string, data []byte) error { _ = c.Conn.Publish(dest, data); return nil }
	}},
	{name: "closing a lane unsubscribes the others", check: forgetting, conn: func(b *faulty, c *faultyConn) {
		c.close = func() {
			for _, lane := range b.conns {
				_ = lane.Conn.Unsubscribe("x")
			}
			c.Conn.Close()
		}
	}},
	{name: "opening closes the last", check: openOnce, open: func(b *faulty, lane bus.Lane, h bus.Handler) (bus.Conn, error) {
		if c := b.conns[lane]; c != nil {
			c.Conn.Close()
		}
		return b.wrap(lane, h)
	}},
	{name: "a handler without Message is taken", check: openOnce, open: func(b *faulty, lane bus.Lane, h bus.Handler) (bus.Conn, error) {
		if h.Message == nil {
			h.Message = func([]byte) {}
		}
		return b.wrap(lane, h)
	}},
	{name: "a goroutine stays", check: leaks, conn: func(b *faulty, _ *faultyConn) {
		go func() { <-b.over }()
	}},

	// Limits.
	{name: "invalid destinations are taken", check: validDest, conn: func(_ *faulty, c *faultyConn) {
		c.publish = func(dest string, data []byte) error { return c.Conn.Publish(strings.ToValidUTF8(dest, "?"), data) }
	}},
	{name: "long destinations are refused", check: validDest, conn: func(_ *faulty, c *faultyConn) {
		c.subscribe = func(dest string) error {
			if len(dest) > 500 {
				return bus.ErrDest
			}
			return c.Conn.Subscribe(dest)
		}
	}},
	{name: "MaxPayload is too small", check: payload, maxPayload: func(n int) int { return n - 1 }},
	{name: "MaxPayload is too large", check: payload, maxPayload: func(n int) int { return n + 1 }},
	{name: "large messages are cut", check: payload, conn: func(_ *faulty, c *faultyConn) {
		c.publish = func(dest string, data []byte) error {
			if len(data) == 1<<20-1 {
				data = data[1:]
			}
			return c.Conn.Publish(dest, data)
		}
	}},
	{name: "settings differ", check: settings, settings: func(b *faulty) string { return fmt.Sprintf("%p", b) }},

	// Loss.
	{name: "a loss is not reported", check: overflow, handler: events(bus.Lost, func(bus.Handler, string) {})},
	{name: "a slow lane delays the others", check: overflow, handler: func(b *faulty, h bus.Handler) bus.Handler {
		message := h.Message
		h.Message = func(data []byte) {
			b.turn <- struct{}{}
			defer func() { <-b.turn }()
			message(data)
		}
		return h
	}},
	{name: "down is not reported", check: links, handler: events(bus.Down, func(bus.Handler, string) {})},
	{name: "a lane that is opened while down is not told", check: links, handler: func(b *faulty, h bus.Handler) bus.Handler {
		if len(b.conns) == 0 {
			return h
		}
		return events(bus.Down, func(bus.Handler, string) {})(b, h)
	}},
	{name: "subscriptions end with the link", check: links, conn: func(_ *faulty, c *faultyConn) {
		c.publish = func(dest string, data []byte) error {
			err := c.Conn.Publish(dest, data)
			if err != nil {
				_ = c.Conn.Unsubscribe("x")
			}
			return err
		}
	}},
	{name: "up is not reported", check: links, handler: events(bus.Up, func(bus.Handler, string) {})},
	{name: "lost does not follow up", check: links, handler: events(bus.Lost, func(bus.Handler, string) {})},
	{name: "publishing while down is no error", check: links, conn: func(_ *faulty, c *faultyConn) {
		c.publish = func(dest string, data []byte) error { _ = c.Conn.Publish(dest, data); return nil }
	}},
	{name: "messages are sent late", check: links, conn: func(b *faulty, c *faultyConn) {
		var kept []byte
		c.publish = func(dest string, data []byte) error {
			err := c.Conn.Publish(dest, data)
			if err != nil {
				kept = bytes.Clone(data)
			} else if kept != nil {
				err, kept = c.Conn.Publish("x", kept), nil
			}
			return err
		}
	}},
	{name: "nothing can be subscribed while down", check: links, conn: func(_ *faulty, c *faultyConn) {
		c.subscribe = func(dest string) error {
			if dest == "y" {
				return bus.ErrDown
			}
			return c.Conn.Subscribe(dest)
		}
	}},
}
