package websocket

import (
	"runtime"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/internal/cooldown"
	"github.com/rollcall-go/rollcall/internal/queue"
)

// newcomers limit how many connections are read at once that have sent nothing yet.
// When thousands of clients come in one second, so do their first messages, mostly
// joins, and as many goroutines that could run would delay everything else. The
// others wait in order of arrival, and while they do a place is given to the next
// only after a cooldown (package internal/cooldown). Connections that have sent
// something are read at once.
//
// A connection has its place until what it sent is dealt with, or the rest of it has
// to be waited for: a client cannot hold a place by sending slowly.
type newcomers struct {
	// Static after newNewcomers.
	most  int
	group *sync.WaitGroup // of the transport

	mu sync.Mutex
	// Guarded by mu.
	active int // places that are taken, or cool down
	line   queue.Queue[*conn]
}

func newNewcomers(group *sync.WaitGroup) *newcomers {
	return &newcomers{most: runtime.GOMAXPROCS(0), group: group}
}

// enter has a connection read, now or in its turn. It does not block.
func (n *newcomers) enter(c *conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.active >= n.most {
		n.line.Push(c)
		return
	}
	n.active++
	n.start(c)
}

// start is called with mu held. c holds its slot of the transport, or Close would not
// wait for the group.
func (n *newcomers) start(c *conn) {
	n.group.Add(1)
	go n.run(c)
}

func (n *newcomers) run(c *conn) {
	defer n.group.Done()
	for c != nil {
		began := time.Now()
		c.placed = true
		if !c.resume() {
			return
		}
		c = n.next(time.Since(began))
	}
}

// next is the connection to be read in the place of one that was, for so long.
func (n *newcomers) next(used time.Duration) *conn {
	if n.waiting() {
		time.Sleep(cooldown.After(used))
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	c, ok := n.line.Pop()
	if !ok {
		n.active--
	}
	return c
}

func (n *newcomers) waiting() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.line.Len() > 0
}

// leave gives the place of a connection that has to wait for input to the next.
func (n *newcomers) leave() {
	n.mu.Lock()
	defer n.mu.Unlock()
	if c, ok := n.line.Pop(); ok {
		n.start(c)
	} else {
		n.active--
	}
}
