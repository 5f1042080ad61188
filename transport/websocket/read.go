package websocket

import (
	"errors"
	"io"
	"math"
	"sync"
	"time"
	"unicode/utf8"

	gorilla "github.com/gorilla/websocket"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/internal/netpoll"
)

// resume reads the connection, which was parked, or begins: there may be input. It
// returns when all that has arrived is dealt with and the connection is parked again,
// or when it is over, and reports whether it still has its place among the newcomers.
func (c *conn) resume() (placed bool) {
	for c.look() {
		if c.input != nil {
			c.known = true
			if !c.readOn() {
				break
			}
		}
		placed, c.placed = c.placed, false
		if c.t.poller.Park(&c.waiter) {
			return placed
		}
		c.placed = placed
		if c.await(c.waiter.Conn.Await) != nil { // it is closing
			break
		}
	}
	c.leaveNewcomers()
	c.finish()
	return false
}

// look reads ahead what input there is, if any. It reports false when the connection
// is over.
func (c *conn) look() (open bool) {
	in := inputs.Get().(*input)
	n, err := c.waiter.Conn.TryRead(in.buf[:])
	if n > 0 {
		in.ahead, c.input = in.buf[:n], in
		return true
	}
	in.release()
	if err == nil {
		_, open = c.readAgain(c.waiter.Since())
		return open
	}
	c.readErr = err
	return false
}

// readOn gives the channelConn the messages that have arrived. It reports whether to go on.
// When we are closing it reads on, for the client's answer, and drops the rest.
func (c *conn) readOn() (more bool) {
	defer c.contain("reading")
	c.attach()
	for {
		kind, r, err := c.framer.ws.NextReader()
		if err == nil {
			c.sinceMessage = 0
			if _, closing := c.out.closing(); !closing {
				err = c.receive(kind, r)
			}
		}
		if err != nil {
			c.readFailed(err)
			return false
		}
		if _, closing := c.out.closing(); closing {
			continue // NextReader skips what is left of a message
		}
		if c.drained() && !c.readMore() {
			c.detach()
			return true
		}
	}
}

// readMore reads ahead input that the poller does not report.
func (c *conn) readMore() bool {
	if c.waiter.Conn.Direct() {
		return false
	}
	n, _ := c.waiter.Conn.TryRead(c.input.buf[:]) // an error comes again
	c.input.ahead = c.input.buf[:n]
	return n > 0
}

// read is called by gorilla, for the rest of a message.
func (c *conn) read(p []byte) (n int, err error) {
	// A message may consist of any number of frames without content, and headers may
	// take as much as what they are the headers of.
	if int64(c.sinceMessage) > 2*int64(c.t.config.MaxFrame)+readAhead && !c.slowly {
		return 0, errMessageTooBig
	}
	defer func() { c.sinceMessage = uint32(min(uint64(c.sinceMessage)+uint64(n), math.MaxUint32)) }()
	if in := c.input; in != nil && len(in.ahead) > 0 {
		n = copy(p, in.ahead)
		in.ahead = in.ahead[n:]
		return n, nil
	}
	if !c.slowly {
		if n, err = c.waiter.Conn.TryRead(p); n > 0 {
			return n, nil
		}
	}
	err = c.await(func() (err error) {
		if n, err = c.waiter.Conn.Read(p); n > 0 {
			return nil // an error comes again
		}
		return err
	})
	return n, err
}

// slowPause is how long reading slowly waits before each read of a few KiB. A
// client that answers a close has sent little until then; one that goes on and on
// costs next to nothing, until the close times out.
const slowPause = 2 * time.Millisecond

// await reads until there is input, or no reason to go on.
func (c *conn) await(read func() error) error {
	c.leaveNewcomers()
	if c.slowly {
		time.Sleep(slowPause)
	}
	since := time.Now()
	c.out.armRead(since.Add(c.t.config.IdleTimeout))
	for {
		err := read()
		if err == nil {
			return nil
		}
		if netpoll.IsTimeout(err) {
			var again bool
			if since, again = c.readAgain(since); again {
				continue
			}
		}
		c.readErr = err
		return err
	}
}

// readAgain reports whether to go on reading though there is no input: the client has
// been silent since then, or the outbox was closed. It sets the read deadline, and closes
// an idle connection. It returns since as idleUntil does.
func (c *conn) readAgain(since time.Time) (time.Time, bool) {
	since, until, idle := idleUntil(since, time.Now(), c.t.config.IdleTimeout)
	if _, closing := c.out.closing(); idle && !closing { // counted before the client can see the close
		c.t.stats.idle.Add(1)
		c.channels.Reject(wire.Rejection{Cause: wire.CauseIdle, Limit: c.t.config.IdleTimeout, Code: wire.CloseProtocol})
		c.out.close(wire.CloseProtocol, "idle timeout")
	}
	if c.out.armRead(until) {
		return since, true
	}
	c.endChannels()
	by, _ := c.out.closing()
	if !time.Now().Before(by) {
		return since, false
	}
	c.armRead(by)
	return since, true
}

// idleUntil reports whether a client that has been silent since then is idle at now, and
// until when to wait if it is not. It returns since, which it moves after a stall.
func idleUntil(since, now time.Time, timeout time.Duration) (_, until time.Time, idle bool) {
	until = since.Add(timeout)
	if late := now.Sub(until); late > netpoll.StallTolerance {
		until = now.Add(min(netpoll.StallGrace, timeout))
		since = until.Add(-timeout)
	}
	return since, until, !now.Before(until)
}

// receive gives one message to the channelConn. The error is one of reading.
func (c *conn) receive(kind int, r io.Reader) error {
	buf := scratch.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= keepScratch {
			scratch.Put(buf)
		}
	}()
	err := readMessage(r, c.t.config.MaxFrame, buf)
	switch {
	case errors.Is(err, errMessageTooBig):
		c.channels.Reject(wire.Rejection{Cause: wire.CauseFrameSize, Limit: c.t.config.MaxFrame, Code: wire.CloseTooBig})
		c.refuse(&wire.Close{Code: wire.CloseTooBig, Reason: "message too big"})
	case err != nil:
		return err
	case kind == gorilla.TextMessage && !utf8.Valid(*buf):
		c.channels.Reject(wire.Rejection{Cause: wire.CauseText, Code: wire.CloseInvalidText})
		c.refuse(&wire.Close{Code: wire.CloseInvalidText, Reason: "text is not UTF-8"})
	default:
		if refused := c.channels.Receive(kind == gorilla.BinaryMessage, *buf); refused != nil {
			c.refuse(refused)
		}
	}
	return nil
}

// receiveControl tells the channelConn of a ping or a pong, which cost us as much as
// a message does. gorilla calls it, while it looks for the next message.
func (c *conn) receiveControl() {
	c.sinceMessage = 0
	if _, closing := c.out.closing(); closing {
		return
	}
	if refused := c.channels.ReceiveControl(); refused != nil {
		c.refuse(refused)
	}
}

// refuse closes the connection because of what its client sent. More of the like
// may come until the client has read why, so it is read slowly.
func (c *conn) refuse(why *wire.Close) {
	c.out.close(why.Code, why.Reason)
	c.slowly = true
}

// readFailed is called when gorilla will read no more: the client has closed,
// the connection broke, or the client violated the protocol.
func (c *conn) readFailed(err error) {
	var closed *gorilla.CloseError
	if errors.As(err, &closed) || c.readErr != nil {
		return
	}
	if c.out.close(wire.CloseProtocol, c.framer.line.reason) {
		c.channels.Reject(wire.Rejection{Cause: wire.CauseProtocol, Code: wire.CloseProtocol, Err: err})
	}
	c.linger()
}

// linger waits, for as long as a close may take, until the client hangs up. A
// socket that is closed while input waits resets the connection, and the client
// might never see why.
func (c *conn) linger() {
	c.slowly = true
	var buf [512]byte
	for c.readErr == nil {
		c.read(buf[:])
	}
}

var errMessageTooBig = errors.New("websocket: message too big")

// scratch holds the buffers that messages are read into: a channelConn does not keep
// what it receives.
var scratch = sync.Pool{New: func() any {
	buf := make([]byte, 0, 4<<10)
	return &buf
}}

// keepScratch is the largest of them that is kept.
const keepScratch = 64 << 10

// readMessage reads one message of at most limit bytes, counted after
// decompression, into buf. Memory grows with what has arrived, not with what a
// header promises.
func readMessage(r io.Reader, limit int, buf *[]byte) error {
	*buf = (*buf)[:0]
	for {
		if len(*buf) == cap(*buf) {
			*buf = append(*buf, 0)[:len(*buf)]
		}
		n, err := r.Read((*buf)[len(*buf):cap(*buf)])
		*buf = (*buf)[:len(*buf)+n]
		switch {
		case len(*buf) > limit:
			return errMessageTooBig
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}
