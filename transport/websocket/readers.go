package websocket

import (
	"runtime"
	"sync"
)

// readers handle what connections receive. That takes a stack of 8 KiB or more
// (JSON, the application), which would stay with a connection that had a
// goroutine of its own. There are as many as handle input at this moment, and a
// few that wait, whose stacks are as large as needed already.
type readers struct {
	// Static after newReaders.
	keep  int
	group *sync.WaitGroup // of the transport

	mu sync.Mutex
	// Guarded by mu.
	idle  []*reader // the last is the next to be used
	ended bool      // none is to wait, until there is work again
}

// A reader is a goroutine. work has room for one: it is given to one that waits.
type reader struct{ work chan *conn }

func newReaders(group *sync.WaitGroup) *readers {
	return &readers{keep: 4 * runtime.GOMAXPROCS(0), group: group}
}

// resume has one of them run c's resume. It does not block.
func (p *readers) resume(c *conn) {
	r := p.take()
	if r == nil {
		r = &reader{work: make(chan *conn, 1)}
		p.group.Go(func() { p.run(r) }) // c holds its slot, or Close would not wait for it
	}
	r.work <- c
}

// take is one that waits, or nil. Nothing is allocated while the lock is held,
// because all connections with input would wait for it, too.
func (p *readers) take() *reader {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = false
	last := len(p.idle) - 1
	if last < 0 {
		return nil
	}
	r := p.idle[last]
	p.idle = p.idle[:last]
	return r
}

func (p *readers) run(r *reader) {
	for c := range r.work {
		c.resume()
		if !p.rest(r) {
			return
		}
	}
}

// rest has r wait for work, unless enough do.
func (p *readers) rest(r *reader) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended || len(p.idle) >= p.keep {
		return false
	}
	p.idle = append(p.idle, r)
	return true
}

// end ends those that wait, and those that are at work once they would.
func (p *readers) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.idle {
		close(r.work)
	}
	p.idle, p.ended = nil, true
}
