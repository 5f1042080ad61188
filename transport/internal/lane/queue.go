package lane

import (
	"sync"

	"github.com/rollcall-go/rollcall/internal/queue"
)

// The events that a lane is told.
const (
	Lost        = "lost"        // messages may have been dropped
	Down        = "down"        // the connection is gone
	Up          = "up"          // it is there again; "lost" follows
	Unreachable = "unreachable" // a request's destination has no subscriber
)

// DefaultLimit is the limit of a queue that nobody chose another for, in
// bytes, and Overhead what an item is charged above its own bytes, so that
// empty ones are bounded too.
const (
	DefaultLimit = 64 << 20
	Overhead     = 96
)

// A Queue holds what one lane has yet to be told, and tells it. Make it with
// [Start]. Its methods may be called concurrently.
type Queue struct {
	// static after Start
	limit   int // bytes
	receive func(data []byte)
	event   func(event, dest string)
	done    chan struct{} // closed when the goroutine ends

	mu sync.Mutex
	// guarded by mu
	wake    sync.Cond // something was appended, or closed
	items   queue.Queue[item]
	bytes   int // charged for items
	closed  bool
	lost    bool   // a mark for "lost" waits
	changed bool   // a mark for the link waits
	up      bool   // the link as it is
	toldUp  bool   // the link as the lane knows it
	flapped bool   // the link went down since the lane was last told of it
	dropped uint64 // items, ever
	told    uint64 // "lost" events given, ever
}

// An item is a message, an "unreachable" event, or a mark.
type item struct {
	kind kind
	data []byte // of a message
	dest string // of an unreachable event
}

type kind uint8

const (
	kindMessage kind = iota
	kindUnreachable
	kindLost
	kindLink
)

// cost is what the item is charged against the limit. Marks are free: there is
// at most one of each.
func (it item) cost() int {
	switch it.kind {
	case kindMessage, kindUnreachable:
		return Overhead + len(it.data) + len(it.dest)
	default:
		return 0
	}
}

// Start makes the queue of a lane that takes the link to be up, and starts its
// goroutine, which calls receive and event, one call at a time, until Close.
// limit is in bytes. Where the link is not up, "down" is the first it is told.
func Start(limit int, up bool, receive func(data []byte), event func(event, dest string)) *Queue {
	q := &Queue{
		limit:   limit,
		receive: receive,
		event:   event,
		done:    make(chan struct{}),
		up:      true,
		toldUp:  true,
	}
	q.wake.L = &q.mu
	if !up {
		q.Link(false)
	}
	go func() {
		defer close(q.done)
		q.run()
	}()
	return q
}

// Message appends data, which is the queue's and then the callee's, or drops
// it, sees to a "lost", and returns false.
func (q *Queue) Message(data []byte) bool {
	return q.offer(item{kind: kindMessage, data: data})
}

// Unreachable does the same for the event.
func (q *Queue) Unreachable(dest string) bool {
	return q.offer(item{kind: kindUnreachable, dest: dest})
}

func (q *Queue) offer(it item) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.bytes+it.cost() > q.limit {
		q.dropped++
		q.markLost()
		return false
	}
	q.append(it)
	return true
}

// Missed says that something was dropped before it came here.
func (q *Queue) Missed() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.markLost()
}

// Link says that the connection was lost, or is there again.
func (q *Queue) Link(up bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.up = up
	q.flapped = q.flapped || !up
	if !q.changed {
		q.changed = true
		q.append(item{kind: kindLink})
	}
}

// Close drops what waits and ends the goroutine, without waiting for it. No
// call of a callback starts after the one that runs. It may be called more
// than once.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.items.Clear()
	q.bytes = 0
	q.wake.Signal()
}

// Wait returns when the goroutine has ended, which Close makes it do. It must
// not be called from a callback, which it would wait for.
func (q *Queue) Wait() { <-q.done }

// Counts returns what waits, in bytes, how many items were dropped, and how
// many "lost" were given.
func (q *Queue) Counts() (waiting int, dropped, told uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes, q.dropped, q.told
}

// markLost appends the mark unless it waits already: when its turn comes it
// stands for all that was dropped until then. The caller holds mu.
func (q *Queue) markLost() {
	if !q.lost {
		q.lost = true
		q.append(item{kind: kindLost})
	}
}

// append adds it at the end. The caller holds mu.
func (q *Queue) append(it item) {
	if q.closed {
		return
	}
	q.items.Push(it)
	q.bytes += it.cost()
	q.wake.Signal()
}

// run gives the lane what comes, until Close.
func (q *Queue) run() {
	for {
		it, events, ok := q.next()
		if !ok {
			return
		}
		switch it.kind {
		case kindMessage:
			q.receive(it.data)
		case kindUnreachable:
			q.event(Unreachable, it.dest)
		case kindLost, kindLink:
			for _, e := range events {
				if q.isClosed() {
					return
				}
				q.event(e, "")
			}
		}
	}
}

// next waits for the first item and takes it. For a mark it also returns the
// events that stand for it, at this moment; ok is false after Close.
func (q *Queue) next() (it item, events []string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.items.Len() == 0 && !q.closed {
		q.wake.Wait()
	}
	if q.closed {
		return item{}, nil, false
	}
	it, _ = q.items.Pop()
	q.bytes -= it.cost()
	switch it.kind {
	case kindLost:
		q.lost = false
		q.told++
		events = []string{Lost}
	case kindLink:
		events = q.linkEvents()
		if len(events) > 1 {
			q.told++
		}
		q.changed, q.flapped, q.toldUp = false, false, q.up
	}
	return it, events, true
}

// linkEvents is how the lane learns what became of the link since it was last
// told. The caller holds mu.
func (q *Queue) linkEvents() []string {
	switch {
	case q.toldUp && !q.up:
		return []string{Down}
	case !q.toldUp && q.up:
		return []string{Up, Lost}
	case q.toldUp && q.flapped:
		return []string{Down, Up, Lost}
	default: // it is down, as the lane was told, and was up in between
		return nil
	}
}

func (q *Queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}
