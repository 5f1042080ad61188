package netpoll

import (
	"crypto/tls"
	"net"
	"sync"
	"syscall"
	"time"
)

// A layered connection has something between it and its socket, or is none that this
// system can read and write without waiting.
type layered struct {
	// Static.
	conn net.Conn
	base net.Conn        // what it lies on, or conn
	raw  syscall.RawConn // the socket; nil: unknown, or of no use here

	ahead *ahead    // owned by the goroutine that reads
	late  *handover // a write that goes on; owned by the goroutine that writes
}

// recordWait is how long TryRead waits for the rest of a record of which some has
// arrived. It waits again, for longer, while there is input: up to recordWaitMost.
const (
	recordWait     = time.Millisecond
	recordWaitMost = 16 * time.Millisecond
)

// writeWait is how long TryWrite waits for a write that should not have to wait.
const writeWait = 5 * time.Millisecond

// recordSize is how much is written at once: a record of TLS. It fits into the third of
// a socket's buffer that is free when the kernel says that there is room.
const recordSize = 16 << 10

func newLayered(conn net.Conn) *layered {
	l := &layered{conn: conn, base: conn}
	if secured, ok := conn.(*tls.Conn); ok {
		l.base = secured.NetConn()
		if raw, ok := socketOf(l.base); ok && canLook {
			l.raw = raw
		}
	}
	return l
}

func (l *layered) TryRead(p []byte) (int, error) {
	if n, err := l.ahead.take(p); n > 0 || err != nil || l.raw == nil {
		return n, err
	}
	for wait := recordWait; ; wait *= 4 {
		deadline := longAgo // what needs no more input is read nevertheless
		ready := look(l.raw, lookRead)
		if ready {
			deadline = time.Now().Add(wait)
		}
		l.conn.SetReadDeadline(deadline)
		n, err := l.conn.Read(p)
		switch {
		case n > 0:
			return n, nil // an error comes again
		case !IsTimeout(err):
			return 0, err
		case !ready || wait >= recordWaitMost:
			return 0, nil
		}
		// It may have taken us too long to begin, so look whether all input was taken.
	}
}

func (l *layered) Await() (err error) {
	l.ahead, err = l.ahead.await(l.conn)
	return err
}

func (l *layered) Read(p []byte) (int, error) {
	if n, err := l.ahead.take(p); n > 0 || err != nil {
		return n, err
	}
	return l.conn.Read(p)
}

func (l *layered) TryWrite(p []byte) (n int, err error) {
	for n < len(p) && !l.Waits() && look(l.raw, lookWrite) {
		h := newHandover(l.conn, p[n:min(len(p), n+recordSize)])
		if !h.wait() {
			l.late = h
			break
		}
		wrote, err := h.end()
		n += wrote
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

func (l *layered) WaitWrite(p []byte) (int, error) {
	if h := l.late; h != nil {
		l.late = nil
		<-h.done
		return h.end()
	}
	return l.conn.Write(p)
}

func (l *layered) Direct() bool                       { return false }
func (l *layered) Waits() bool                        { return l.raw == nil }
func (l *layered) SetReadDeadline(t time.Time) error  { return l.conn.SetReadDeadline(t) }
func (l *layered) SetWriteDeadline(t time.Time) error { return l.conn.SetWriteDeadline(t) }
func (l *layered) Close() error                       { return l.conn.Close() }
func (l *layered) descriptor() syscall.RawConn        { return l.raw }

// Abort closes what lies below, too: TLS would say goodbye to a peer that may not be
// reading.
func (l *layered) Abort() {
	l.base.Close()
	l.conn.Close()
}

// A handover is a write in a goroutine of its own. There are none in a bubble of
// testing/synctest, which has no sockets, so handovers may be pooled.
type handover struct {
	// Static.
	run   func() // write as a value: starting it costs no allocation
	done  chan struct{}
	timer *time.Timer

	conn net.Conn
	p    []byte
	n    int
	err  error
}

var handovers = sync.Pool{New: func() any {
	h := &handover{done: make(chan struct{}, 1), timer: time.NewTimer(time.Hour)}
	h.run = h.write
	return h
}}

// newHandover starts to write p, which is not changed until end.
func newHandover(conn net.Conn, p []byte) *handover {
	h := handovers.Get().(*handover)
	h.conn, h.p = conn, p
	go h.run()
	return h
}

func (h *handover) write() {
	h.n, h.err = h.conn.Write(h.p)
	h.done <- struct{}{}
}

// wait reports whether the write has ended in time.
func (h *handover) wait() bool {
	h.timer.Reset(writeWait)
	defer h.timer.Stop()
	select {
	case <-h.done:
		return true
	case <-h.timer.C:
		return false
	}
}

// end is called once the write has ended.
func (h *handover) end() (n int, err error) {
	n, err = h.n, h.err
	h.conn, h.p, h.n, h.err = nil, nil, 0, nil
	handovers.Put(h)
	return n, err
}
