package intake

import (
	"context"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/internal/yield"
)

// patience is how long a handshake counts at most as one that is worked on.
const patience = 10 * time.Millisecond

// A gate gives turns, in the order of coming.
//
// It has no goroutine: where a turn is to be taken from who has had it for too
// long, one of those who wait does so, whichever is woken by their common alarm.
// Nothing is allocated while its lock is held: who allocates may have to wait for
// the garbage collector, and thousands would wait with him.
type gate struct {
	// Static after bounds.
	most, places int
	atMost       time.Duration // that one waits; zero: any time

	mu sync.Mutex
	// Guarded by mu.
	running queue       // who has had the turn longest first
	line    queue       // who came first first
	alarm   *time.Timer // set while somebody waits; nil before that
	waited  uint64
	refused uint64
}

// A Turn is a handshake's.
type Turn struct {
	gate *gate         // static
	came chan struct{} // static once in line: closed when it comes

	// Guarded by gate.mu.
	since      time.Time // when it came
	in         *queue    // running or line; nil: neither
	prev, next *Turn
}

func (g *gate) bounds(most, places int, atMost time.Duration) {
	g.most, g.places, g.atMost = most, places, atMost
}

func (g *gate) wait(ctx context.Context, closing <-chan struct{}) (*Turn, error) {
	t := &Turn{gate: g}
	if g.enter(t) {
		return t, nil
	}
	t.came = make(chan struct{})
	alarm, err := g.enqueue(t)
	if err != nil {
		return nil, err
	}
	var late <-chan time.Time
	if g.atMost > 0 {
		timer := time.NewTimer(g.atMost)
		defer timer.Stop()
		late = timer.C
	}
	for {
		select {
		case <-t.came:
			yield.ToOthers() // there is a line: newcomers are many
			return t, nil
		case <-alarm:
			g.relieve()
			continue
		case <-late:
			err = &Refusal{Err: ErrLate, Limit: g.atMost}
		case <-ctx.Done():
			err = ErrGone
		case <-closing:
			err = ErrClosing
		}
		g.withdraw(t, err)
		return nil, err
	}
}

// enter gives t its turn if one is free: nobody waits then.
func (g *gate) enter(t *Turn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running.n >= g.most {
		return false
	}
	g.begin(t, time.Now())
	return true
}

// enqueue puts t in line, and returns what rings there.
func (g *gate) enqueue(t *Turn) (<-chan time.Time, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.line.n >= g.places {
		g.refused++
		return nil, &Refusal{Err: ErrCrowded, Limit: g.places}
	}
	g.line.push(t)
	g.waited++
	if g.alarm == nil {
		g.alarm = time.NewTimer(patience) // once
	}
	if g.line.n == 1 {
		g.admit(time.Now()) // a turn may have become free meanwhile
	}
	return g.alarm.C, nil
}

// End ends the turn, if it has not ended by itself. It may be called more than
// once.
func (t *Turn) End() {
	g := t.gate
	g.mu.Lock()
	defer g.mu.Unlock()
	if t.in != nil {
		t.in.remove(t)
		g.admit(time.Now())
	}
}

// withdraw gives up t, whose turn may just have come.
func (g *gate) withdraw(t *Turn, why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := why.(*Refusal); ok {
		g.refused++
	}
	if t.in != nil {
		t.in.remove(t)
		g.admit(time.Now())
	}
}

// relieve ends the turns that have lasted too long.
func (g *gate) relieve() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	for g.line.n > 0 && g.running.n > 0 && now.Sub(g.running.first.since) >= patience {
		g.running.remove(g.running.first)
	}
	g.admit(now)
}

// What follows is called with mu held.

func (g *gate) begin(t *Turn, now time.Time) {
	t.since = now
	g.running.push(t)
}

// admit gives the turns that are free to who is first in line, and sets the alarm
// for who remains.
func (g *gate) admit(now time.Time) {
	for g.running.n < g.most && g.line.n > 0 {
		t := g.line.first
		g.line.remove(t)
		g.begin(t, now)
		close(t.came)
	}
	switch {
	case g.alarm == nil:
	case g.line.n == 0:
		g.alarm.Stop()
	default:
		g.alarm.Reset(g.running.first.since.Add(patience).Sub(now))
	}
}

func (g *gate) stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Stats{Running: g.running.n, Waiting: g.line.n, Waited: g.waited, Refused: g.refused}
}

// A queue is turns in a row. Each is in one queue at a time.
type queue struct {
	n           int
	first, last *Turn
}

func (q *queue) push(t *Turn) {
	t.in, t.prev, t.next = q, q.last, nil
	if q.last != nil {
		q.last.next = t
	} else {
		q.first = t
	}
	q.last = t
	q.n++
}

func (q *queue) remove(t *Turn) {
	if t.prev != nil {
		t.prev.next = t.next
	} else {
		q.first = t.next
	}
	if t.next != nil {
		t.next.prev = t.prev
	} else {
		q.last = t.prev
	}
	t.in, t.prev, t.next = nil, nil, nil
	q.n--
}
