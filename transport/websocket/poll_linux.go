package websocket

import (
	"os"
	"syscall"
	"time"
)

// A poll waits for input of any number of sockets at once: an epoll instance
// beside that of the runtime. What waits for it waits as it would for a socket,
// so it holds no thread.
//
// Each socket is told of once, by the number that it was added with, and again
// only after it was armed anew. One that is closed is forgotten by the kernel.
type poll struct {
	// Static.
	file *os.File
	raw  syscall.RawConn

	// Owned by the goroutine that calls wait and look. The kernel tells of so many
	// sockets at one time, and of more at the next.
	events [128]syscall.EpollEvent
	n      int
	fault  error
}

func newPoll() (*poll, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // or the runtime would not wait for it
		syscall.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	p := &poll{file: os.NewFile(uintptr(fd), "epoll")}
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.setDeadline(time.Time{}) // fails where the runtime cannot wait for it
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// arm has wait tell of number once there is input on the socket, or its end.
// first reports that the socket has not been armed before.
func (p *poll) arm(s *socket, number int32, first bool) error {
	op := syscall.EPOLL_CTL_MOD
	if first {
		op = syscall.EPOLL_CTL_ADD
	}
	return within(p.raw, func(epoll int) error {
		return within(s.raw, func(fd int) error {
			event := syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: number}
			return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(epoll, op, fd, &event))
		})
	})
}

// within calls f with a descriptor that is not closed meanwhile.
func within(raw syscall.RawConn, f func(fd int) error) (err error) {
	if gone := raw.Control(func(fd uintptr) { err = f(int(fd)) }); gone != nil {
		return gone
	}
	return err
}

// wait calls tell with the numbers of sockets that are ready, until none is. It
// waits for the first, at the longest until the deadline, and then returns an
// error that isTimeout.
func (p *poll) wait(tell func(number int32)) error {
	if err := p.raw.Read(p.collect); err != nil {
		return err
	}
	return p.tell(tell)
}

// look is wait without waiting.
func (p *poll) look(tell func(number int32)) error {
	if err := p.raw.Control(func(fd uintptr) { p.collect(fd) }); err != nil {
		return err
	}
	return p.tell(tell)
}

// collect reports false when no socket is ready.
func (p *poll) collect(fd uintptr) bool {
	for {
		n, err := syscall.EpollWait(int(fd), p.events[:], 0)
		if err == syscall.EINTR {
			continue
		}
		p.n, p.fault = max(n, 0), os.NewSyscallError("epoll_wait", err)
		return n != 0
	}
}

func (p *poll) tell(tell func(number int32)) error {
	for _, event := range p.events[:p.n] {
		tell(event.Fd)
	}
	return p.fault
}

// setDeadline changes until when wait waits, also one that does; zero is for
// ever.
func (p *poll) setDeadline(at time.Time) error { return p.file.SetReadDeadline(at) }

// close ends wait with an error.
func (p *poll) close() { p.file.Close() }
