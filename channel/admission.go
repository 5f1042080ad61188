package channel

import (
	"container/list"
	"sync"
	"time"
)

// admission lets so many joins of each route run at once, so that a storm of them
// leaves the replica, and what Join asks, to those who are in. The others wait for
// their turn. Who would wait too long, or finds too many waiting, is refused, and
// phoenix.js asks again after its own pauses.
//
// A join counts from its turn until what Join sent to itself is handled, which is
// where channels track and ask for the state, or until its client's first message
// is: what clients do later is not what a storm is made of. Without presence it
// counts until the client is told. Routes are apart, because what makes joins slow
// (a database, a lock) is a route's own.
//
// While fewer run than may, a join costs one lock, taken twice.
type admission struct {
	endpoint *Endpoint // static

	mu       sync.Mutex // taken after Conn.mu and before a mailbox's
	queues   map[*Route]*joinQueue
	spare    *joinQueue          // an idle one
	waiters  map[*member]*waiter // of all routes
	arrivals list.List           // of *waiter, the first to be late first
	armed    bool                // expire will be called
	stop     func() bool         // keeps it from that

	running, waiting int // of all routes
	waited, refused  uint64
}

// turn is where a join is on its way to run.
type turn uint8

const (
	turnNone    turn = iota
	turnWaits        // in its route's queue
	turnRuns         // counts as running
	turnOver         // has run
	turnCrowded      // refused: too many wait
	turnLate         // refused: has waited too long
	turnGivenUp      // nobody wants it any more
)

// enter has m's join run, now or in its turn, or be refused: its mailbox is
// released, and finds m.turn. It is called once for each join.
func (a *admission) enter(m *member) {
	a.mu.Lock()
	defer a.mu.Unlock()
	q := a.queue(m.route)
	if q.running < a.endpoint.config.MaxJoinsRunning {
		a.start(q, m)
		return
	}
	w := q.wait(m, a.endpoint.config.MaxJoinsWaiting)
	if w == nil {
		a.refused++
		a.release(m, turnCrowded)
		return
	}
	m.turn = turnWaits
	if a.waiters == nil {
		a.waiters = map[*member]*waiter{}
	}
	a.waiters[m] = w
	a.waiting++
	a.waited++
	wait := a.endpoint.config.JoinWait
	w.late = time.Now().Add(wait)
	w.arrival = a.arrivals.PushBack(w)
	a.arm(wait)
}

// leave ends that m's join counts, if it does, and lets the next one run. Its
// mailbox calls it.
func (a *admission) leave(m *member) {
	if m.turn != turnRuns {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	m.turn = turnOver
	q := a.queue(m.route)
	q.running--
	a.running--
	if w := q.next(); w != nil {
		a.forget(w)
		a.start(q, w.member)
	}
	a.tidy(m.route, q)
}

// withdraw gives up a join that waits.
func (a *admission) withdraw(m *member) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if w := a.waiters[m]; w != nil {
		a.dismiss(w, turnGivenUp)
	}
}

// expire refuses those who have waited too long.
func (a *admission) expire() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.armed = false
	now := time.Now()
	for first := a.arrivals.Front(); first != nil; first = a.arrivals.Front() {
		w := first.Value.(*waiter)
		if left := w.late.Sub(now); left > 0 {
			a.arm(left)
			return
		}
		a.refused++
		a.dismiss(w, turnLate)
	}
}

func (a *admission) stats(s *Stats) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.JoinsRunning, s.JoinsWaiting = int64(a.running), int64(a.waiting)
	s.JoinsWaited, s.JoinsRefused = a.waited, a.refused
}

// What follows is called with mu held.

func (a *admission) start(q *joinQueue, m *member) {
	q.running++
	a.running++
	a.release(m, turnRuns)
}

func (a *admission) release(m *member, t turn) {
	m.turn = t
	m.box.release()
}

// dismiss ends the waiting of one whose turn will not come.
func (a *admission) dismiss(w *waiter, why turn) {
	w.queue.remove(w)
	a.forget(w)
	a.release(w.member, why)
}

// forget is for who has left the queue. The timer goes with the last one, so that
// Close does not wait for it.
func (a *admission) forget(w *waiter) {
	a.waiting--
	delete(a.waiters, w.member)
	a.arrivals.Remove(w.arrival)
	if a.arrivals.Len() == 0 && a.armed && a.stop() {
		a.armed = false // else expire is about to be called, and finds nobody
	}
}

func (a *admission) arm(d time.Duration) {
	if !a.armed {
		a.armed, a.stop = true, a.endpoint.after(d, a.expire)
	}
}

// queue is the queue of a route. There are only those that are not idle, for
// handlers come and go.
func (a *admission) queue(r *Route) *joinQueue {
	q := a.queues[r]
	if q == nil {
		if q, a.spare = a.spare, nil; q == nil {
			q = &joinQueue{}
		}
		if a.queues == nil {
			a.queues = map[*Route]*joinQueue{}
		}
		a.queues[r] = q
	}
	return q
}

func (a *admission) tidy(r *Route, q *joinQueue) {
	if q.idle() {
		delete(a.queues, r)
		a.spare = q
	}
}
