package intake

import (
	"context"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/internal/cooldown"
	"github.com/rollcall-go/rollcall/internal/list"
)

// maxTurn is how long a turn lasts at most while others wait.
const maxTurn = 10 * time.Millisecond

// A gate gives turns, in the order of arrival. While handshakes wait, a turn that has
// ended is given to the next only after a cooldown (package internal/cooldown). One that
// has lasted for maxTurn is given on at once.
//
// It has no goroutine: the handshakes that wait have an alarm in common, and the one
// that it wakes ends the turns that have lasted too long.
type gate struct {
	// Static after bounds.
	most, places int
	atMost       time.Duration // that one waits; zero: any time

	mu sync.Mutex
	// Guarded by mu.
	running list.List[Turn] // in the order of beginning
	line    list.List[Turn] // in the order of arrival
	alarm   *time.Timer     // set while handshakes wait; nil before that
	cooling int             // turns that cool down
	waited  uint64
	refused uint64
}

// A Turn is a handshake's.
type Turn struct {
	gate *gate         // static
	came chan struct{} // static once in line: closed when it comes

	// Guarded by gate.mu.
	since time.Time       // when it came
	place list.Node[Turn] // in running or line
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

// enter gives t its turn if one is free: none waits then.
func (g *gate) enter(t *Turn) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running.Len()+g.cooling >= g.most {
		return false
	}
	g.begin(t, time.Now())
	return true
}

// enqueue puts t in line, and returns what rings there.
func (g *gate) enqueue(t *Turn) (<-chan time.Time, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.line.Len() >= g.places {
		g.refused++
		return nil, &Refusal{Err: ErrCrowded, Limit: g.places}
	}
	g.line.Push(t, &t.place)
	g.waited++
	if g.alarm == nil {
		g.alarm = time.NewTimer(maxTurn) // once
	}
	if g.line.Len() == 1 {
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
	if !t.place.Linked() {
		return
	}
	t.place.Remove()
	if pause := cooldown.After(time.Since(t.since)); g.line.Len() > 0 && pause > 0 {
		g.cooling++
		time.AfterFunc(pause, g.reuse)
		return
	}
	g.admit(time.Now())
}

// reuse ends the cooldown of a turn.
func (g *gate) reuse() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.cooling--
	g.admit(time.Now())
}

// withdraw gives up t, whose turn may just have come.
func (g *gate) withdraw(t *Turn, why error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := why.(*Refusal); ok {
		g.refused++
	}
	if t.place.Linked() {
		t.place.Remove()
		g.admit(time.Now())
	}
}

// relieve ends the turns that have lasted too long.
func (g *gate) relieve() {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	for g.line.Len() > 0 && g.running.Len() > 0 && now.Sub(g.running.Front().since) >= maxTurn {
		g.running.Pop()
	}
	g.admit(now)
}

// What follows is called with mu held.

func (g *gate) begin(t *Turn, now time.Time) {
	t.since = now
	g.running.Push(t, &t.place)
}

// admit gives the turns that are free to the first in line, and sets the alarm for
// those that remain.
func (g *gate) admit(now time.Time) {
	for g.running.Len()+g.cooling < g.most && g.line.Len() > 0 {
		t := g.line.Pop()
		g.begin(t, now)
		close(t.came)
	}
	switch {
	case g.alarm == nil:
	case g.line.Len() == 0 || g.running.Len() == 0: // or there is nothing to end before its time
		g.alarm.Stop()
	default:
		g.alarm.Reset(g.running.Front().since.Add(maxTurn).Sub(now))
	}
}

func (g *gate) stats() Stats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return Stats{Running: g.running.Len(), Waiting: g.line.Len(), Waited: g.waited, Refused: g.refused}
}
