package websocket

import (
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/channel"
)

// An outbox holds what waits to be written to one connection. Whoever sends
// never waits: a frame is put in a queue, and the outbox is given to the writers
// of its transport, which write all that waits as one batch; what is sent
// meanwhile is the next batch. So one that gets many frames costs one write for
// many, and an idle one costs neither a goroutine nor a buffer.
//
// Where all that waits are patient frames the outbox is given to the writers'
// patient lane; the first other frame, a pong or a close moves it to the prompt
// one, with all that waits in it. So nothing is overtaken by a later frame of the
// same connection.
//
// The writers never wait for a client. A batch that the socket does not take at
// once is the start of a writer of the outbox's own, a goroutine that lasts
// until nothing waits any more. Where writing without waiting is impossible
// (TLS, compression), that goroutine is started by the send that finds none.
//
// Two bounds keep a slow client from growing memory:
//
//   - bytes: at most maxBytes wait (a single frame may be larger), besides the
//     batch that is being written. One more closes the connection with 1013.
//   - age: a batch must be written maxAge after its first frame was sent. A write
//     that is stuck for longer ends the connection. Nothing watches the queue:
//     what waits behind a stuck write is younger than it. For how long it was in
//     the patient lane no client is to blame: its age counts from the end of that.
//
// An outbox goes from open to closing (no new frames; what waits is written,
// then a close frame) to ended (nothing is written any more). A failed write
// ends it at once.
//
// What each delivery looks at comes first: one line of the processor's cache,
// for a conn begins with its outbox.
type outbox struct {
	mu sync.Mutex
	// Guarded by mu.
	state     outboxState
	taken     bool     // somebody writes or will, and looks at the queue again
	slow      slowness // which bound was exceeded
	lane      laneID   // where it waits for the writers, if it does; taken is set
	inPatient bool     // it is in the patient lane: stale if lane is not that one
	queue     *batch

	writing sync.WaitGroup // who writes; Add is called with mu held and state not ended

	// Static after creation.
	writers *writers // nil: writing may wait, so this outbox has a writer of its own
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
// by who writes.
type port interface {
	arm(deadline time.Time)     // sets the write deadline, also of a write that is under way; zero: none
	armRead(deadline time.Time) // sets the read deadline
	wake()                      // the outbox is closing: the reader should notice
	tellSlow()                  // a bound was exceeded

	// giveWay lets others go first, before much is written.
	giveWay()
	// tryWrite writes the batch if that can be done without waiting. What it did
	// not write it leaves in the batch.
	tryWrite(b *batch) (done bool, err error)
	write(b *batch) error          // writes the batch, in as few writes to the socket as it can
	writeClose(*closeNotice) error // writes a close frame
	abort()                        // ends the connection at once, so that its reader ends too
}

func (o *outbox) init(p port, bounds *outboxBounds, w *writers) {
	o.port, o.bounds, o.writers = p, bounds, w
}

// send queues a frame. It never blocks; after close it does nothing.
func (o *outbox) send(f *channel.Frame) {
	size := f.Len() + frameHeader
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.state != outboxOpen {
		return
	}
	if o.queue != nil && o.queue.bytes > 0 && o.queue.bytes+size > o.bounds.maxBytes {
		o.tooSlow(slowBytes)
		o.drop()
		o.startClose(channel.CloseTryLater, "client too slow")
		return
	}
	b := o.waiting()
	b.frames = append(b.frames, f)
	b.bytes += size
	b.prompt = b.prompt || !f.Patient
	b.tells = b.tells || f.Sent != nil
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
	b := o.waiting()
	b.pong, b.pongDue = append(b.pong[:0], data...), true
	b.prompt = true
	o.start()
}

// waiting is the batch that the next frame goes to. mu is held.
func (o *outbox) waiting() *batch {
	if o.queue == nil {
		o.queue = newBatch(time.Now())
	}
	return o.queue
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
// and may then wait for who writes. An outbox that still waits for the writers
// does so no longer.
func (o *outbox) end() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.state = outboxEnded
	o.drop()
	if o.lane != laneNone {
		o.unlist()
		o.leave()
	}
}

// closing tells whether the outbox was closed, or has ended, and until when what
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
		if o.writers == nil {
			go o.write()
			return
		}
		o.enlist()
	case o.lane == lanePatient && !o.patient():
		o.unlist()
		o.enlist()
	}
}

// patient tells whether all that waits is. mu is held.
func (o *outbox) patient() bool { return o.state == outboxOpen && !o.queue.prompt }

// enlist gives the outbox to the writers: once to each lane at most, so that the
// lanes do not grow with what moves between them. A stale entry in the patient
// lane becomes good again, and keeps its place. mu is held, and lane is laneNone.
func (o *outbox) enlist() {
	if to := o.choose(); to != laneNone {
		o.writers.add(o, to)
	}
}

// choose is enlist, but that the outbox has yet to be added to the lane that it
// returns, if to any. Until it is, others may move it: its entry is stale then.
func (o *outbox) choose() (to laneID) {
	if o.lane = lanePrompt; o.patient() {
		o.lane = lanePatient
		if o.inPatient {
			return laneNone
		}
		o.inPatient = true
	}
	return o.lane
}

// unlist ends the outbox's waiting for the writers: what a lane still has of it is
// stale. mu is held.
func (o *outbox) unlist() {
	if o.lane == lanePatient && o.queue != nil {
		o.queue.since = time.Now()
	}
	o.lane = laneNone
}

// leave ends what start began, where nobody writes any more. mu is held.
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
		return o.bounds.maxBytes, channel.CloseTryLater
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

// armNow sets a deadline for a write that is not the outbox's.
func (o *outbox) armNow() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.arm(time.Now().Add(o.bounds.closeTimeout))
}

func (o *outbox) arm(deadline time.Time) {
	o.armed = deadline
	o.port.arm(deadline)
}

// attempt is called by one of the writers, for an entry of one of their lanes. If
// it is not stale one batch is written, where that needs no waiting, and the outbox
// is given back, behind the others, if more waits by then. What may need waiting
// goes to a writer of its own. While one of the writers writes lane is laneNone: so
// a stale entry that comes up meanwhile is passed over, and only one writes.
// attempt tells whether the entry was good.
func (o *outbox) attempt(from laneID) (good bool) {
	o.mu.Lock()
	if from == lanePatient {
		o.inPatient = false
	}
	if o.lane != from {
		o.mu.Unlock()
		return false
	}
	o.unlist()
	b := o.queue
	if o.state != outboxOpen || b == nil || b.bytes > tryLimit {
		o.mu.Unlock()
		go o.write()
		return true
	}
	o.queue = nil
	o.mu.Unlock()

	done, err := o.port.tryWrite(b)
	switch {
	case err != nil:
		b.release()
		o.fail(err)
		o.writing.Done()
		return true
	case !done:
		o.mu.Lock()
		if o.state != outboxEnded {
			o.armFor(b.since)
		}
		o.mu.Unlock()
		go o.writeFrom(b)
		return true
	}
	b.sent()
	b.release()

	to := laneNone
	o.mu.Lock()
	if o.queue == nil && o.state != outboxClosing {
		o.leave()
	} else {
		to = o.choose()
	}
	o.mu.Unlock()
	if to != laneNone { // without mu, which who sends waits for
		o.writers.add(o, to)
	}
	return true
}

// write is a writer of the outbox's own. It ends when nothing waits, when the
// close frame is written, and when a write fails.
func (o *outbox) write() { o.writeFrom(nil) }

// writeFrom is write that begins with a batch for which the deadline is set.
func (o *outbox) writeFrom(b *batch) {
	defer o.writing.Done()
	for {
		var notice *closeNotice
		if b == nil {
			b, notice = o.take()
		}
		var err error
		switch {
		case b != nil:
			if b.bytes > tryLimit {
				o.port.giveWay() // to copy a state of a large room takes a millisecond
			}
			if err = o.port.write(b); err == nil {
				b.sent()
			}
			b.release()
			b = nil
		case notice != nil:
			if err = o.port.writeClose(notice); err == nil {
				return
			}
		default:
			return
		}
		if err != nil {
			o.fail(err)
			return
		}
	}
}

// take is what an own writer does next: a batch, a close frame, or nothing more.
// It sets the deadline that the write must meet.
func (o *outbox) take() (*batch, *closeNotice) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.state == outboxEnded:
	case o.queue != nil:
		b := o.queue
		o.queue = nil
		o.armFor(b.since)
		return b, nil
	case o.state == outboxClosing:
		o.state = outboxEnded
		o.taken = false
		o.arm(o.notice.by)
		return nil, o.notice
	}
	o.taken = false
	return nil, nil
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
	if o.state == outboxOpen && isTimeout(err) {
		o.tooSlow(slowAge)
	}
	o.state = outboxEnded
	o.taken = false
	o.drop()
	o.mu.Unlock()
	o.port.abort()
}
