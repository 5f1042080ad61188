package websocket

import (
	"runtime"
	"sync"
)

// readers handle what connections receive. A connection's own goroutine only
// waits for input, on the 2 KiB of stack that a goroutine begins with; what
// handles the input (JSON, the application) needs 8 or more, which would stay
// with every idle connection. So it runs on one of these, whose stacks are as
// large as needed already. There are as many as handle input at this moment, and
// a few that wait.
type readers struct {
	// Static after newReaders.
	keep  int
	group *sync.WaitGroup // of the transport

	mu   sync.Mutex
	idle []*reader // guarded by mu; the last is the next to be used
}

type reader struct {
	work chan *conn
	more chan bool // what readOn returned
}

func newReaders(group *sync.WaitGroup) *readers {
	return &readers{keep: 4 * runtime.GOMAXPROCS(0), group: group}
}

// read handles what c has received, and tells whether c goes on. It is called by
// the connection's goroutine.
func (p *readers) read(c *conn) (more bool) {
	r := p.get()
	r.work <- c
	more = <-r.more
	p.put(r)
	return more
}

func (p *readers) get() *reader {
	p.mu.Lock()
	defer p.mu.Unlock()
	if last := len(p.idle) - 1; last >= 0 {
		r := p.idle[last]
		p.idle = p.idle[:last]
		return r
	}
	r := &reader{work: make(chan *conn), more: make(chan bool)}
	p.group.Add(1)
	go p.run(r)
	return r
}

func (p *readers) put(r *reader) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) < p.keep {
		p.idle = append(p.idle, r)
	} else {
		close(r.work)
	}
}

func (p *readers) run(r *reader) {
	defer p.group.Done()
	for c := range r.work {
		r.more <- c.readOn()
	}
}

// end ends those that wait.
func (p *readers) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, r := range p.idle {
		close(r.work)
	}
	p.idle = nil
}
