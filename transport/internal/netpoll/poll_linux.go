package netpoll

import (
	"os"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// A poll waits for input of any number of sockets at once: an epoll instance
// beside that of the runtime. What waits for it waits as it would for a socket,
// so it holds no thread.
//
// Each socket is reported once, by the number that it was armed with, and again only
// after it was armed anew. The kernel forgets a socket that is closed.
type poll struct {
	// Static. The last three are methods as values, so that calls cost no allocation.
	file             *os.File
	raw              syscall.RawConn
	collect          func(epoll uintptr) (done bool)
	control, connect func(fd uintptr)

	// Owned by the goroutine that calls wait. The kernel reports so many sockets at a
	// time, and the others at the next call.
	events [128]syscall.EpollEvent
	n      int
	fault  error

	// Owned by arm.
	socket syscall.RawConn
	epoll  int
	op     int
	event  syscall.EpollEvent
	err    error
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
	p.collect, p.control, p.connect = p.doCollect, p.doControl, p.doConnect
	if p.raw, err = p.file.SyscallConn(); err == nil {
		err = p.file.SetReadDeadline(time.Time{}) // fails where the runtime cannot wait for it
	}
	if err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

// arm makes wait report number once there is input on the socket, or its end. first is
// set if the socket has not been armed before. One goroutine arms at a time.
func (p *poll) arm(socket syscall.RawConn, number int32, first bool) error {
	p.op = syscall.EPOLL_CTL_MOD
	if first {
		p.op = syscall.EPOLL_CTL_ADD
	}
	p.event = syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: number}
	p.socket, p.err = socket, nil
	defer func() { p.socket = nil }()
	if err := p.raw.Control(p.connect); err != nil {
		return err
	}
	return p.err
}

// doConnect and doControl have the two descriptors, which are not closed meanwhile.

func (p *poll) doConnect(epoll uintptr) {
	p.epoll = int(epoll)
	if err := p.socket.Control(p.control); err != nil {
		p.err = err
	}
}

func (p *poll) doControl(fd uintptr) {
	p.err = os.NewSyscallError("epoll_ctl", syscall.EpollCtl(p.epoll, p.op, int(fd), &p.event))
}

// wait waits until sockets are ready, and calls report with their numbers. It returns an
// error once the poll is closed.
func (p *poll) wait(report func(number int32)) error {
	if err := p.raw.Read(p.collect); err != nil {
		return err
	}
	for _, event := range p.events[:p.n] {
		report(event.Fd)
	}
	return p.fault
}

// doCollect reports false when no socket is ready.
func (p *poll) doCollect(fd uintptr) bool {
	for {
		n, err := syscall.EpollWait(int(fd), p.events[:], 0)
		if err == syscall.EINTR {
			continue
		}
		p.n, p.fault = max(n, 0), os.NewSyscallError("epoll_wait", err)
		return n != 0
	}
}

// close ends wait with an error.
func (p *poll) close() { p.file.Close() }

// canLook reports whether look can be called.
const canLook = true

// What look looks for: POLLIN and POLLOUT.
const (
	lookRead  = 0x1
	lookWrite = 0x4
)

// look reports whether a socket can be read, or written, or has ended, without waiting.
// It can be written when a third of its buffer is free.
func look(socket syscall.RawConn, what int16) (ready bool) {
	l := lookers.Get().(*looker)
	defer lookers.Put(l)
	l.events, l.revents = what, 0
	return socket.Control(l.run) == nil && l.revents != 0
}

// A looker makes the system call. They are pooled, so that one costs no allocation.
type looker struct {
	// pollfd of poll(2).
	fd              int32
	events, revents int16

	run func(fd uintptr) // do as a value
}

var lookers = sync.Pool{New: func() any {
	l := new(looker)
	l.run = l.do
	return l
}}

func (l *looker) do(fd uintptr) {
	l.fd = int32(fd)
	var now syscall.Timespec
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PPOLL, uintptr(unsafe.Pointer(l)), 1, uintptr(unsafe.Pointer(&now)), 0, 0, 0); errno != 0 {
		l.revents = 0
	}
}
