package websocket

import (
	"runtime"
	"sync"

	"github.com/rollcall-go/rollcall/internal/list"
)

// writers write for all outboxes of a transport whose sockets can be written to
// without waiting. There are as many as there are processors, at most, and none when
// nothing waits. A broadcast to a thousand clients so wakes one goroutine and not a
// thousand; and while it writes, what is broadcast next gathers in the outboxes that
// it has not come to.
//
// Outboxes wait at one of two priorities. At the low one are those that hold
// low-priority frames only, since presence diffs are thousands of writes at once and
// have waited to be merged already; and those with more to write than is written at
// once, such as the state of a large room. At most half of the writers write at the
// low priority. All other outboxes come first, but one turn in lowEvery is a low one,
// so none starves.
type writers struct {
	// Static after newWriters.
	most, mostLow int
	group         *sync.WaitGroup // of the transport
	start         func()          // run as a value: starting it costs no allocation

	mu sync.Mutex
	// Guarded by mu.
	active, activeLow int
	normal, low       list.List[outbox]
	row               int // normal turns since the last low one
}

// For each perWriter outboxes that wait there is one writer more: some 5 ms of
// work. With more of them each comes round sooner, finds less that waits in an
// outbox, and so has more writes to make (figures in the package's doc). A writer
// takes turn outboxes at a time, or lowTurn, which may each have writeLimit to write.
const (
	perWriter = 1024
	turn      = 64
	lowTurn   = 4
	lowEvery  = 5
)

func newWriters(group *sync.WaitGroup) *writers {
	most := runtime.GOMAXPROCS(0)
	w := &writers{most: most, mostLow: max(most/2, 1), group: group}
	w.start = w.run
	return w
}

// add gives an outbox, which does not wait, to the writers. It is called with the
// outbox's mu held, as promote and remove are.
func (w *writers) add(o *outbox, low bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !low:
		w.normal.Push(o, &o.place)
	case o.begun != nil: // finished before others are begun, or all would be half sent
		w.low.PushFront(o, &o.place)
	default:
		w.low.Push(o, &o.place)
	}
	ready := w.normal.Len()
	if w.activeLow < w.mostLow {
		ready += w.low.Len()
	}
	if w.active < w.most && ready > w.active*perWriter {
		w.active++
		w.group.Add(1)
		go w.start()
	}
}

// promote has an outbox that waits at the low priority wait at the normal one. One
// that a writer has taken is left alone.
func (w *writers) promote(o *outbox) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if o.place.In(&w.low) {
		o.place.Remove()
		w.normal.Push(o, &o.place)
	}
}

// remove ends the waiting of an outbox. It reports false if a writer has taken it.
func (w *writers) remove(o *outbox) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	waits := o.place.Linked()
	o.place.Remove()
	return waits
}

func (w *writers) run() {
	defer w.group.Done()
	var mine [turn]*outbox
	for n, low := w.take(&mine, false); n > 0; n, low = w.take(&mine, low) {
		for i, o := range mine[:n] {
			mine[i] = nil
			o.attempt()
		}
	}
}

// take moves outboxes to mine and returns their number, and whether they waited at
// the low priority, as those of the writer's last turn did where wasLow. Without any
// the writer ends.
func (w *writers) take(mine *[turn]*outbox, wasLow bool) (n int, low bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if wasLow {
		w.activeLow--
	}
	from, most := &w.normal, turn
	w.row++
	if w.low.Len() > 0 && w.activeLow < w.mostLow && (w.normal.Len() == 0 || w.row >= lowEvery) {
		from, most, w.row, low = &w.low, lowTurn, 0, true
		w.activeLow++
	}
	for n < most && from.Len() > 0 {
		mine[n] = from.Pop()
		n++
	}
	if n == 0 {
		w.active--
	}
	return n, low
}
