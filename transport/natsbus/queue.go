package natsbus

import "sync"

// The events that a lane is told.
const (
	eventLost        = "lost"
	eventDown        = "down"
	eventUp          = "up"
	eventUnreachable = "unreachable"
)

// A queue holds what one lane has yet to be told, in order: messages and
// "unreachable" events up to limit bytes, and at most one mark each for "lost"
// and for a change of the link. It can therefore not outgrow its limit by more
// than the two marks, however slow the lane is.
type queue struct {
	limit int // bytes; static

	mu sync.Mutex
	// guarded by mu
	wake    sync.Cond // something was appended, or closed
	items   []item    // items[head:] wait
	head    int
	bytes   int // charged for items[head:]
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
		return itemOverhead + len(it.data) + len(it.dest)
	default:
		return 0
	}
}

func newQueue(limit int) *queue {
	q := &queue{limit: limit, up: true, toldUp: true}
	q.wake.L = &q.mu
	return q
}

// message appends data, which is the queue's from then on, or drops it, sees to
// a "lost", and returns false.
func (q *queue) message(data []byte) bool {
	return q.offer(item{kind: kindMessage, data: data})
}

// unreachable does the same for the event.
func (q *queue) unreachable(dest string) bool {
	return q.offer(item{kind: kindUnreachable, dest: dest})
}

func (q *queue) offer(it item) bool {
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

// missed says that something was dropped before it came here.
func (q *queue) missed() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.markLost()
}

// link says that the connection was lost, or is there again.
func (q *queue) link(up bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.up = up
	q.flapped = q.flapped || !up
	if !q.changed {
		q.changed = true
		q.append(item{kind: kindLink})
	}
}

// close drops what waits and ends run.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.items, q.head, q.bytes = nil, 0, 0
	q.wake.Signal()
}

// markLost appends the mark unless it waits already: when its turn comes it
// stands for all that was dropped until then. The caller holds mu.
func (q *queue) markLost() {
	if !q.lost {
		q.lost = true
		q.append(item{kind: kindLost})
	}
}

// append adds it at the end. The caller holds mu.
func (q *queue) append(it item) {
	if q.closed {
		return
	}
	if q.head > len(q.items)/2 { // amortized: at least as many were taken as are moved
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, it)
	q.bytes += it.cost()
	q.wake.Signal()
}

// run gives the lane what comes, until close.
func (q *queue) run(receive func([]byte), event func(event, dest string)) {
	for {
		it, events, ok := q.next()
		if !ok {
			return
		}
		switch it.kind {
		case kindMessage:
			receive(it.data)
		case kindUnreachable:
			event(eventUnreachable, it.dest)
		case kindLost, kindLink:
			for _, e := range events {
				if q.isClosed() {
					return
				}
				event(e, "")
			}
		}
	}
}

// next waits for the first item and takes it. For a mark it also returns the
// events that stand for it, at this moment; ok is false after close.
func (q *queue) next() (it item, events []string, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.head == len(q.items) && !q.closed {
		q.wake.Wait()
	}
	if q.closed {
		return item{}, nil, false
	}
	it = q.items[q.head]
	q.items[q.head] = item{}
	q.head++
	q.bytes -= it.cost()
	switch it.kind {
	case kindLost:
		q.lost = false
		q.told++
		events = []string{eventLost}
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
func (q *queue) linkEvents() []string {
	switch {
	case q.toldUp && !q.up:
		return []string{eventDown}
	case !q.toldUp && q.up:
		return []string{eventUp, eventLost}
	case q.toldUp && q.flapped:
		return []string{eventDown, eventUp, eventLost}
	default: // it is down, as the lane was told, and was up in between
		return nil
	}
}

func (q *queue) isClosed() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.closed
}

// counts returns what waits, in bytes, what was dropped, and how many "lost"
// were given.
func (q *queue) counts() (waiting int, dropped, told uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.bytes, q.dropped, q.told
}
