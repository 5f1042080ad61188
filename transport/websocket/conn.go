package websocket

import (
	"bufio"
	"errors"
	"io"
	"net"
	"runtime/debug"
	"sync"
	"time"
	"unicode/utf8"

	gorilla "github.com/gorilla/websocket"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/intake"
)

// A conn is one WebSocket connection: the [wire.Link] of its session.
//
// The goroutine that reads owns the connection: it waits for writing to end, and is the
// last to leave. It is called the reader. Over a socket there is none while the
// connection is parked, and else it runs resume; elsewhere it is a goroutine of the
// connection's own, which runs serve.
type conn struct {
	// Of their own.
	out  outbox
	wire hijacked

	// Static after creation.
	t       *Transport
	own     *framer // nil: it takes what it reads with
	session session
	address *intake.Place // counts it; may be nil

	// Owned by the reader.
	place  place // for the most part the parking's
	ended  bool  // the session was told
	known  bool  // has sent something
	placed bool  // has a place among the newcomers
}

var _ wire.Gatherer = (*conn)(nil)

// Send implements wire.Link.
func (c *conn) Send(frames ...*wire.Frame) { c.out.send(frames...) }

// Gathers implements wire.Gatherer: gorilla, which compresses, takes a message
// whole.
func (c *conn) Gathers() bool { return !c.t.options.Compress }

// Close implements wire.Link.
func (c *conn) Close(code int, reason string) { c.out.close(code, reason) }

// wrap makes the connection that gorilla gets of the one that was hijacked.
func (c *conn) wrap(raw net.Conn) net.Conn {
	c.wire.Conn, c.wire.owner = raw, c
	c.wire.sock.open(&c.wire)
	w := c.t.writers
	if !c.wire.sock.ready() || c.t.options.Compress {
		w = nil
	}
	c.out.init(c, &c.t.bounds, w)
	if w == nil {
		c.own = &framer{reader: bufio.NewReaderSize(nil, readBuffer), conn: c}
	}
	return &c.wire
}

// framer is what its input is read with.
func (c *conn) framer() *framer {
	if c.own != nil {
		return c.own
	}
	return c.wire.input.framer
}

// strayWrite implements wireOwner.
func (c *conn) strayWrite() { c.out.armNow() }

// longestMessage implements wireOwner. Headers may take as much as what they are
// the headers of.
func (c *conn) longestMessage() int { return 2*c.t.options.MaxFrame + readAhead }

// start begins the session. The handshake's goroutine calls it, before there is a
// reader.
func (c *conn) start() {
	defer func() {
		if p := recover(); p != nil {
			c.logPanic("starting", p)
			c.out.close(wire.CloseInternal, "internal error")
		}
	}()
	c.wire.opened()
	c.place.since = time.Now()
	c.session.Start(c)
}

// resume reads the connection, which was parked, or begins: there may be input. It
// returns when all that has arrived is dealt with and the connection is parked again,
// or when it is over, and reports whether it still has its place among the newcomers.
func (c *conn) resume() (placed bool) {
	input, open := c.wire.look(c.place.since)
	for open {
		if input {
			c.known = true
			if !c.readOn() {
				break
			}
		}
		placed, c.placed = c.placed, false
		if c.t.parking.park(c) {
			return placed
		}
		if placed {
			c.t.newcomers.leave()
		}
		input, open = true, c.wire.await()
	}
	c.aboutToWait()
	c.finish()
	return false
}

// aboutToWait implements wireOwner.
func (c *conn) aboutToWait() {
	if c.placed {
		c.placed = false
		c.t.newcomers.leave()
	}
}

// serve is resume on a goroutine of the connection's own, where it cannot be told
// whether there is input without waiting for it.
func (c *conn) serve() {
	c.readOn()
	c.finish()
}

// finish ends the connection, and gives its place and slot back.
func (c *conn) finish() {
	c.hangUp()
	c.t.parking.leave(c)
	c.t.leave(c)
}

// readOn gives the session the client's messages: those that have arrived, where
// that can be told, else until the connection ends. It reports whether to go on.
// When we are closing it reads on, for the client's answer, and drops the rest.
func (c *conn) readOn() (more bool) {
	defer c.contain("reading")
	if c.wire.sock.ready() {
		c.attach()
	}
	ws := c.framer().ws
	for {
		kind, r, err := ws.NextReader()
		if err != nil {
			c.readFailed(err)
			return false
		}
		c.wire.sinceMessage = 0
		if _, closing := c.out.closing(); !closing {
			err = c.receive(kind, r)
		}
		// What is left of a message, because we are closing or it is too big,
		// NextReader would skip too. But the next connection that a shared framer
		// serves would read it.
		if err == nil && c.own == nil {
			_, err = io.Copy(io.Discard, r)
		}
		if err != nil {
			c.readFailed(err)
			return false
		}
		if c.wire.sock.ready() && c.drained() {
			c.detach()
			return true
		}
	}
}

// receive gives one message to the session. The error is one of reading.
func (c *conn) receive(kind int, r io.Reader) error {
	buf := scratch.Get().(*[]byte)
	defer func() {
		if cap(*buf) <= keepScratch {
			scratch.Put(buf)
		}
	}()
	err := readMessage(r, c.t.options.MaxFrame, buf)
	switch {
	case errors.Is(err, errMessageTooBig):
		c.session.Reject(wire.Rejection{Cause: wire.CauseFrameSize, Limit: c.t.options.MaxFrame, Code: wire.CloseTooBig})
		c.refuse(&wire.Close{Code: wire.CloseTooBig, Reason: "message too big"})
	case err != nil:
		return err
	case kind == gorilla.TextMessage && !utf8.Valid(*buf):
		c.session.Reject(wire.Rejection{Cause: wire.CauseText, Code: wire.CloseInvalidText})
		c.refuse(&wire.Close{Code: wire.CloseInvalidText, Reason: "text is not UTF-8"})
	default:
		if refused := c.session.Receive(kind == gorilla.BinaryMessage, *buf); refused != nil {
			c.refuse(refused)
		}
	}
	return nil
}

// receiveControl tells the session of a ping or a pong, which cost us as much as
// a message does. gorilla calls it, while it looks for the next message.
func (c *conn) receiveControl() {
	c.wire.sinceMessage = 0
	if _, closing := c.out.closing(); closing {
		return
	}
	if refused := c.session.ReceiveControl(); refused != nil {
		c.refuse(refused)
	}
}

// refuse closes the connection because of what its client sent. More of the like
// may come until the client has read why, so it is read slowly.
func (c *conn) refuse(why *wire.Close) {
	c.out.close(why.Code, why.Reason)
	c.wire.slowly = true
}

// readFailed is called when gorilla will read no more: the client has closed,
// the connection broke, or the client violated the protocol. gorilla has then
// answered with 1002 itself, in place of what waited.
func (c *conn) readFailed(err error) {
	var closed *gorilla.CloseError
	if errors.As(err, &closed) || c.wire.readErr != nil {
		return
	}
	c.wire.slowly = true
	if c.out.close(wire.CloseProtocol, "") {
		c.session.Reject(wire.Rejection{Cause: wire.CauseProtocol, Code: wire.CloseProtocol, Err: err})
	}
	c.linger()
}

// linger waits, for as long as a close may take, until the client hangs up. A
// socket that is closed while input waits resets the connection, and the client
// might never see why.
func (c *conn) linger() {
	var buf [512]byte
	for c.wire.readErr == nil {
		c.wire.Read(buf[:])
	}
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
	c.t.options.Logger.Error("websocket: panic", "doing", doing, "panic", p, "stack", string(debug.Stack()))
}

// hangUp ends what is left of the connection and waits for writing to end.
func (c *conn) hangUp() {
	defer c.contain("closing")
	if c.wire.readErr == nil {
		c.out.writing.Wait() // the client has closed: our answer goes out, within CloseTimeout
	}
	c.out.end()
	c.wire.Conn.Close()
	c.out.writing.Wait()
	c.endSession()
}

// endSession tells the session, once, that nothing more will come or go. It is
// not called where a connection is closed: the caller may hold locks of the session.
func (c *conn) endSession() {
	if !c.ended {
		c.ended = true
		if limit, code := c.out.exceeded(); limit != nil {
			c.session.Reject(wire.Rejection{Cause: wire.CauseSlow, Limit: limit, Code: code})
		}
		c.session.Closed(wire.ReasonClosed)
	}
}

// guardRead implements wireOwner.
func (c *conn) guardRead() { c.out.armRead(time.Now().Add(c.t.options.IdleTimeout)) }

// readAgain implements wireOwner: the client has said nothing for some time, or
// the outbox was closed.
func (c *conn) readAgain(since time.Time) (time.Time, bool) {
	since, until, idle := idleUntil(since, time.Now(), c.t.options.IdleTimeout)
	if _, closing := c.out.closing(); idle && !closing { // counted before the client can see the close
		c.t.stats.idle.Add(1)
		c.session.Reject(wire.Rejection{Cause: wire.CauseIdle, Limit: c.t.options.IdleTimeout, Code: wire.CloseProtocol})
		c.out.close(wire.CloseProtocol, "idle timeout")
	}
	if c.out.armRead(until) {
		return since, true
	}
	c.endSession()
	by, _ := c.out.closing()
	if !time.Now().Before(by) {
		return since, false
	}
	c.wire.Conn.SetReadDeadline(by)
	return since, true
}

// stallTolerance is how late a timeout may be noticed before it is put down to
// our own stall (a stopped process, a starved machine); stallGrace is what the
// client then gets to be heard. Its data may be waiting in the socket.
const (
	stallTolerance = time.Second
	stallGrace     = 5 * time.Second
)

// idleUntil tells at now, the read that began at since having timed out, whether
// the client has been silent for too long, and until when to wait if not. It
// returns since, moved when we stalled.
func idleUntil(since, now time.Time, timeout time.Duration) (_, until time.Time, idle bool) {
	until = since.Add(timeout)
	if late := now.Sub(until); late > stallTolerance {
		until = now.Add(min(stallGrace, timeout))
		since = until.Add(-timeout)
	}
	return since, until, !now.Before(until)
}

// arm, armRead, wake, tellSlow, tryWrite, waitWrite, write, writeClose and abort
// implement port.

func (c *conn) arm(deadline time.Time) { c.wire.Conn.SetWriteDeadline(deadline) }

func (c *conn) armRead(deadline time.Time) { c.wire.Conn.SetReadDeadline(deadline) }

func (c *conn) wake() {
	c.wire.Conn.SetReadDeadline(longAgo)
	c.t.parking.rouse(c)
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

func (c *conn) tellSlow() { c.t.stats.slow.Add(1) }

func (c *conn) tryWrite(b *batch) (_ progress, err error) {
	defer c.containWrite(&err)
	return c.wire.tryWrite(b)
}

func (c *conn) waitWrite(b *batch) (err error) {
	defer c.containWrite(&err)
	return c.wire.waitWrite(b)
}

func (c *conn) write(b *batch) (err error) {
	defer c.containWrite(&err)
	if !c.t.options.Compress {
		return c.wire.write(b)
	}
	mode := wireCorked
	if len(b.frames) == 1 && !b.pongDue && b.frames[0].Shared {
		mode = wireDirect // gorilla writes a prepared frame at once and uncopied
	}
	c.wire.begin(mode)
	err = c.compress(b)
	if flushed := c.wire.end(); err == nil {
		err = flushed
	}
	return ignoreCloseSent(err)
}

// compress writes through gorilla, which knows whether this client's frames are
// to be compressed.
func (c *conn) compress(b *batch) error {
	if b.pongDue {
		if err := c.own.ws.WriteMessage(gorilla.PongMessage, b.pong); err != nil {
			return err
		}
	}
	for _, f := range b.frames {
		if err := c.compressFrame(f); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) compressFrame(f *wire.Frame) error {
	if f.Shared {
		if p := prepared(f); p != nil {
			message, err := p.message(f)
			if err != nil {
				return err
			}
			return c.own.ws.WritePreparedMessage(message)
		}
	}
	return c.own.ws.WriteMessage(kindOf(f), f.Data)
}

func (c *conn) writeClose(n *closeNotice) (err error) {
	defer c.containWrite(&err)
	payload := gorilla.FormatCloseMessage(n.code, clipReason(n.reason))
	if c.own == nil {
		return c.wire.writeLast(append(appendHeader(nil, opClose, len(payload)), payload...))
	}
	c.wire.begin(wireDirect)
	err = c.own.ws.WriteMessage(gorilla.CloseMessage, payload)
	if ended := c.wire.end(); err == nil {
		err = ended
	}
	return ignoreCloseSent(err)
}

// abort closes the socket itself: TLS would first try to say goodbye to a client
// that may not be reading.
func (c *conn) abort() {
	if secured, ok := c.wire.Conn.(interface{ NetConn() net.Conn }); ok {
		secured.NetConn().Close()
	}
	c.wire.Conn.Close()
	c.t.parking.rouse(c)
}

var errPanic = errors.New("websocket: panic")

// containWrite makes a failed write of a panic, which ends this connection.
func (c *conn) containWrite(err *error) {
	if p := recover(); p != nil {
		c.logPanic("writing", p)
		*err = errPanic
	}
}

// ignoreCloseSent: after gorilla's own close frame nothing may follow.
func ignoreCloseSent(err error) error {
	if errors.Is(err, gorilla.ErrCloseSent) {
		return nil
	}
	return err
}

// maxReason is the most bytes that a close frame has for its reason.
const maxReason = 123

// clipReason shortens a reason to what fits, at a character's edge.
func clipReason(reason string) string {
	if len(reason) <= maxReason {
		return reason
	}
	end := maxReason
	for end > 0 && !utf8.RuneStart(reason[end]) {
		end--
	}
	return reason[:end]
}

var errMessageTooBig = errors.New("websocket: message too big")

// scratch holds the buffers that messages are read into: sessions do not keep
// what they receive.
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
