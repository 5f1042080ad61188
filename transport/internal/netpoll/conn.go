package netpoll

import (
	"errors"
	"net"
	"syscall"
	"time"
)

// A Conn is a connection that is read and written without waiting as far as its kind
// allows. [New] makes them; there are no other implementations. One goroutine may read
// while another writes; Close, Abort and the deadlines may be called at any time.
type Conn interface {
	// TryRead reads what input there is, into p, which is not empty. It returns 0 and
	// nil if there is none, and never an error that is a timeout. Unless the connection
	// is direct, TryRead changes the read deadline.
	TryRead(p []byte) (n int, err error)
	// Await waits until there is input, or the connection has ended, which TryRead then
	// returns. The error is one of the read deadline.
	Await() error
	// Read waits for input as a net.Conn does.
	Read(p []byte) (n int, err error)

	// TryWrite writes what is taken at once. If that is less than p, the caller does not
	// change the rest of p, and calls WaitWrite with it before it writes more. On a direct
	// connection it heeds no write deadline.
	TryWrite(p []byte) (n int, err error)
	// WaitWrite waits until some of p is written, or the write deadline has passed.
	WaitWrite(p []byte) (n int, err error)

	// Direct reports whether a Poller reports all input, and TryWrite heeds no deadline.
	// On any other connection TryRead must have returned 0 before it is parked.
	Direct() bool

	// Waits reports whether TryWrite never takes anything.
	Waits() bool

	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	// Close closes the connection. TLS first sends an alert, which may take up to 5 s if
	// the socket is full.
	Close() error
	// Abort closes the connection at once. Reads and writes that wait return an error.
	Abort()

	// descriptor returns what a poll waits for; nil if a poll would not report all input.
	descriptor() syscall.RawConn
}

// New makes a Conn of a connection, which the caller no longer uses.
func New(conn net.Conn) Conn {
	if s, ok := newSocket(conn); ok {
		return s
	}
	return newLayered(conn)
}

// IsTimeout reports whether err is one of a deadline.
func IsTimeout(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) && netErr.Timeout()
}

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// socketOf returns the socket of a connection that is one. A socket that a connection
// merely contains may carry other bytes.
func socketOf(conn net.Conn) (syscall.RawConn, bool) {
	switch conn.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return nil, false
	}
	raw, err := conn.(syscall.Conn).SyscallConn()
	return raw, err == nil
}

// An ahead is input that Await has read.
type ahead struct {
	buf  [512]byte
	left []byte
	err  error
}

// await fills a, which is made on first use: most connections need none.
func (a *ahead) await(conn net.Conn) (*ahead, error) {
	if a == nil {
		a = new(ahead)
	}
	if len(a.left) > 0 || a.err != nil {
		return a, nil
	}
	n, err := conn.Read(a.buf[:])
	a.left = a.buf[:n]
	if IsTimeout(err) {
		return a, err
	}
	a.err = err
	return a, nil
}

// take reads from a, which may be nil.
func (a *ahead) take(p []byte) (n int, err error) {
	if a == nil {
		return 0, nil
	}
	n = copy(p, a.left)
	a.left = a.left[n:]
	if n == 0 {
		err, a.err = a.err, nil
	}
	return n, err
}
