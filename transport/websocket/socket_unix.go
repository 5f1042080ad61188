//go:build unix

package websocket

import (
	"io"
	"net"
	"os"
	"syscall"
)

// A socket reads and writes without waiting. The zero socket cannot.
type socket struct {
	raw  syscall.RawConn
	wire *wire
	try  func(fd uintptr) bool // tryRead as a value
}

// open makes a socket of the connection that w wraps, if it is one: not of one
// that merely contains one, whose bytes may differ.
func (s *socket) open(w *wire) {
	switch w.Conn.(type) {
	case *net.TCPConn, *net.UnixConn:
	default:
		return
	}
	raw, err := w.Conn.(syscall.Conn).SyscallConn()
	if err != nil {
		return
	}
	s.raw, s.wire = raw, w
	s.try = s.tryRead
}

// ready tells whether the socket can read and write.
func (s *socket) ready() bool { return s.raw != nil }

// readAhead waits for input and reads it into the wire's.
func (s *socket) readAhead() error {
	if err := s.raw.Read(s.try); err != nil {
		return err
	}
	if s.wire.input == nil {
		return io.EOF
	}
	return nil
}

// tryRead is false when there is nothing to read yet. Only then is it called
// again, when there is.
func (s *socket) tryRead(fd uintptr) bool {
	in := inputs.Get().(*input)
	n, err := again(syscall.Read, fd, in.buf[:])
	if n > 0 {
		in.ahead, s.wire.input = in.buf[:n], in
		return true
	}
	inputs.Put(in)
	return err != syscall.EAGAIN
}

// tryWrite writes what the socket takes at once of what is unsent of b. It heeds
// no write deadline, and needs none.
func (s *socket) tryWrite(b *batch) (n int, err error) {
	if b.try == nil {
		b.try = b.tryWrite
	}
	b.written, b.fault = 0, nil
	if err := s.raw.Control(b.try); err != nil {
		return 0, err
	}
	return b.written, b.fault
}

// tryWrite is called with a descriptor that stays open meanwhile. The wire's mu
// keeps other writes away.
func (b *batch) tryWrite(fd uintptr) {
	n, err := again(sendNow, fd, b.unsent)
	b.written = max(n, 0)
	if err != nil && err != syscall.EAGAIN {
		b.fault = os.NewSyscallError("write", err)
	}
}

// again repeats a system call that a signal interrupted.
func again(call func(int, []byte) (int, error), fd uintptr, p []byte) (int, error) {
	for {
		n, err := call(int(fd), p)
		if err != syscall.EINTR {
			return n, err
		}
	}
}
