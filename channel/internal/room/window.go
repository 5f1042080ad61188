package room

import (
	"math"
	"time"
)

// The diff window: when a diff goes.
//
// n changes in a room of n clients are n*n frames, so a room merges changes that come
// close together into one diff. How close is the window, and this file is the only place
// that knows: the numbers are the constants below, and what they give is the table of
// window_test.go.
//
// By default the window adapts:
//
//   - A diff goes when a join comes and as many changes wait as come in one window at the
//     present rate. In a quiet room that is at once, but not in a very large one: its
//     window is so long that one change is not yet a window's worth.
//   - Otherwise it goes when the oldest join has waited one window, or the oldest leave
//     leaveWindows: a leave is less urgent, and the next join takes it along.
//   - In the long run there is one diff a window. After a pause roundBurst may go before
//     their time.
//
// At the same number of frames this is sooner than one diff each window: a diff goes out
// when a join comes, and that one has not waited at all.
//
// The window is 0 in a room of less than smallRoom. Else it is the longest of windowBase,
// which grows with the rate of changes (stretch), windowEach for each client, and
// windowCost times what a round of frames was measured to take; at most windowMax.
//
// With Config.Window the window is fixed, whatever the size of the room: a change goes at
// once if no diff was sent in the last window, and else one window after that diff, joins
// and leaves alike. So no change waits longer than one window, and there is one diff a
// window, but for those that go earlier because a state is asked for.
const (
	// smallRoom: below it each change is worth its frame.
	smallRoom = 8
	// windowBase: a tenth of a second is what people begin to notice, and there is the
	// way to them.
	windowBase   = 40 * time.Millisecond
	leaveWindows = 2
	// windowEach: what a round of frames costs, some 9 us of CPU for each client, is then
	// at most a quarter of one core's time.
	windowEach = 35 * time.Microsecond
	// From stormRate changes a second on windowBase grows with the square of the rate, to
	// stormMost times as much: where so many come or go, the frames are to become fewer,
	// for what is in them is enough.
	stormRate = 60
	stormMost = 2.6
	// windowCost: a round that takes long, because the replica is busy, makes rounds
	// fewer.
	windowCost = 4
	windowMax  = 500 * time.Millisecond

	// rateMemory is over which time the rate of changes is averaged.
	rateMemory = 300 * time.Millisecond
	// rateMost is the highest rate that is told apart: a change in a storm's wake does not
	// wait for the memory of it.
	rateMost   = 2 * stormRate
	roundBurst = 3
)

// adaptiveWindow is how long a join waits at most in a room of size, which changes so often
// a second, where a round of frames was measured to take cost.
func adaptiveWindow(size int, rate float64, cost time.Duration) time.Duration {
	if size < smallRoom {
		return 0
	}
	return min(max(stretch(rate), time.Duration(size)*windowEach, windowCost*cost), windowMax)
}

// stretch is windowBase for a room that changes so often a second. 1,000 clients that
// join one room, 100 a second, are sent 56 MiB of presences in any case, and 76 bytes
// more for each frame: 130,000 frames at 35 ms, and 66 MiB in all; 50,000 at 105 ms.
func stretch(rate float64) time.Duration {
	over := rate / stormRate
	return time.Duration(float64(windowBase) * min(max(over*over, 1), stormMost))
}

// An instant is a time since the machine began, which is a third of a time.Time.
type instant = time.Duration

// A pace decides when the changes that wait go.
type pace struct {
	fixed  time.Duration // Config.Window
	window time.Duration // the adaptive one, when it was last looked at
	cost   time.Duration // of a round, averaged

	rate  float64 // changes a second
	rated instant // when rate was right

	joins, leaves changes
	joined        bool // of those that came last some were joins
	// earned is when the rounds that were sent are made up for, one a window.
	earned instant
}

// changes are those of one kind that wait.
type changes struct {
	n     int
	since instant // when the first of them came
}

func (c *changes) add(now instant, n int) {
	if c.n == 0 {
		c.since = now
	}
	c.n += n
}

// came notes that so many joins and leaves came.
func (p *pace) came(now instant, joins, leaves int) {
	p.joins.add(now, joins)
	p.leaves.add(now, leaves)
	p.joined = joins > 0
	p.rate = min(p.rateAt(now)+float64(joins+leaves)/rateMemory.Seconds(), rateMost)
	p.rated = now
}

func (p *pace) rateAt(now instant) float64 {
	return p.rate * math.Exp(-(now-p.rated).Seconds()/rateMemory.Seconds())
}

// due is when what waits is to be sent to a room of size; not after now: now.
func (p *pace) due(now instant, size int) instant {
	if p.fixed > 0 {
		return p.earned
	}
	rate := p.rateAt(now)
	p.window = adaptiveWindow(size, rate, p.cost)
	last := p.last()
	enough := 1 + int(rate*p.window.Seconds())
	if p.joins.n+p.leaves.n < enough || enough > 1 && !p.joined {
		return last
	}
	return min(last, p.earned-roundBurst*p.window)
}

// last is until when what waits may wait.
func (p *pace) last() instant {
	joins, leaves := p.joins.since+p.window, p.leaves.since+min(leaveWindows*p.window, windowMax)
	if p.leaves.n == 0 || p.joins.n > 0 && joins < leaves {
		return joins
	}
	return leaves
}

// took notes that what waits was taken.
func (p *pace) took() { p.joins.n, p.leaves.n = 0, 0 }

// sent notes that what was taken was sent, which took so long.
func (p *pace) sent(now instant, took time.Duration) {
	if p.earned < now || p.fixed > 0 {
		p.earned = now
	}
	p.earned += max(p.window, p.fixed)
	p.cost += (took - p.cost) / 8
}
