package delivery

import (
	"sync"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/internal/queue"
)

// DefaultLimit is the default limit of a queue, in bytes. Overhead is what each item
// is charged beside its own bytes, so that empty ones are bounded too.
const (
	DefaultLimit = 64 << 20
	Overhead     = 96
)

// A Queue holds what one Conn has yet to deliver, and delivers it. Make it with
// [Start]. Its methods may be called concurrently.
type Queue struct {
	// static after Start
	limit   int // bytes
	handler bus.Handler
	done    chan struct{} // closed when the goroutine ends

	mu sync.Mutex
	// guarded by mu
	wake    sync.Cond // something was appended, or closed
	items   queue.Queue[item]
	bytes   int // charged for items
	closed  bool
	lost    bool   // a mark for Lost waits
	changed bool   // a mark for the link waits
	up      bool   // the link as it is
	toldUp  bool   // the link as the handler knows it
	flapped bool   // the link went down since the handler was last told of it
	dropped uint64 // items, ever
	told    uint64 // Lost events delivered, ever
}

// An item is a message, an Unreachable event, or a mark.
type item struct {
	kind kind
	data []byte // of a message
	dest string // of an Unreachable event
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

// Start makes a queue of at most limit bytes and starts its goroutine, which calls h,
// one call at a time, until Close. up reports whether the link is up; if not, h is told
// Down first.
func Start(limit int, up bool, h bus.Handler) *Queue {
	q := &Queue{
		limit:   limit,
		handler: h,
		done:    make(chan struct{}),
		up:      true,
		toldUp:  true,
	}
	q.wake.L = &q.mu
	if h.Event == nil {
		q.handler.Event = func(bus.Event, string) {}
	}
	if !up {
		q.Link(false)
	}
	go func() {
		defer close(q.done)
		q.run()
	}()
	return q
}

// Message appends data, which belongs to the queue and then to the handler, and
// reports whether it fits. If not, it is dropped and Lost is delivered instead.
func (q *Queue) Message(data []byte) bool {
	return q.offer(item{kind: kindMessage, data: data})
}

// Unreachable does the same for an Unreachable event.
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

// Missed reports to the queue that something was dropped before it came here.
func (q *Queue) Missed() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.markLost()
}

// Link reports to the queue that the link went down or came up.
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

// Close drops what waits and ends the goroutine, without waiting for it. No call
// starts after the one that runs. It may be called more than once.
func (q *Queue) Close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.items.Clear()
	q.bytes = 0
	q.wake.Signal()
}

// Wait returns when the goroutine has ended, which Close makes it do. It must not be
// called from a callback, which it would wait for.
func (q *Queue) Wait() { <-q.done }

// Counts returns the bytes that wait, and how many items were dropped and how many
// Lost events delivered since Start.
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

// run delivers what comes, until Close.
func (q *Queue) run() {
	for {
		it, events, ok := q.next()
		if !ok {
			return
		}
		switch it.kind {
		case kindMessage:
			q.handler.Message(it.data)
		case kindUnreachable:
			q.handler.Event(bus.Unreachable, it.dest)
		case kindLost, kindLink:
			for _, e := range events {
				if q.isClosed() {
					return
				}
				q.handler.Event(e, "")
			}
		}
	}
}

// next waits for the first item and takes it. For a mark it also returns the
// events that stand for it, at this moment; ok is false after Close.
func (q *Queue) next() (it item, events []bus.Event, ok bool) {
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
		events = []bus.Event{bus.Lost}
	case kindLink:
		events = q.linkEvents()
		if len(events) > 1 {
			q.told++
		}
		q.changed, q.flapped, q.toldUp = false, false, q.up
	}
	return it, events, true
}

// linkEvents returns how the handler learns what became of the link since it was last
// told. The caller holds mu.
func (q *Queue) linkEvents() []bus.Event {
	switch {
	case q.toldUp && !q.up:
		return []bus.Event{bus.Down}
	case !q.toldUp && q.up:
		return []bus.Event{bus.Up, bus.Lost}
	case q.toldUp && q.flapped:
		return []bus.Event{bus.Down, bus.Up, bus.Lost}
	default: // it is down, as the handler was told, and was up in between
		return nil
	}
}

func (q *Queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}
