package websocket

import (
	"runtime"
	"sync"
)

// writers write for all outboxes of a transport whose sockets can be written to
// without waiting. There are as many as there are processors, at most, and none
// when nothing waits. A broadcast to a thousand clients so wakes one goroutine
// and not a thousand; and while it writes, what is broadcast next gathers in
// the outboxes that it has not come to.
type writers struct {
	// Static after newWriters.
	most  int
	group *sync.WaitGroup // of the transport
	start func()          // run as a value: starting it costs no allocation

	mu sync.Mutex
	// Guarded by mu.
	active int
	ready  []*outbox // in the order of coming; from next on
	next   int
}

// For each perWriter outboxes that wait there is one writer more: some 5 ms of
// work. With more of them each comes round sooner, finds less that waits in an
// outbox, and so has more writes to make (figures in the package's doc). A writer
// takes turn outboxes at a time.
const (
	perWriter = 1024
	turn      = 64
)

// keepReady is the most outboxes that an empty queue keeps room for.
const keepReady = 1 << 14

// tryLimit is the most bytes that are written without waiting: more than a
// socket's buffer may not fit, and would keep other outboxes waiting.
const tryLimit = 32 << 10

func newWriters(group *sync.WaitGroup) *writers {
	w := &writers{most: runtime.GOMAXPROCS(0), group: group}
	w.start = w.run
	return w
}

// add gives an outbox to the writers. It is called with the outbox's mu held.
func (w *writers) add(o *outbox) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue(o)
	if w.active < w.most && len(w.ready)-w.next > w.active*perWriter {
		w.active++
		w.group.Add(1)
		go w.start()
	}
}

func (w *writers) run() {
	defer w.group.Done()
	var mine [turn]*outbox
	for {
		n := w.take(mine[:])
		if n == 0 {
			return
		}
		for i, o := range mine[:n] {
			mine[i] = nil
			if o.attempt() {
				w.again(o)
			}
		}
	}
}

// again gives an outbox back that has more to write, behind the others.
func (w *writers) again(o *outbox) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue(o)
}

// queue is called with mu held.
func (w *writers) queue(o *outbox) {
	if len(w.ready) == cap(w.ready) && w.next > len(w.ready)/2 {
		n := copy(w.ready, w.ready[w.next:])
		clear(w.ready[n:])
		w.ready, w.next = w.ready[:n], 0
	}
	w.ready = append(w.ready, o)
}

// take moves outboxes to mine; without any the writer ends.
func (w *writers) take(mine []*outbox) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := copy(mine, w.ready[w.next:])
	clear(w.ready[w.next : w.next+n])
	w.next += n
	if w.next == len(w.ready) {
		w.ready, w.next = w.ready[:0], 0
		if cap(w.ready) > keepReady {
			w.ready = nil
		}
	}
	if n == 0 {
		w.active--
	}
	return n
}
