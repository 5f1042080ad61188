package channel

import (
	"math"
	"time"
)

// A room merges the changes that wait into one diff: n changes in a room of n
// are n*n frames otherwise. These say for how long.
const (
	// smallRoom: below it each change is worth its frame.
	smallRoom = 8
	// windowBase is how long the first of the joins waits at most: a tenth of
	// a second is what people begin to notice, and there is the way to them.
	windowBase = 40 * time.Millisecond
	// leaveWindows is how many windows the first of the leaves waits at most: that
	// somebody has gone is less urgent, and the next join takes it along.
	leaveWindows = 2
	// windowEach, for each who is in the room, is how long it may wait in a large
	// one: what a round of frames to all costs, some 9 us of CPU each, is then at
	// most a quarter of one core's time.
	windowEach = 35 * time.Microsecond
	// From stormRate changes a second on windowBase grows with the square of the
	// rate, to stormMost times as much: where so many come or go, the frames are
	// to become fewer, for what is in them is enough. See stretch.
	stormRate = 60
	stormMost = 2.6
	// windowCost: a round of frames that was measured to take long, because the
	// replica is busy, makes the window so many times that time.
	windowCost = 4
	windowMax  = 500 * time.Millisecond

	// rateMemory is over which time the rate of changes is averaged.
	rateMemory = 300 * time.Millisecond
	// rateMost is the highest rate that is told apart: who is in a storm's wake
	// does not wait for the memory of it.
	rateMost = 2 * stormRate
	// roundBurst is how many rounds may go before their time, after a pause. In
	// the long run there is one in a window.
	roundBurst = 3
)

// mergeWindow is how long a join waits at most in a room of size, which
// changes so often a second, where a round of frames was last measured to take
// cost.
func mergeWindow(size int, rate float64, cost time.Duration) time.Duration {
	if size < smallRoom {
		return 0
	}
	return min(max(stretch(rate), time.Duration(size)*windowEach, windowCost*cost), windowMax)
}

// stretch is windowBase for a room that changes so often a second. 1,000 who
// join one room, 100 a second, are 56 MiB of presences however they are told, and
// 76 bytes more for each frame: 130,000 frames at 35 ms, and 66 MiB in all; 50,000
// at 105 ms.
func stretch(rate float64) time.Duration {
	over := rate / stormRate
	return time.Duration(float64(windowBase) * min(max(over*over, 1), stormMost))
}

// A pace decides when the changes of a room that wait go out: when a join comes
// and as many wait as come in one window at the present rate, or when the first
// join has waited a window, or the first leave two. In a quiet room that is at
// once. At the same number of frames this is sooner than to send once in each
// window: a diff goes out when a join comes, and that one has not waited at all.
//
// It is pure; its owner (room) guards it.
type pace struct {
	window time.Duration
	cost   time.Duration // of a round, averaged

	rate  float64   // changes a second
	rated time.Time // when rate was right

	joins, leaves changes
	joined        bool // of those that came last some were joins
	// earned is when the rounds that were sent are made up for, one a window.
	earned time.Time
}

// changes are those of one kind that wait.
type changes struct {
	n     int
	since time.Time // when the first of them came
}

func (c *changes) add(now time.Time, n int) {
	if c.n == 0 {
		c.since = now
	}
	c.n += n
}

// came notes that so many joins and leaves came.
func (p *pace) came(now time.Time, joins, leaves int) {
	p.joins.add(now, joins)
	p.leaves.add(now, leaves)
	p.joined = joins > 0
	p.rate = min(p.rateAt(now)+float64(joins+leaves)/rateMemory.Seconds(), rateMost)
	p.rated = now
}

func (p *pace) rateAt(now time.Time) float64 {
	return p.rate * math.Exp(-now.Sub(p.rated).Seconds()/rateMemory.Seconds())
}

// due is when what waits is to be sent to a room of size; not after now: now.
func (p *pace) due(now time.Time, size int) time.Time {
	rate := p.rateAt(now)
	p.window = mergeWindow(size, rate, p.cost)
	last := p.last()
	enough := 1 + int(rate*p.window.Seconds())
	if p.joins.n+p.leaves.n < enough || enough > 1 && !p.joined {
		return last
	}
	if early := p.earned.Add(-roundBurst * p.window); early.Before(last) {
		return early
	}
	return last
}

// last is until when what waits may wait.
func (p *pace) last() time.Time {
	joins, leaves := p.joins.since.Add(p.window), p.leaves.since.Add(min(leaveWindows*p.window, windowMax))
	if p.leaves.n == 0 || p.joins.n > 0 && joins.Before(leaves) {
		return joins
	}
	return leaves
}

// took notes that what waits was taken.
func (p *pace) took() { p.joins.n, p.leaves.n = 0, 0 }

// sent notes that what was taken was sent, which took so long.
func (p *pace) sent(now time.Time, took time.Duration) {
	if p.earned.Before(now) {
		p.earned = now
	}
	p.earned = p.earned.Add(p.window)
	p.cost += (took - p.cost) / 8
}
