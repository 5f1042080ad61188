package admit

import (
	"time"

	"github.com/rollcall-go/rollcall/internal/cooldown"
	"github.com/rollcall-go/rollcall/internal/list"
)

// slotTime is how long a join holds a slot at most. Joins compute for 0.1 to 0.3 ms.
const slotTime = time.Millisecond

// A Join is a join's place in a [Controller]. The zero Join has not entered.
type Join struct {
	state State
	entry *entry // nil unless it waits or runs
}

// State returns the state. It may be called by what Release began.
func (j *Join) State() State { return j.state }

// A State is what has become of a join; zero: it has not entered.
type State uint8

// The states. All but Waiting are those of joins that were released.
const (
	Waiting   State = iota + 1 // for its turn
	Running                    // until End
	Ended                      // has run
	Crowded                    // refused: too many waited
	Late                       // refused: has waited for too long
	Withdrawn                  // by Withdraw, while it waited
)

// machine decides which joins run. It is pure: each input returns the entries that it
// released, in order. After each input next may have changed.
type machine struct {
	limits   Limits           // static
	queues   map[any]*queue   // none is idle
	arrivals list.List[entry] // that wait, of all queues, in order of arrival
	slots    list.List[entry] // that hold a slot, of all queues, in order of beginning
	running  int              // of all queues
	waited   uint64
	refused  uint64
}

// cooling is a slot that cools down: the input cooled is due after pause. Zero: there is
// none.
type cooling struct {
	queue *queue
	pause time.Duration
}

// enter lets e run, wait or be refused. Slots that are over are free for it.
func (m *machine) enter(e *entry, key any, topic string, now time.Time) []*entry {
	released := m.endSlots(now, nil)
	q := m.queues[key]
	if q == nil {
		q = &queue{key: key}
		m.queues[key] = q
	}
	e.queue = q
	// Joins that wait for a slot only take no place of those that wait for others to
	// end.
	places := m.limits.Waiting + m.limits.Running - q.running
	switch {
	case m.admits(q):
		m.start(e, now)
	case q.wait(e, topic, places):
		e.set(Waiting, now)
		m.arrivals.Push(e, &e.arrival)
		m.waited++
		return released
	default:
		e.leave(Crowded)
		m.refused++
	}
	return append(released, e)
}

// end ends a join that runs. Its slot is free, or cools down if others wait: also a slot
// that is over, where the tick that would have ended it is late.
func (m *machine) end(j *Join, now time.Time) (released []*entry, slot cooling) {
	e := j.entry
	q := e.queue
	e.leave(Ended)
	q.running--
	m.running--
	pause := cooldown.After(now.Sub(e.since))
	if e.slot.Linked() && q.waiting > 0 && pause > 0 {
		e.slot.Remove()
		slot = cooling{q, pause}
	} else {
		m.endSlot(e)
	}
	return m.settle(q, now), slot
}

// cooled ends the cooldown of a slot. No other input does: a pause that a timer ends is
// what keeps a storm from running as one chain of goroutines.
func (m *machine) cooled(q *queue, now time.Time) []*entry {
	q.slots--
	return m.settle(q, now)
}

// withdraw gives up a join, if it waits.
func (m *machine) withdraw(j *Join) []*entry {
	if j.state != Waiting {
		return nil
	}
	e := j.entry
	m.dismiss(e, Withdrawn)
	return []*entry{e}
}

// tick refuses joins that have waited for too long, and ends slots that are over.
func (m *machine) tick(now time.Time) (released []*entry) {
	for e := m.arrivals.Front(); e != nil && now.Sub(e.since) >= m.limits.Wait; e = m.arrivals.Front() {
		m.dismiss(e, Late)
		m.refused++
		released = append(released, e)
	}
	return m.endSlots(now, released)
}

// next returns when tick is due: the zero time while nothing waits, since slots that are
// over are left to the next join that enters.
func (m *machine) next() (due time.Time) {
	first := m.arrivals.Front()
	if first == nil {
		return due
	}
	due = first.since.Add(m.limits.Wait)
	if oldest := m.slots.Front(); oldest != nil {
		if over := oldest.since.Add(slotTime); over.Before(due) {
			return over
		}
	}
	return due
}

func (m *machine) counts() Counts {
	return Counts{Running: m.running, Waiting: m.arrivals.Len(), Waited: m.waited, Refused: m.refused}
}

// admits reports whether one more join may run.
func (m *machine) admits(q *queue) bool {
	return q.running < m.limits.Running && q.slots < m.limits.Slots
}

func (m *machine) start(e *entry, now time.Time) {
	e.set(Running, now)
	m.slots.Push(e, &e.slot)
	e.queue.slots++
	e.queue.running++
	m.running++
}

// dismiss ends the waiting of a join whose turn will not come.
func (m *machine) dismiss(e *entry, why State) {
	e.queue.remove(e)
	e.arrival.Remove()
	e.leave(why)
}

// endSlot ends that e holds a slot, if it does.
func (m *machine) endSlot(e *entry) {
	if e.slot.Linked() {
		e.slot.Remove()
		e.queue.slots--
	}
}

// endSlots ends slots that are over, and starts joins that wait for them.
func (m *machine) endSlots(now time.Time, released []*entry) []*entry {
	for e := m.slots.Front(); e != nil && now.Sub(e.since) >= slotTime; e = m.slots.Front() {
		m.endSlot(e)
		released = m.fill(e.queue, now, released)
	}
	return released
}

// settle is called when a join, or the cooldown of a slot, has ended.
func (m *machine) settle(q *queue, now time.Time) []*entry {
	released := m.fill(q, now, nil)
	if q.idle() {
		delete(m.queues, q.key)
	}
	return released
}

// fill starts as many joins that wait as may run, and appends them to released.
func (m *machine) fill(q *queue, now time.Time, released []*entry) []*entry {
	for m.admits(q) {
		e := q.next()
		if e == nil {
			break
		}
		e.arrival.Remove()
		m.start(e, now)
		released = append(released, e)
	}
	return released
}
