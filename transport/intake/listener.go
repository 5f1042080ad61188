package intake

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/internal/queue"
)

// Listener returns a listener that lets an http.Server have so many of l's
// connections at a time whose first request it has not answered yet,
// Config.MaxHandshakes; the others wait here, where one costs some hundred bytes
// and no goroutine. A client that lets the server wait for its request costs the
// others 10 ms of one turn. The server's ConnState has to be, or to call, that of
// the Intake.
//
// Closing it closes l, and the connections that wait, and returns when no goroutine
// of it runs.
func (in *Intake) Listener(l net.Listener) net.Listener {
	paced := &listener{
		Listener: l, in: in, closing: make(chan struct{}),
		arrived: make(chan struct{}, 1), taken: make(chan struct{}, 1),
	}
	paced.pumping.Go(paced.pump)
	return paced
}

// A listener is one that Listener returns. What waits in the kernel's queue it
// takes at once: that queue is short, and a client that does not fit into it tries
// again only after a second.
type listener struct {
	// Static.
	net.Listener
	in      *Intake
	closing chan struct{}
	arrived chan struct{} // of capacity 1: something may be waiting
	taken   chan struct{} // of capacity 1: there may be room

	// Of their own.
	pumping sync.WaitGroup
	once    sync.Once // closes

	mu sync.Mutex
	// Guarded by mu.
	waiting queue.Queue[accepted]
}

// accepted is what l's Accept returned.
type accepted struct {
	conn net.Conn
	err  error
}

// pump takes what l accepts, until it is closed. It is a goroutine.
func (p *listener) pump() {
	for {
		c, err := p.Listener.Accept()
		if err == nil && !p.in.open.enter(c) {
			continue
		}
		if !p.put(accepted{c, err}) {
			return
		}
		if err != nil && (errors.Is(err, net.ErrClosed) || !p.pause()) {
			return
		}
	}
}

// retryAccept is how long to wait after l could accept nothing, as when there are
// too many open files.
const retryAccept = 20 * time.Millisecond

func (p *listener) pause() bool {
	timer := time.NewTimer(retryAccept)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-p.closing:
		return false
	}
}

// put waits for room. It is false, and a closed, when p is closed.
func (p *listener) put(a accepted) bool {
	for !p.add(a) {
		select {
		case <-p.taken:
		case <-p.closing:
			p.drop(a)
			return false
		}
	}
	signal(p.arrived)
	return true
}

func (p *listener) add(a accepted) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting.Len() >= p.in.config.MaxWaiting {
		return false
	}
	p.waiting.Push(a)
	p.in.queued.Add(1)
	return true
}

// take returns what has waited longest.
func (p *listener) take() (a accepted, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if a, ok = p.waiting.Pop(); ok {
		p.in.queued.Add(-1)
		signal(p.taken)
	}
	return a, ok
}

func signal(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Accept implements net.Listener.
func (p *listener) Accept() (net.Conn, error) {
	for {
		a, ok := p.take()
		if ok {
			signal(p.arrived) // for another caller
			return p.begin(a)
		}
		select {
		case <-p.arrived:
		case <-p.closing:
			return nil, net.ErrClosed
		}
	}
}

// begin waits for the turn of a connection.
func (p *listener) begin(a accepted) (net.Conn, error) {
	if a.err != nil {
		return nil, a.err
	}
	turn, err := p.in.accepts.wait(context.Background(), p.closing)
	if err != nil {
		p.drop(a)
		return nil, net.ErrClosed
	}
	p.in.open.begins(a.conn, turn)
	return a.conn, nil
}

func (p *listener) drop(a accepted) {
	if a.conn != nil {
		a.conn.Close()
		p.in.open.leave(a.conn)
	}
}

// Close implements net.Listener.
func (p *listener) Close() error {
	err := net.ErrClosed
	p.once.Do(func() {
		close(p.closing)
		err = p.Listener.Close()
		p.pumping.Wait()
		for a, ok := p.take(); ok; a, ok = p.take() {
			p.drop(a)
		}
	})
	if errors.Is(err, net.ErrClosed) {
		return nil // it was closed twice, which http.Server does
	}
	return err
}
