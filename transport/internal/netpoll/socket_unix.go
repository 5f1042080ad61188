//go:build unix

package netpoll

import (
	"cmp"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"
)

// A socket is read and written without waiting.
type socket struct {
	conn  net.Conn
	raw   syscall.RawConn
	ahead *ahead // owned by the goroutine that reads
}

func newSocket(conn net.Conn) (*socket, bool) {
	raw, ok := socketOf(conn)
	return &socket{conn: conn, raw: raw}, ok
}

func (s *socket) TryRead(p []byte) (int, error) {
	if n, err := s.ahead.take(p); n > 0 || err != nil {
		return n, err
	}
	c := newCall(p)
	err := s.raw.Control(c.read)
	return c.end(err)
}

func (s *socket) Await() (err error) {
	s.ahead, err = s.ahead.await(s.conn)
	return err
}

func (s *socket) Read(p []byte) (int, error) {
	if n, err := s.ahead.take(p); n > 0 || err != nil {
		return n, err
	}
	return s.conn.Read(p)
}

func (s *socket) TryWrite(p []byte) (int, error) {
	c := newCall(p)
	err := s.raw.Control(c.write)
	return c.end(err)
}

func (s *socket) WaitWrite(p []byte) (int, error) {
	c := newCall(p)
	err := s.raw.Write(c.waitWrite)
	return c.end(err)
}

func (s *socket) Direct() bool                       { return true }
func (s *socket) Waits() bool                        { return false }
func (s *socket) SetReadDeadline(t time.Time) error  { return s.conn.SetReadDeadline(t) }
func (s *socket) SetWriteDeadline(t time.Time) error { return s.conn.SetWriteDeadline(t) }
func (s *socket) Close() error                       { return s.conn.Close() }
func (s *socket) Abort()                             { s.conn.Close() }
func (s *socket) descriptor() syscall.RawConn        { return s.raw }

// A call is one system call for a descriptor that stays open meanwhile. Calls are
// pooled, with their functions as values, so that one costs no allocation.
type call struct {
	// Static.
	read, write func(fd uintptr)
	waitWrite   func(fd uintptr) (done bool)

	p   []byte
	n   int
	err error
}

var calls = sync.Pool{New: func() any {
	c := new(call)
	c.read = func(fd uintptr) {
		if again := c.do("read", syscall.Read, fd); !again && c.n == 0 && c.err == nil {
			c.err = io.EOF
		}
	}
	c.write = func(fd uintptr) { c.do("write", sendNow, fd) }
	c.waitWrite = func(fd uintptr) bool { return !c.do("write", sendNow, fd) }
	return c
}}

func newCall(p []byte) *call {
	c := calls.Get().(*call)
	c.p = p
	return c
}

// do makes the system call, and reports whether it would have to wait.
func (c *call) do(name string, call func(int, []byte) (int, error), fd uintptr) (again bool) {
	n, err := call(int(fd), c.p)
	for err == syscall.EINTR {
		n, err = call(int(fd), c.p)
	}
	if err == syscall.EAGAIN {
		return true
	}
	c.n, c.err = max(n, 0), os.NewSyscallError(name, err)
	return false
}

// end is what came of the call, or err, if it could not be made.
func (c *call) end(err error) (int, error) {
	n, err := c.n, cmp.Or(err, c.err)
	c.p, c.n, c.err = nil, 0, nil
	calls.Put(c)
	return n, err
}

// MaxFiles returns how many files this process may have open, connections included. It
// reports false if that is unknown.
func MaxFiles() (uint64, bool) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return uint64(limit.Cur), true
}
