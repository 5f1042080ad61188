package websocket

import (
	"errors"
	"math"
	"net"
	"sync"
	"time"
)

// A hijacked is a connection taken over from net/http, as gorilla and the outbox see it. It differs
// from the net.Conn in these ways:
//
//   - batches are written to it whole, beside gorilla, or through gorilla and
//     gathered between begin and end, to go to the socket as one;
//   - it keeps the write deadline to itself: gorilla sets one before each write,
//     also before those of control messages, and so would change the deadline
//     of a write that is under way;
//   - reading never times out as long as its owner finds a reason to go on;
//   - where the socket allows it, input is read ahead, so that its reader can tell
//     when all of it is dealt with.
//
// Reads are made by one goroutine at a time. Writes are made by one that writes
// for the outbox, and in one case by the reader: gorilla answers a protocol
// error with a close frame of its own.
type hijacked struct {
	mu sync.Mutex
	// Guarded by mu, which is held during writes to the socket.
	mode  wireMode
	torn  bool // a batch is half written
	ended bool // a close frame was written, ours or gorilla's

	// Static.
	sock socket
	net.Conn
	owner wireOwner

	// Owned by the reader.
	readErr error  // why the socket can be read no more
	input   *input // what was read ahead; nil while nothing is being read
	guarded bool   // there is a read deadline, of now or of old
	slowly  bool   // the client was refused, and what it sends is dropped
	// sinceMessage is how many bytes were taken since the last message, ping or
	// pong. The owner says how many may be, for a message may consist of any
	// number of frames without content.
	sinceMessage uint32

	// Guarded by mu.
	cork *[]byte // in wireCorked
	err  error   // of a write made while corked
}

// A wireOwner is the connection as its wire sees it.
type wireOwner interface {
	// aboutToWait is called, by the reader, before a read that may wait.
	aboutToWait()
	// guardRead sets the first read deadline.
	guardRead()
	// readAgain is asked, by the reader, when the read deadline has passed:
	// whether it has set a new one. since is when the read began; it is given
	// back, moved or not.
	readAgain(since time.Time) (time.Time, bool)
	// strayWrite is called before a write that is not the outbox's.
	strayWrite()
	// longestMessage is how many bytes a message may take on the wire, with the
	// headers of its frames.
	longestMessage() int
}

type wireMode uint8

const (
	wireHandshake wireMode = iota // gorilla answers the handshake
	wireIdle                      // the outbox writes nothing through gorilla
	wireDirect                    // it does; each write goes to the socket
	wireCorked                    // it does; writes are gathered
)

// progress is how far a try to write has come.
type progress uint8

const (
	wroteAll progress = iota
	wroteSome
	socketFull
)

// writeLimit is the most bytes of one connection that are written at once before
// others have their turn: some 0.5 ms of work. With 64 KiB instead, clients of large
// rooms were sent their states in turn, all at once, and took three times as long.
const writeLimit = 1 << 20

// tryWrite writes of a batch what the socket takes at once, at most writeLimit.
func (w *hijacked) tryWrite(b *batch) (progress, error) {
	if !w.mu.TryLock() { // the reader writes
		return socketFull, nil
	}
	defer w.mu.Unlock()
	for left := writeLimit; !w.ended && b.gather(); {
		if left == 0 {
			return wroteSome, nil
		}
		most := min(left, len(b.unsent))
		n, err := w.sock.tryWrite(b, most)
		b.wrote(n)
		w.torn = w.torn || n > 0
		switch {
		case err != nil:
			return socketFull, err
		case n < most:
			return socketFull, nil
		}
		left -= n
	}
	w.torn = false
	return wroteAll, nil
}

// waitWrite waits until the socket has taken some more of a batch.
func (w *hijacked) waitWrite(b *batch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended || !b.gather() {
		return nil
	}
	n, err := w.sock.waitWrite(b)
	b.wrote(n)
	w.torn = w.torn || n > 0
	return err
}

// write writes a batch, or what is left of it.
func (w *hijacked) write(b *batch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.ended && b.gather() {
		w.torn = true // in case of an error
		n, err := w.Conn.Write(b.unsent)
		b.wrote(n)
		if err != nil {
			return err
		}
	}
	w.torn = false
	return nil
}

// writeLast writes our close frame, unless gorilla has written its own.
func (w *hijacked) writeLast(frame []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return nil
	}
	w.ended = true
	_, err := w.Conn.Write(frame)
	return err
}

// opened is called when the handshake was answered.
func (w *hijacked) opened() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mode = wireIdle
}

// begin is called before the outbox writes through gorilla.
func (w *hijacked) begin(mode wireMode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mode = mode
	if mode == wireCorked && w.cork == nil {
		w.cork = newCork()
	}
}

// end is called when it has: it writes what was gathered.
func (w *hijacked) end() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mode = wireIdle
	if w.cork == nil {
		return nil
	}
	w.flush()
	releaseCork(w.cork)
	err := w.err
	w.cork, w.err = nil, nil
	return err
}

// flush is called with mu held and a cork.
func (w *hijacked) flush() {
	if len(*w.cork) > 0 && w.err == nil {
		_, w.err = w.Conn.Write(*w.cork)
	}
	*w.cork = (*w.cork)[:0]
}

// Write implements net.Conn, for gorilla.
func (w *hijacked) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch w.mode {
	case wireHandshake:
		w.owner.strayWrite()
	case wireIdle:
		// The close frame that answers a violation, after which nothing may come.
		// It has no place inside of another frame.
		if w.ended || w.torn {
			w.ended = true
			return len(p), nil
		}
		w.ended = true
		w.owner.strayWrite()
	}
	if w.mode != wireCorked {
		return w.Conn.Write(p)
	}
	if len(*w.cork)+len(p) > corkSize {
		w.flush()
	}
	if w.err != nil {
		return 0, w.err
	}
	if len(p) >= corkSize {
		_, w.err = w.Conn.Write(p)
	} else {
		*w.cork = append(*w.cork, p...)
	}
	return len(p), w.err
}

// SetWriteDeadline implements net.Conn. It does nothing: see hijacked.
func (w *hijacked) SetWriteDeadline(time.Time) error { return nil }

// slowPause is how long reading slowly waits before each read of a few KiB. A
// client that answers a close has sent little until then; one that goes on and on
// costs next to nothing, until the close times out.
const slowPause = 2 * time.Millisecond

// Read implements net.Conn, for gorilla.
func (w *hijacked) Read(p []byte) (n int, err error) {
	if int64(w.sinceMessage) > int64(w.owner.longestMessage()) && !w.slowly {
		return 0, errMessageTooBig
	}
	defer func() { w.sinceMessage = uint32(min(uint64(w.sinceMessage)+uint64(n), math.MaxUint32)) }()
	if in := w.input; in != nil && len(in.ahead) > 0 {
		n = copy(p, in.ahead)
		in.ahead = in.ahead[n:]
		return n, nil
	}
	w.guard()
	err = w.patiently(time.Now(), func() (err error) {
		if n, err = w.Conn.Read(p); n > 0 {
			return nil // an error comes again
		}
		return err
	})
	return n, err
}

// await waits until there is input, and reads ahead.
func (w *hijacked) await() (ok bool) {
	w.guard()
	return w.patiently(time.Now(), w.sock.await) == nil
}

// look is await without waiting, of a client that was not heard since: there may
// be no input.
func (w *hijacked) look(since time.Time) (input, ok bool) {
	err := w.patiently(since, w.sock.look)
	return w.input != nil, err == nil
}

// guard sees to it that reading ends at some time. It is called before a read
// that may wait, which those of most connections never do.
func (w *hijacked) guard() {
	w.owner.aboutToWait()
	if !w.guarded {
		w.guarded = true
		w.owner.guardRead()
	}
}

// patiently reads until there is input, or no reason to go on. The client was
// not heard since.
func (w *hijacked) patiently(since time.Time, read func() error) error {
	if w.slowly {
		time.Sleep(slowPause)
	}
	for {
		err := read()
		if err == nil {
			return nil
		}
		if isTimeout(err) {
			var again bool
			if since, again = w.owner.readAgain(since); again {
				continue
			}
		}
		w.readErr = err
		return err
	}
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}
