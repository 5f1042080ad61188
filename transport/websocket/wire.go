package websocket

import (
	"errors"
	"net"
	"sync"
	"time"
)

// corkSize is how many bytes are gathered for one write to the socket, and the
// size from which a frame is written by itself, uncopied.
const corkSize = 64 << 10

// corks holds the buffers that bytes are gathered in.
var corks = sync.Pool{New: func() any {
	buf := make([]byte, 0, 4<<10)
	return &buf
}}

// A wire is a hijacked connection as gorilla sees it. It differs from the
// net.Conn in three ways:
//
//   - between cork and uncork, writes are gathered and go to the socket as one;
//   - it keeps the write deadline to itself: gorilla sets one before each write,
//     also before those of control messages, and so would change the deadline
//     of a flush that is under way;
//   - reading never times out as long as again finds a reason to go on.
//
// Reads are made by one goroutine. Writes are made by the outbox's writer, and
// in one case by the reader: gorilla answers a protocol error with a close frame
// of its own.
type wire struct {
	net.Conn // static

	// again is asked, by the reading goroutine, when the read deadline has
	// passed: whether it has set a new one. since is when the read began; it is
	// given back, moved or not.
	again func(since time.Time) (time.Time, bool)
	// strayWrite is called before a write that the outbox's writer does not make.
	strayWrite func()

	// Owned by the reading goroutine.
	readErr error // why the socket can be read no more

	mu sync.Mutex
	// Guarded by mu, which is held during writes to the socket.
	mode wireMode
	cork *[]byte
	err  error // of a write made while corked
}

type wireMode uint8

const (
	wireIdle   wireMode = iota // the writer writes nothing
	wireDirect                 // the writer writes; each write goes to the socket
	wireCorked                 // the writer writes; writes are gathered
)

// begin is called by the outbox's writer before it writes.
func (w *wire) begin(mode wireMode) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mode = mode
	if mode == wireCorked && w.cork == nil {
		w.cork = corks.Get().(*[]byte)
	}
}

// end is called by the outbox's writer when it has written: it writes what was
// gathered.
func (w *wire) end() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mode = wireIdle
	if w.cork == nil {
		return nil
	}
	w.flush()
	if cap(*w.cork) <= corkSize {
		corks.Put(w.cork)
	}
	err := w.err
	w.cork, w.err = nil, nil
	return err
}

// flush is called with mu held and a cork.
func (w *wire) flush() {
	if len(*w.cork) > 0 && w.err == nil {
		_, w.err = w.Conn.Write(*w.cork)
	}
	*w.cork = (*w.cork)[:0]
}

// Write implements net.Conn.
func (w *wire) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mode == wireIdle {
		w.strayWrite()
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

// SetWriteDeadline implements net.Conn. It does nothing: see wire.
func (w *wire) SetWriteDeadline(time.Time) error { return nil }

// Read implements net.Conn.
func (w *wire) Read(p []byte) (int, error) {
	since := time.Now()
	for {
		n, err := w.Conn.Read(p)
		if err == nil {
			return n, nil
		}
		if n == 0 && isTimeout(err) {
			var again bool
			if since, again = w.again(since); again {
				continue
			}
		}
		w.readErr = err
		return n, err
	}
}

func isTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}
