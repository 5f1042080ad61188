package channel

import (
	"runtime"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/internal/yield"
)

// admission lets so many joins of each route run at once, so that a storm of them
// leaves the replica, and what Join asks, to those who are in. The others wait for
// their turn. Who would wait too long, or finds too many waiting, is refused, and
// phoenix.js asks again after its own pauses.
//
// A join counts from its turn until what Join sent to itself is handled, which is
// where channels track and ask for the state, or until its client's first message
// is: what clients do later is not what a storm is made of. Without presence it
// counts until the client is told. A state that is heavy has to be written, too,
// where the link tells of that: for patienceWrite at most, so that who reads slowly
// holds up no other. Routes are apart, because what makes joins slow (a database, a
// lock) is a route's own.
//
// Of those that run only a few are fresh: have not run for longer than their
// patience, and so may be in need of a processor. Whoever else can run has to wait
// for those. One that lasts longer waits for something else, and the next one may
// begin: a slow Join holds up no other before MaxJoinsRunning do. Who had to wait
// for its turn gives way to all others before it begins (package yield), and its
// patience counts from then on. Who had to wait for long makes no pause then, for a
// storm is to end before it is refused. An alarm ends patience, set while some
// wait; one that rings late tells that processors are short. See freshness.
//
// While fewer run than may, a join costs one lock, taken twice. Nothing is
// allocated where it is held, and no goroutine begun: who allocates may have to
// wait for the garbage collector, and thousands with him.
type admission struct {
	// static after init
	endpoint *Endpoint
	few      int    // joins of a route that are fresh at a time, at most
	giveWay  func() // yield.ToOthers

	mu       sync.Mutex // taken after Conn.mu
	queues   map[*Route]*joinQueue
	spare    *joinQueue    // an idle one
	arrivals chain[joiner] // those who wait, of all routes, the first to be late first
	fresh    freshness
	settled  freshness // those who only wait for a heavy state to be written
	lateness alarm     // calls expire, while some wait
	tiring   alarm     // calls relieve, while some are fresh, and some wait or are settled

	running int // of all routes
	waited  uint64
	refused uint64
}

// heavyState is the size from which on a state costs a processor about as much to
// write as the join that it belongs to. Were joins not to wait for these, a storm
// would make of them hundreds that can be written, and all others wait for those; see
// What was tried in the package's documentation. With 4 KiB here, 10,000 who come back
// into rooms of 100 take half as long again.
const heavyState = 64 << 10

// turn is where a join is on its way to run.
type turn uint8

const (
	turnNone    turn = iota
	turnWaits        // in its route's queue
	turnCame         // counts as running, and gives way before it begins
	turnRuns         // counts as running
	turnOver         // has run
	turnCrowded      // refused: too many wait
	turnLate         // refused: has waited too long
	turnGivenUp      // nobody wants it any more
)

func (a *admission) init(e *Endpoint) {
	a.endpoint, a.few, a.giveWay = e, 2*runtime.GOMAXPROCS(0), yield.ToOthers
	a.queues, a.spare = map[*Route]*joinQueue{}, &joinQueue{}
	a.lateness.init(&e.running, a.expire)
	a.tiring.init(&e.running, a.relieve)
}

// enter has m's join run, now or in its turn, or be refused: its mailbox is
// released, and finds m.turn. It is called once for each join.
func (a *admission) enter(m *member) {
	j := newJoiner(m)
	limits := &a.endpoint.config
	var released chain[joiner]
	a.mu.Lock()
	now := time.Now()
	a.tire(now, patienceBusy, &released)
	q := a.queue(m.route)
	// Who waits though MaxJoinsRunning do not run takes no place of those who do.
	places := limits.MaxJoinsWaiting + limits.MaxJoinsRunning - q.running
	switch {
	case q.may(limits.MaxJoinsRunning, a.few):
		m.joiner, m.turn = j, turnRuns
		a.start(q, j)
		a.count(j, now)
	case q.wait(j, places):
		m.joiner, m.turn = j, turnWaits
		a.waited++
		j.late = now.Add(limits.JoinWait)
		a.arrivals.push(&j.among)
		a.lateness.set(now, j.late)
		a.watch(now)
	default:
		m.turn = turnCrowded
		a.refused++
	}
	waits := m.turn == turnWaits
	a.mu.Unlock()
	release(&released)
	if !waits {
		m.box.release()
	}
}

// begin is called by m's mailbox before the join, where m.turn is turnCame. It
// gives way to who can run.
func (a *admission) begin(m *member) {
	j := m.joiner
	if j.hurries(time.Now(), a.endpoint.config.JoinWait) {
		runtime.Gosched()
	} else {
		a.giveWay()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	m.turn = turnRuns
	a.count(j, now)
	a.watch(now)
}

// leave ends that m's join counts, if it does, and lets the next one run. Its
// mailbox calls it.
func (a *admission) leave(m *member) {
	if m.turn != turnRuns && m.turn != turnCame {
		return
	}
	var released chain[joiner]
	a.mu.Lock()
	j := m.joiner
	m.joiner, m.turn = nil, turnOver
	a.end(j, &released)
	a.mu.Unlock()
	release(&released)
}

// settle is leave, but that a join that waits for a heavy state counts on.
func (a *admission) settle(m *member) {
	if m.turn != turnRuns {
		return
	}
	var released chain[joiner]
	a.mu.Lock()
	j := m.joiner
	m.joiner, m.turn = nil, turnOver
	if j.expects && j.state == isFresh {
		now := time.Now()
		a.fresh.end(j)
		a.settled.begin(j, now)
		j.state = isSettled
		a.watch(now)
	} else {
		a.end(j, &released)
	}
	a.mu.Unlock()
	release(&released)
}

// expect is told that m waits for a heavy state. It returns its join, which lasts
// until written is called with it; nil where that does not count any more.
func (a *admission) expect(m *member) *joiner {
	a.mu.Lock()
	defer a.mu.Unlock()
	j := m.joiner
	if m.turn != turnRuns {
		return nil
	}
	j.expects = true
	return j
}

// written ends that j waits for a state.
func (a *admission) written(j *joiner) {
	var released chain[joiner]
	a.mu.Lock()
	j.expects = false
	if j.state == isSettled {
		a.end(j, &released)
	}
	a.mu.Unlock()
	release(&released)
}

// withdraw gives up a join that waits.
func (a *admission) withdraw(m *member) {
	var released chain[joiner]
	a.mu.Lock()
	if m.turn == turnWaits {
		a.dismiss(m.joiner, turnGivenUp, &released)
	}
	a.mu.Unlock()
	release(&released)
}

// expire refuses those who have waited too long.
func (a *admission) expire() {
	var released chain[joiner]
	a.mu.Lock()
	a.lateness.rung()
	now := time.Now()
	for j := a.arrivals.front(); j != nil; j = a.arrivals.front() {
		if j.late.After(now) {
			a.lateness.set(now, j.late)
			break
		}
		a.refused++
		a.dismiss(j, turnLate, &released)
	}
	a.mu.Unlock()
	release(&released)
}

// relieve has others begin for those whose patience is over.
func (a *admission) relieve() {
	now := time.Now()
	var released chain[joiner]
	a.mu.Lock()
	a.tire(now, patienceOf(now.Sub(a.tiring.rung())), &released)
	a.watch(now)
	a.mu.Unlock()
	release(&released)
}

func (a *admission) stats(s *Stats) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s.JoinsRunning, s.JoinsWaiting = int64(a.running), int64(a.arrivals.n)
	s.JoinsWaited, s.JoinsRefused = a.waited, a.refused
}

// release lets the mailboxes of those run whose turn came, or will not come. It
// begins goroutines, so it is called without mu.
func release(released *chain[joiner]) {
	for j := released.shift(); j != nil; j = released.shift() {
		m := j.member
		j.member = nil // a line may keep j
		m.box.release()
	}
}

// What follows is called with mu held.

func (a *admission) start(q *joinQueue, j *joiner) {
	j.queue, j.state = q, givesWay
	q.running++
	q.fresh++
	a.running++
}

// end ends that j counts.
func (a *admission) end(j *joiner, released *chain[joiner]) {
	q := j.queue
	switch j.state {
	case isFresh:
		a.fresh.end(j)
		q.fresh--
	case isSettled:
		a.settled.end(j)
		q.fresh--
		a.calm()
	case givesWay:
		q.fresh--
	}
	j.state = notFresh
	q.running--
	a.running--
	a.fill(q, released)
	a.tidy(q)
}

// count has the patience of j begin.
func (a *admission) count(j *joiner, now time.Time) {
	j.state = isFresh
	a.fresh.begin(j, now)
}

// tire ends that those are fresh whose patience is over.
func (a *admission) tire(now time.Time, patience time.Duration, released *chain[joiner]) {
	for j := a.fresh.over(now, patience); j != nil; j = a.fresh.over(now, patience) {
		j.state = notFresh
		j.queue.fresh--
		a.fill(j.queue, released)
	}
	for j := a.settled.over(now, patienceWrite); j != nil; j = a.settled.over(now, patienceWrite) {
		j.state = notFresh
		j.queue.fresh--
		a.end(j, released)
	}
}

// fill starts as many who wait as may run.
func (a *admission) fill(q *joinQueue, released *chain[joiner]) {
	for q.may(a.endpoint.config.MaxJoinsRunning, a.few) {
		j := q.next()
		if j == nil {
			return
		}
		a.forget(j)
		a.start(q, j)
		j.member.turn = turnCame
		released.push(&j.among)
	}
}

// watch sets the alarm that ends patience, where that changes something.
func (a *admission) watch(now time.Time) {
	due, ok := a.fresh.look(now)
	if !ok && a.settled.joins.n > 0 {
		due, ok = now.Add(patienceUsual), true
	}
	if ok && a.arrivals.n+a.settled.joins.n > 0 {
		a.tiring.set(now, due)
	}
}

// calm ends the alarm where nobody's patience changes anything.
func (a *admission) calm() {
	if a.arrivals.n+a.settled.joins.n == 0 {
		a.tiring.unset()
	}
}

// dismiss ends the waiting of one whose turn will not come.
func (a *admission) dismiss(j *joiner, why turn, released *chain[joiner]) {
	j.queue.remove(j)
	a.forget(j)
	j.member.joiner, j.member.turn = nil, why
	released.push(&j.among)
}

// forget is for who has left the queue. The alarms go when nobody is left, so that
// Close does not wait for them.
func (a *admission) forget(j *joiner) {
	a.arrivals.remove(&j.among)
	if a.arrivals.n == 0 {
		a.lateness.unset()
		a.calm()
	}
}

// queue is the queue of a route. There are only those that are not idle, for
// handlers come and go. One is allocated where two routes begin to have joins at
// once.
func (a *admission) queue(r *Route) *joinQueue {
	q := a.queues[r]
	if q == nil {
		if q, a.spare = a.spare, nil; q == nil {
			q = &joinQueue{}
		}
		q.route = r
		a.queues[r] = q
	}
	return q
}

func (a *admission) tidy(q *joinQueue) {
	if q.idle() {
		delete(a.queues, q.route)
		q.route = nil
		a.spare = q
	}
}
