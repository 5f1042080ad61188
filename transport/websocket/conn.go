package websocket

import (
	"errors"
	"net"
	"runtime/debug"
	"time"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/intake"
	"github.com/rollcall-go/rollcall/transport/internal/netpoll"
)

// A conn is one WebSocket connection: the [wire.Link] of its channelConn.
//
// The goroutine that reads owns the connection: it waits for writing to end, and is the
// last to leave. It is called the reader, and runs resume. There is none while the
// connection is parked.
type conn struct {
	// Of their own.
	out    outbox
	waiter netpoll.Waiter

	// Static after creation.
	t        *Transport
	channels channelConn
	address  *intake.Place // counts it; may be nil
	compress bool          // the client was told that messages may be compressed

	// Owned by the reader.
	slowly  bool    // the client was refused, and what it sends is dropped
	ended   bool    // the channelConn was told
	known   bool    // has sent something
	placed  bool    // has a place among the newcomers
	input   *input  // what was read ahead; nil while nothing is being read
	framer  *framer // nil while no message is being read, unless the connection compresses
	readErr error   // why the socket can be read no more
	// sinceMessage is how many bytes were taken since the last message, ping or pong.
	sinceMessage uint32
}

var (
	_ wire.Gatherer   = (*conn)(nil)
	_ netpoll.Handler = (*conn)(nil)
)

// Send implements wire.Link.
func (c *conn) Send(frames ...*wire.Frame) { c.out.send(frames...) }

// Gathers implements wire.Gatherer.
func (c *conn) Gathers() bool { return true }

// Close implements wire.Link.
func (c *conn) Close(code int, reason string) { c.out.close(code, reason) }

// open makes c a connection of the one that was hijacked.
func (c *conn) open(raw net.Conn) {
	wrapped := netpoll.New(raw)
	c.waiter.Init(wrapped, c)
	c.out.port, c.out.bounds, c.out.writers = c, &c.t.bounds, c.t.writers
	c.out.direct, c.out.blocking = wrapped.Direct(), wrapped.Waits()
}

// start starts the channelConn. The handshake's goroutine calls it, before there is a
// reader.
func (c *conn) start() {
	defer func() {
		if p := recover(); p != nil {
			c.logPanic("starting", p)
			c.out.close(wire.CloseInternal, "internal error")
		}
	}()
	c.channels.Start(c)
}

// Ready implements netpoll.Handler: the connection, which was parked or begins, is
// read. Connections that have sent nothing yet wait for their turn.
func (c *conn) Ready() {
	if !c.known {
		c.t.newcomers.enter(c)
		return
	}
	c.t.helpers.Add(1) // c holds its slot, or Close would not wait for it
	go func() {
		defer c.t.helpers.Done()
		c.resume()
	}()
}

// leaveNewcomers is called before a wait for input.
func (c *conn) leaveNewcomers() {
	if c.placed {
		c.placed = false
		c.t.newcomers.leave()
	}
}

// finish ends the connection, and gives its place and slot back.
func (c *conn) finish() {
	c.hangUp()
	c.t.poller.Leave(&c.waiter)
	c.t.leave(c)
}

// contain keeps a panic on this connection.
func (c *conn) contain(doing string) {
	p := recover()
	if p == nil {
		return
	}
	c.logPanic(doing, p)
	c.out.close(wire.CloseInternal, "internal error")
	c.linger()
}

func (c *conn) logPanic(doing string, p any) {
	c.t.config.Logger.Error("websocket: panic", "doing", doing, "panic", p, "stack", string(debug.Stack()))
}

// hangUp ends what is left of the connection and waits for writing to end.
func (c *conn) hangUp() {
	defer c.contain("closing")
	if c.readErr == nil {
		c.out.writing.Wait() // the client has closed: our answer goes out, within CloseTimeout
		c.waiter.Conn.Close()
	}
	c.out.end()
	c.waiter.Conn.Abort()
	c.out.writing.Wait()
	c.endChannels()
}

// endChannels tells the channelConn, once, that nothing more will come or go. It is
// not called where a connection is closed: the caller may hold locks of it.
func (c *conn) endChannels() {
	if !c.ended {
		c.ended = true
		if limit, code := c.out.exceeded(); limit != nil {
			c.channels.Reject(wire.Rejection{Cause: wire.CauseSlow, Limit: limit, Code: code})
		}
		c.channels.Closed(wire.ReasonClosed)
	}
}

// arm, armRead, wake, tellSlow, tryWrite, waitWrite and abort implement port.

func (c *conn) arm(deadline time.Time) { c.waiter.Conn.SetWriteDeadline(deadline) }

func (c *conn) armRead(deadline time.Time) { c.waiter.Conn.SetReadDeadline(deadline) }

func (c *conn) wake() { c.t.poller.Rouse(&c.waiter) }

func (c *conn) tellSlow() { c.t.stats.slow.Add(1) }

// writeLimit is the most bytes of one connection that are written at once before
// others have their turn: some 0.5 ms of work. With 64 KiB instead, clients of large
// rooms were sent their states in turn, all at once, and took three times as long.
const writeLimit = 1 << 20

func (c *conn) tryWrite(b *batch) (_ progress, err error) {
	defer c.containWrite(&err)
	b.compress = c.compress
	for left := writeLimit; b.gather(); {
		if left == 0 {
			return wroteSome, nil
		}
		most := min(left, len(b.unsent))
		n, err := c.waiter.Conn.TryWrite(b.unsent[:most])
		b.wrote(n)
		if n < most || err != nil {
			return socketFull, err
		}
		left -= n
	}
	return wroteAll, nil
}

func (c *conn) waitWrite(b *batch) (_ progress, err error) {
	defer c.containWrite(&err)
	b.compress = c.compress
	if !b.gather() {
		return wroteAll, nil
	}
	n, err := c.waiter.Conn.WaitWrite(b.unsent[:min(len(b.unsent), writeLimit)])
	b.wrote(n)
	if err == nil && b.gather() {
		return wroteSome, nil
	}
	return wroteAll, err
}

func (c *conn) abort() {
	c.waiter.Conn.Abort()
	c.t.poller.Rouse(&c.waiter)
}

var errPanic = errors.New("websocket: panic")

// containWrite makes a failed write of a panic, which ends this connection.
func (c *conn) containWrite(err *error) {
	if p := recover(); p != nil {
		c.logPanic("writing", p)
		*err = errPanic
	}
}
