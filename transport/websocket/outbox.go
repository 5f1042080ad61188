package websocket

import (
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/internal/list"
	"github.com/rollcall-go/rollcall/transport/internal/netpoll"
)

// An outbox holds what waits to be written to one connection. Sending never
// waits: a frame is put in a queue, and the outbox is given to the writers
// of its transport, which write all that waits as one batch; what is sent
// meanwhile is the next batch. So many frames cost one write, and an idle outbox
// costs neither a goroutine nor a buffer.
//
// Where all that waits are low-priority frames the outbox waits for the writers at
// their low priority; the first other frame, a pong or a close moves it to the normal
// one, with all that waits in it. So nothing is overtaken by a later frame of the
// same connection.
//
// The writers never wait for a client: while its connection takes nothing, a goroutine
// of the outbox's own does. Nor do they write much of one connection at once: what is
// left of a large batch waits for them again, at the low priority. Where nothing is ever
// written without waiting, the goroutine lasts as long as anything waits.
//
// Two bounds keep a slow client from growing memory:
//
//   - bytes: at most maxBytes wait (a single frame may be larger), besides the
//     batch that is being written. One more closes the connection with 1013.
//   - age: a batch must be written maxAge after its first frame was sent. A write
//     that is stuck for longer ends the connection. Nothing watches the queue:
//     what waits behind a stuck write is younger than it. Waiting at the low
//     priority is not the client's fault: age counts from the end of that.
//
// An outbox goes from open to closing (no new frames; what waits is written, and a
// close frame behind it) to ended (nothing is written any more). A failed write
// ends it at once.
//
// What each delivery looks at comes first: one line of the processor's cache,
// for a conn begins with its outbox.
type outbox struct {
	mu sync.Mutex
	// Static after creation.
	direct   bool // what is written at once heeds no deadline
	blocking bool // nothing is written at once: the writers are of no use
	// Guarded by mu.
	state outboxState
	taken bool     // it waits or is written to, and the queue is looked at again
	waits priority // for the writers, if it does; taken is set
	slow  slowness // which bound was exceeded
	queue *batch
	begun *batch // what is left of the one before; goes first

	place list.Node[outbox] // in the writers' lists; guarded by their mu

	writing sync.WaitGroup // taken; Add is called with mu held and state not ended

	// Static after creation.
	writers *writers
	bounds  *outboxBounds
	port    port

	// Guarded by mu.
	armed  time.Time    // the write deadline that is on the socket
	notice *closeNotice // from closing on, if it came to that
}

// outboxBounds are the limits of an outbox, the same for all connections.
type outboxBounds struct {
	maxBytes     int
	maxAge       time.Duration
	closeTimeout time.Duration // from close to the end, whatever the client does
}

// slowness is what a client was too slow for.
type slowness uint8

const (
	slowNot slowness = iota
	slowBytes
	slowAge
)

// priority says at what priority an outbox waits for the writers.
type priority uint8

const (
	priorityNone priority = iota // it does not wait
	priorityLow                  // all that waits in it are low-priority frames
	priorityNormal
)

type outboxState uint8

const (
	outboxOpen outboxState = iota
	outboxClosing
	outboxEnded
)

// A closeNotice is why and until when a connection is being closed.
type closeNotice struct {
	code   int // 1005: a close frame without a code
	reason string
	by     time.Time // nothing of the connection lasts longer
}

// A port is the connection as an outbox sees it. arm, armRead, wake and tellSlow
// are called with the outbox's mu held and must not block; the others are called
// by the goroutine that writes.
type port interface {
	arm(deadline time.Time)     // sets the write deadline, also of a write that is under way; zero: none
	armRead(deadline time.Time) // sets the read deadline
	wake()                      // the outbox is closing: the reader should notice
	tellSlow()                  // a bound was exceeded

	// tryWrite writes of the batch what is taken at once, and not too much of it;
	// waitWrite waits until more is written. What they did not write they leave in
	// the batch.
	tryWrite(b *batch) (progress, error)
	waitWrite(b *batch) (progress, error) // never socketFull
	abort()                               // ends the connection at once, so that its reader ends too
}

// progress is how far writing has come.
type progress uint8

const (
	wroteAll progress = iota
	wroteSome
	socketFull
)

// send queues frames. It never blocks; after close it does nothing.
func (o *outbox) send(frames ...*wire.Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, f := range frames {
		if !o.enqueue(f) {
			return
		}
	}
	if len(frames) > 0 {
		o.start()
	}
}

// enqueue adds a frame to what waits, unless the outbox is closed or full. mu is held.
func (o *outbox) enqueue(f *wire.Frame) bool {
	size := f.Len() + frameHeader
	if o.state != outboxOpen {
		return false
	}
	if o.queue != nil && o.queue.bytes > 0 && o.queue.bytes+size > o.bounds.maxBytes {
		o.tooSlow(slowBytes)
		o.drop()
		o.startClose(wire.CloseTryLater, "client too slow")
		return false
	}
	b := o.last()
	b.frames = append(b.frames, f)
	b.bytes += size
	b.normal = b.normal || !f.LowPriority
	return true
}

// sendPong answers a ping. Only the last of several unanswered pings is
// answered (RFC 6455, 5.5.3), so a flood of them costs no memory.
func (o *outbox) sendPong(data string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state != outboxOpen {
		return
	}
	b := o.last()
	b.pong, b.pongDue = append(b.pong[:0], data...), true
	b.normal = true
	o.start()
}

// last is the batch that the next frame goes to. mu is held.
func (o *outbox) last() *batch {
	if o.queue == nil {
		o.queue = newBatch(time.Now())
	}
	return o.queue
}

// close lets what waits go out, then a close frame. Only the first call counts.
// It never blocks; the outbox has ended closeTimeout later. It reports whether
// this was the first call.
func (o *outbox) close(code int, reason string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state != outboxOpen {
		return false
	}
	o.startClose(code, reason)
	return true
}

// end stops all writing: the connection is gone. The caller closes the socket
// and may then wait for writing. An outbox that still waits for the writers
// does so no longer.
func (o *outbox) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state = outboxEnded
	o.drop()
	if o.waits != priorityNone && o.writers.remove(o) {
		o.waits = priorityNone
		if o.begun != nil {
			o.begun.release()
			o.begun = nil
		}
		o.leave()
	}
}

// closing reports whether the outbox was closed, or has ended, and until when what
// is left of the connection may last.
func (o *outbox) closing() (by time.Time, closing bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.notice != nil {
		by = o.notice.by
	}
	return by, o.state != outboxOpen
}

// startClose is called with mu held and the outbox open.
func (o *outbox) startClose(code int, reason string) {
	o.state = outboxClosing
	o.notice = &closeNotice{code: code, reason: reason, by: time.Now().Add(o.bounds.closeTimeout)}
	if o.taken && o.armed.After(o.notice.by) {
		o.arm(o.notice.by) // a write that is stuck now has less time left
	}
	o.start()
	o.port.wake()
}

// start sees to it that what waits is written, and soon enough. It is called with
// mu held and the outbox not ended.
func (o *outbox) start() {
	switch {
	case !o.taken:
		o.taken = true
		o.writing.Add(1)
		if o.blocking {
			go o.wait(nil)
			return
		}
		o.enlist()
	case o.waits == priorityLow && !o.low():
		o.unlist()
		o.waits = priorityNormal
		o.writers.promote(o)
	}
}

// low reports whether what goes next is what is left of a batch, or low-priority
// frames only. mu is held.
func (o *outbox) low() bool {
	return o.state == outboxOpen && (o.begun != nil || !o.queue.normal)
}

// enlist gives the outbox to the writers. mu is held.
func (o *outbox) enlist() {
	o.waits = priorityNormal
	if o.low() {
		o.waits = priorityLow
		if o.begun != nil {
			o.begun.listed = time.Now()
		}
	}
	o.writers.add(o, o.waits == priorityLow)
}

// unlist notes that the outbox no longer waits for the writers, or no longer at the
// low priority: the age of what it holds does not include that time. mu is held.
func (o *outbox) unlist() {
	if o.waits == priorityLow {
		now := time.Now()
		if o.begun != nil { // its client may have taken part of its time already
			o.begun.since = o.begun.since.Add(now.Sub(o.begun.listed))
		}
		if o.queue != nil {
			o.queue.since = now
		}
	}
	o.waits = priorityNone
}

// leave ends what start began. mu is held.
func (o *outbox) leave() {
	o.taken = false
	o.writing.Done()
}

// drop is called with mu held.
func (o *outbox) drop() {
	if o.queue != nil {
		o.queue.release()
	}
	o.queue = nil
}

// tooSlow is called with mu held.
func (o *outbox) tooSlow(by slowness) {
	if o.slow == slowNot {
		o.slow = by
		o.port.tellSlow()
	}
}

// exceeded is the bound that a slow client exceeded, and the code that it is
// closed with; nil if it did not.
func (o *outbox) exceeded() (limit any, code int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch o.slow {
	case slowBytes:
		return o.bounds.maxBytes, wire.CloseTryLater
	case slowAge: // no close frame could reach it
		return o.bounds.maxAge, 0
	}
	return nil, 0
}

// armRead sets the read deadline and returns true, unless the outbox is closing:
// then the deadline is the close's and stays.
func (o *outbox) armRead(deadline time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state != outboxOpen {
		return false
	}
	o.port.armRead(deadline)
	return true
}

// armNow sets a deadline for the answer to the handshake.
func (o *outbox) armNow() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.arm(time.Now().Add(o.bounds.closeTimeout))
}

func (o *outbox) arm(deadline time.Time) {
	o.armed = deadline
	o.port.arm(deadline)
}

// attempt is called by one of the writers, which has taken the outbox from their
// lists: it writes what is taken at once, within bounds. What has to wait goes to a
// goroutine of the outbox's own.
func (o *outbox) attempt() {
	o.mu.Lock()
	o.unlist()
	b := o.first()
	ended := o.state == outboxEnded
	if !ended && !o.direct {
		o.armFor(b.since)
	}
	o.mu.Unlock()
	if ended {
		o.goOn(b)
		return
	}
	wrote, err := o.port.tryWrite(b)
	if wrote == socketFull && err == nil {
		go o.wait(b)
		return
	}
	o.wrote(b, wrote, err)
}

// first takes the batch that goes first: the close frame is the end of the last one.
// mu is held.
func (o *outbox) first() *batch {
	b := o.begun
	o.begun = nil
	if b == nil {
		b, o.queue = o.queue, nil
	}
	if o.state == outboxClosing && o.queue == nil {
		if b == nil {
			b = newBatch(time.Now())
		}
		b.notice = o.notice
	}
	return b
}

// wait waits until more of a batch is written. If nothing is ever written without
// waiting, it writes all that waits; b is nil then.
func (o *outbox) wait(b *batch) {
	for more := true; more; b = nil {
		o.mu.Lock()
		if b == nil {
			b = o.first()
		}
		ended := o.state == outboxEnded
		if !ended {
			o.armFor(b.since)
		}
		o.mu.Unlock()
		if ended {
			o.goOn(b)
			return
		}
		wrote, err := o.port.waitWrite(b)
		more = o.wrote(b, wrote, err)
	}
}

// wrote is called when some of a batch was written, or could not be. It reports whether
// to wait again.
func (o *outbox) wrote(b *batch, wrote progress, err error) (more bool) {
	switch {
	case err != nil:
		b.release()
		o.fail(err)
		return false
	case wrote == wroteSome:
		return o.goOn(b)
	}
	closed := b.notice != nil
	b.release()
	if closed {
		o.finish()
		return false
	}
	return o.goOn(nil)
}

// goOn has the outbox wait for the writers again, behind the others, if b, which may
// be nil, is left of a batch, or more has come; or it reports that there is more.
func (o *outbox) goOn(b *batch) (more bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.state == outboxEnded:
		if b != nil {
			b.release()
		}
		o.leave()
		return false
	case b == nil && o.queue == nil && o.state == outboxOpen:
		o.leave()
		return false
	}
	o.begun = b
	if !o.blocking {
		o.enlist()
	}
	return o.blocking
}

// finish ends an outbox whose close frame is written.
func (o *outbox) finish() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state = outboxEnded
	o.leave()
}

// armFor sets the deadline of a batch that began to wait at since. Setting a
// deadline costs as much as a small write does, so one that is at most a quarter
// too late is left as it is. (One that an earlier write left behind is seldom
// right: to set none would let the next write die of it.)
func (o *outbox) armFor(since time.Time) {
	if o.state == outboxClosing {
		o.arm(o.notice.by)
		return
	}
	earliest := since.Add(o.bounds.maxAge)
	latest := earliest.Add(o.bounds.maxAge / 4)
	if o.armed.Before(earliest) || o.armed.After(latest) {
		o.arm(latest)
	}
}

// fail ends the outbox after a failed write.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	if o.state == outboxOpen && netpoll.IsTimeout(err) {
		o.tooSlow(slowAge)
	}
	o.state = outboxEnded
	o.drop()
	o.mu.Unlock()
	o.port.abort()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.leave()
}
