//go:build unix

package websocket

import (
	"cmp"
	"io"
	"net"
	"os"
	"syscall"
)

// A socket reads and writes without waiting. The zero socket cannot.
type socket struct {
	raw  syscall.RawConn
	wire *hijacked
}

// open makes a socket of the connection that w wraps, if it is one: not of one
// that merely contains one, whose bytes may differ.
func (s *socket) open(w *hijacked) {
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
}

// ready reports whether the socket can read and write.
func (s *socket) ready() bool { return s.raw != nil }

// await waits for input and reads it into the wire's.
func (s *socket) await() error {
	var in *input // none while there is nothing
	err := s.raw.Read(func(fd uintptr) bool {
		in = newInput()
		in.tryRead(fd)
		if in.fault == syscall.EAGAIN {
			inputs.Put(in)
			in = nil
		}
		return in != nil
	})
	if err != nil {
		return err
	}
	return s.took(in)
}

// look reads what input there is, if any, into the wire's.
func (s *socket) look() error {
	in := newInput()
	if err := s.raw.Read(in.try); err != nil {
		inputs.Put(in)
		return err
	}
	if err := s.took(in); err != syscall.EAGAIN {
		return err
	}
	return nil
}

// took gives the wire what was read, or tells why nothing was.
func (s *socket) took(in *input) error {
	if fault := in.fault; fault != nil {
		inputs.Put(in)
		return fault
	}
	s.wire.input = in
	return nil
}

// tryRead reads what there is; the fault is EAGAIN when there is nothing yet.
func (in *input) tryRead(fd uintptr) bool {
	n, err := again(syscall.Read, fd, in.buf[:])
	in.ahead, in.fault = in.buf[:max(n, 0)], err
	if n == 0 && err == nil {
		in.fault = io.EOF
	}
	return true
}

// tryWrite writes what the socket takes at once of what is unsent of b, most bytes at
// most. It heeds no write deadline, and needs none.
func (s *socket) tryWrite(b *batch, most int) (n int, err error) {
	if b.try == nil {
		b.try = b.tryWrite
	}
	b.most = most
	if err := s.raw.Control(b.try); err != nil {
		return 0, err
	}
	return b.written, b.fault
}

// waitWrite waits until the socket takes some of what is unsent of b, or the write
// deadline has passed.
func (s *socket) waitWrite(b *batch) (n int, err error) {
	b.most = min(len(b.unsent), writeLimit)
	b.written, b.fault = 0, nil
	err = s.raw.Write(func(fd uintptr) bool {
		b.tryWrite(fd)
		return b.written > 0 || b.fault != nil
	})
	return b.written, cmp.Or(err, b.fault)
}

// tryWrite is called with a descriptor that stays open meanwhile. The wire's mu
// keeps other writes away.
func (b *batch) tryWrite(fd uintptr) {
	n, err := again(sendNow, fd, b.unsent[:b.most])
	b.written, b.fault = max(n, 0), nil
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
