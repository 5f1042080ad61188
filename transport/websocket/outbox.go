package websocket

import (
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/channel"
)

// An outbox holds what waits to be written to one connection. Whoever sends
// never waits: a frame is put in a queue, and a writer goroutine exists while
// there is something to write, started by the send that finds none. The writer
// takes everything that waits and hands it to the port as one batch; what is
// sent meanwhile is the next batch. So a connection that gets one frame now and
// then costs a short-lived goroutine for each, and one that gets many costs one
// write for many.
//
// Two bounds keep a slow client from growing memory:
//
//   - bytes: at most maxBytes wait (a single frame may be larger), besides the
//     batch that is being written. One more closes the connection with 1013.
//   - age: a batch must be written maxAge after its first frame was sent. A write
//     that is stuck for longer ends the connection. Nothing watches the queue:
//     what waits behind a stuck write is younger than it.
//
// An outbox goes from open to closing (no new frames; what waits is written,
// then a close frame) to ended (nothing is written any more). A failed write
// ends it at once.
type outbox struct {
	// Static after creation.
	port     port
	bounds   outboxBounds
	run      func() // write as a value: starting it costs no allocation
	tellSlow func() // called once when a bound was exceeded, with mu held

	writer sync.WaitGroup // the writer; Add is called with mu held and state not ended

	mu sync.Mutex
	// Guarded by mu.
	state   outboxState
	writing bool      // the writer exists and will look at the queue again
	queue   *batch    // nil: nothing waits
	bytes   int       // of the queue's frames, with their headers
	oldest  time.Time // when what waits began to wait
	pong    []byte    // payload of the last unanswered ping
	pongDue bool
	armed   time.Time   // the write deadline that is on the socket
	slow    bool        // a bound was exceeded
	closing closeNotice // from closing on
}

// outboxBounds are the limits of an outbox, the same for all connections.
type outboxBounds struct {
	maxBytes     int
	maxAge       time.Duration
	closeTimeout time.Duration // from close to the end, whatever the client does
}

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

// A port is the connection as an outbox sees it. arm, armRead and wake are
// called with the outbox's mu held and must not block; the others are called by
// the writer.
type port interface {
	arm(deadline time.Time)       // sets the write deadline, also of a write that is under way
	armRead(deadline time.Time)   // sets the read deadline
	wake()                        // the outbox is closing: the reader should notice
	write(b *batch) error         // writes the batch, in as few writes to the socket as it can
	writeClose(closeNotice) error // writes a close frame
	abort()                       // ends the connection at once, so that its reader ends too
}

// A batch is what goes out together. Batches are pooled: an idle connection
// holds none.
type batch struct {
	frames  []*channel.Frame
	pong    []byte
	pongDue bool
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// keepBatch is the most frames that a pooled batch keeps room for.
const keepBatch = 1024

func (b *batch) release() {
	clear(b.frames)
	if cap(b.frames) > keepBatch {
		b.frames = nil
	}
	b.frames, b.pong, b.pongDue = b.frames[:0], b.pong[:0], false
	batches.Put(b)
}

// frameHeader is what a frame costs besides its data, at most: its header on
// the wire and its place in the queue.
const frameHeader = 18

func (o *outbox) init(p port, bounds outboxBounds, tellSlow func()) {
	o.port, o.bounds, o.tellSlow = p, bounds, tellSlow
	o.run = o.write
}

// send queues a frame. It never blocks; after close it does nothing.
func (o *outbox) send(f *channel.Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state != outboxOpen {
		return
	}
	size := len(f.Data) + frameHeader
	if o.bytes > 0 && o.bytes+size > o.bounds.maxBytes {
		o.tooSlow()
		o.drop()
		o.startClose(channel.CloseTryLater, "client too slow")
		return
	}
	if o.queue == nil {
		o.queue = batches.Get().(*batch)
	}
	o.queue.frames = append(o.queue.frames, f)
	o.bytes += size
	o.start()
}

// sendPong answers a ping. Only the last of several unanswered pings is
// answered (RFC 6455, 5.5.3), so a flood of them costs no memory.
func (o *outbox) sendPong(data string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state != outboxOpen {
		return
	}
	o.pong, o.pongDue = append(o.pong[:0], data...), true
	o.start()
}

// close lets what waits go out, then a close frame. Only the first call counts.
// It never blocks; the outbox has ended closeTimeout later. It tells whether
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
// and may then wait for the writer.
func (o *outbox) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state = outboxEnded
	o.drop()
}

// notice is the close notice, once there is one.
func (o *outbox) notice() (n closeNotice, closing bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.closing, o.state != outboxOpen
}

// startClose is called with mu held and the outbox open.
func (o *outbox) startClose(code int, reason string) {
	o.state = outboxClosing
	o.closing = closeNotice{code: code, reason: reason, by: time.Now().Add(o.bounds.closeTimeout)}
	if o.writing && o.armed.After(o.closing.by) {
		o.arm(o.closing.by) // a write that is stuck now has less time left
	}
	o.start()
	o.port.wake()
}

// start is called with mu held and the outbox not ended.
func (o *outbox) start() {
	if o.writing {
		if o.oldest.IsZero() {
			o.oldest = time.Now()
		}
		return
	}
	o.oldest = time.Now()
	o.writing = true
	o.writer.Add(1)
	go o.run()
}

// drop is called with mu held.
func (o *outbox) drop() {
	if o.queue != nil {
		o.queue.release()
	}
	o.queue, o.bytes, o.pongDue = nil, 0, false
}

// tooSlow is called with mu held.
func (o *outbox) tooSlow() {
	if !o.slow {
		o.slow = true
		o.tellSlow()
	}
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

// armNow sets a deadline for a write that is not the writer's.
func (o *outbox) armNow() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.arm(time.Now().Add(o.bounds.closeTimeout))
}

func (o *outbox) arm(deadline time.Time) {
	o.armed = deadline
	o.port.arm(deadline)
}

// write is the writer. It ends when nothing waits, when the close frame is
// written, and when a write fails.
func (o *outbox) write() {
	defer o.writer.Done()
	for {
		b, notice, what := o.take()
		var err error
		switch what {
		case takeNothing:
			return
		case takeBatch:
			err = o.port.write(b)
			b.release()
		case takeClose:
			if err = o.port.writeClose(notice); err == nil {
				return
			}
		}
		if err != nil {
			o.fail(err)
			return
		}
	}
}

type takeWhat uint8

const (
	takeNothing takeWhat = iota
	takeBatch
	takeClose
)

// take is what the writer does next. It sets the deadline that the write must
// meet.
func (o *outbox) take() (*batch, closeNotice, takeWhat) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.state == outboxEnded:
	case o.queue != nil || o.pongDue:
		b := o.queue
		if b == nil {
			b = batches.Get().(*batch)
		}
		if o.pongDue {
			b.pong, b.pongDue = append(b.pong[:0], o.pong...), true
		}
		o.armFor(o.oldest)
		o.queue, o.bytes, o.pongDue, o.oldest = nil, 0, false, time.Time{}
		return b, closeNotice{}, takeBatch
	case o.state == outboxClosing:
		o.state = outboxEnded
		o.writing = false
		o.arm(o.closing.by)
		return nil, o.closing, takeClose
	}
	o.writing = false
	return nil, closeNotice{}, takeNothing
}

// armFor sets the deadline of a batch that began to wait at oldest. Setting a
// deadline costs as much as a small write does, so one that is at most a quarter
// too late is left as it is. (One that an earlier write left behind is seldom
// right: to set none would let the next write die of it.)
func (o *outbox) armFor(oldest time.Time) {
	if o.state == outboxClosing {
		o.arm(o.closing.by)
		return
	}
	earliest := oldest.Add(o.bounds.maxAge)
	latest := earliest.Add(o.bounds.maxAge / 4)
	if o.armed.Before(earliest) || o.armed.After(latest) {
		o.arm(latest)
	}
}

// fail ends the outbox after a failed write.
func (o *outbox) fail(err error) {
	o.mu.Lock()
	if o.state == outboxOpen && isTimeout(err) {
		o.tooSlow()
	}
	o.state = outboxEnded
	o.writing = false
	o.drop()
	o.mu.Unlock()
	o.port.abort()
}
