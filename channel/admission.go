package channel

import (
	"runtime"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/internal/cooldown"
	"github.com/rollcall-go/rollcall/internal/list"
)

// admission limits how many joins of each route run at once, so that a storm of them
// leaves the replica, and what Join asks, to the clients that are in. The others
// wait; a join that would wait too long, or finds too many waiting, is refused.
//
// A join runs until what Join sent to itself is handled, which is where channels
// track and ask for the state, or until its client's first message is: what clients
// do later is not what a storm is made of. Without presence it runs until the client
// is answered. At most Config.MaxJoinsRunning joins of a route run.
//
// A join that runs holds one of its route's slots, for slotTime at most. Computing
// takes a fraction of that; a join that takes longer is blocked (a database, a lock),
// needs no processor, and leaves its slot to the next. So a storm of joins that
// compute runs a few at a time, and a slow Join delays no other before
// MaxJoinsRunning are slow. While joins wait, a slot is given to the next only after
// a cooldown (package internal/cooldown).
//
// Waiting joins hold no goroutine: their mailboxes are held until they are released.
type admission struct {
	// static after init
	endpoint *Endpoint
	perRoute int // slots

	// guarded by mu, which is taken after Conn.mu
	mu       sync.Mutex
	queues   map[*Route]*joinQueue // none is idle
	arrivals list.List[joiner]     // joins that wait, of all routes, in order of arrival
	slots    list.List[joiner]     // joins that hold a slot, of all routes, in order of beginning
	stop     func() bool           // stops the timer that calls tick; nil: there is none
	due      time.Time             // of the timer
	running  int                   // of all routes
	waited   uint64
	refused  uint64
}

// slotTime is how long a join holds a slot at most. Joins compute for 0.1 to 0.3 ms.
const slotTime = time.Millisecond

// turn is where a join is on its way to run.
type turn uint8

const (
	turnNone    turn = iota
	turnWaits        // in its route's queue
	turnRuns         // counts as running
	turnOver         // has run
	turnCrowded      // refused: too many wait
	turnLate         // refused: has waited too long
	turnGivenUp      // withdrawn
)

func (a *admission) init(e *Endpoint) {
	a.endpoint, a.perRoute = e, runtime.GOMAXPROCS(0)
	a.queues = map[*Route]*joinQueue{}
}

// enter has m's join run, now or in its turn, or be refused: its mailbox is
// released, and finds m.turn. It is called once for each join.
func (a *admission) enter(m *member) { release(a.decide(m)) }

func (a *admission) decide(m *member) (released []*member) {
	a.mu.Lock()
	defer a.mu.Unlock()
	now, limits := time.Now(), &a.endpoint.config
	released = a.reclaim(now, nil)
	q := a.queues[m.route]
	if q == nil {
		q = &joinQueue{}
		a.queues[m.route] = q
	}
	j := &joiner{member: m, queue: q}
	// Joins that wait for a slot only take no place of those that wait for others to
	// end.
	places := limits.MaxJoinsWaiting + limits.MaxJoinsRunning - q.running
	switch {
	case a.admits(q):
		a.start(j, now)
		released = append(released, m)
	case q.wait(j, places):
		m.joiner, m.turn = j, turnWaits
		a.waited++
		j.late = now.Add(limits.JoinWait)
		a.arrivals.Push(j, &j.arrival)
		a.schedule(now)
	default:
		m.turn = turnCrowded
		a.refused++
		released = append(released, m)
	}
	return released
}

// leave ends m's join, if it runs. Its mailbox calls it.
func (a *admission) leave(m *member) {
	if m.turn == turnRuns {
		release(a.end(m))
	}
}

func (a *admission) end(m *member) []*member {
	a.mu.Lock()
	defer a.mu.Unlock()
	j, now := m.joiner, time.Now()
	m.joiner, m.turn = nil, turnOver
	q := j.queue
	q.running--
	a.running--
	pause := cooldown.After(now.Sub(j.began))
	if j.slot.Linked() && q.waiting > 0 && pause > 0 {
		j.slot.Remove()
		a.endpoint.running.After(pause, func() { release(a.reuse(q, m.route)) })
	} else {
		a.yield(j)
	}
	return a.settle(q, m.route, now)
}

// reuse ends the cooldown of a slot.
func (a *admission) reuse(q *joinQueue, r *Route) []*member {
	a.mu.Lock()
	defer a.mu.Unlock()
	q.slots--
	return a.settle(q, r, time.Now())
}

// withdraw gives up a join that waits.
func (a *admission) withdraw(m *member) {
	a.mu.Lock()
	waits := m.turn == turnWaits
	if waits {
		a.dismiss(m.joiner, turnGivenUp)
		a.schedule(time.Now())
	}
	a.mu.Unlock()
	if waits {
		m.box.Release()
	}
}

// tick refuses joins that have waited for too long, and ends slots that were held
// for too long.
func (a *admission) tick() { release(a.expire(time.Now())) }

func (a *admission) expire(now time.Time) (released []*member) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.stop = nil
	for j := a.arrivals.Front(); j != nil && !j.late.After(now); j = a.arrivals.Front() {
		a.refused++
		a.dismiss(j, turnLate)
		released = append(released, j.member)
	}
	released = a.reclaim(now, released)
	a.schedule(now)
	return released
}

func (a *admission) stats(s *Stats) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.JoinsRunning, s.JoinsWaiting = int64(a.running), int64(a.arrivals.Len())
	s.JoinsWaited, s.JoinsRefused = a.waited, a.refused
}

// release releases the mailboxes of joins whose turn came, or will not come. It is
// called without mu.
func release(members []*member) {
	for _, m := range members {
		m.box.Release()
	}
}

// What follows is called with mu held.

// admits reports whether one more join may run.
func (a *admission) admits(q *joinQueue) bool {
	return q.running < a.endpoint.config.MaxJoinsRunning && q.slots < a.perRoute
}

func (a *admission) start(j *joiner, now time.Time) {
	j.member.joiner, j.member.turn = j, turnRuns
	j.began = now
	a.slots.Push(j, &j.slot)
	j.queue.slots++
	j.queue.running++
	a.running++
}

// yield ends that j holds a slot, if it does.
func (a *admission) yield(j *joiner) {
	if j.slot.Linked() {
		j.slot.Remove()
		j.queue.slots--
	}
}

// reclaim ends slots that were held for too long, and has joins run that waited for
// them.
func (a *admission) reclaim(now time.Time, released []*member) []*member {
	for j := a.slots.Front(); j != nil && now.Sub(j.began) >= slotTime; j = a.slots.Front() {
		a.yield(j)
		released = a.fill(j.queue, now, released)
	}
	return released
}

// settle is called when a join, or the cooldown of a slot, has ended.
func (a *admission) settle(q *joinQueue, r *Route, now time.Time) []*member {
	released := a.fill(q, now, nil)
	if q.idle() {
		delete(a.queues, r)
	}
	a.schedule(now)
	return released
}

// fill starts as many joins that wait as may run, and appends them to released.
func (a *admission) fill(q *joinQueue, now time.Time, released []*member) []*member {
	for a.admits(q) {
		j := q.next()
		if j == nil {
			break
		}
		j.arrival.Remove()
		a.start(j, now)
		released = append(released, j.member)
	}
	return released
}

// dismiss ends the waiting of a join whose turn will not come.
func (a *admission) dismiss(j *joiner, why turn) {
	j.queue.remove(j)
	j.arrival.Remove()
	j.member.joiner, j.member.turn = nil, why
}

// schedule has tick called when the next slot or the next wait is over, as long as
// joins wait. A timer that is early is left alone: tick schedules anew.
func (a *admission) schedule(now time.Time) {
	first := a.arrivals.Front()
	if first == nil {
		if a.stop != nil && a.stop() { // or Close would wait for it
			a.stop = nil
		}
		return
	}
	due := first.late
	if j := a.slots.Front(); j != nil && j.began.Add(slotTime).Before(due) {
		due = j.began.Add(slotTime)
	}
	if a.stop != nil && (!a.due.After(due) || !a.stop()) {
		return
	}
	a.due = due
	a.stop = a.endpoint.running.After(due.Sub(now), a.tick)
}
