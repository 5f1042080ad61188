package room

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
)

func TestAdaptiveWindowFollowsSizeRateAndCost(t *testing.T) {
	const ms = time.Millisecond
	for _, row := range []struct {
		size       int
		rate       float64
		cost, want time.Duration
	}{
		{0, 0, 0, 0},
		{7, 1000, time.Second, 0},
		{8, 0, 0, 40 * ms},
		{1000, 0, 0, 40 * ms},
		{1000, 60, 8 * ms, 40 * ms},
		{1000, 110, 0, 104 * ms},
		{1000, 1e9, 0, 104 * ms},
		{1000, 0, 30 * ms, 120 * ms},
		{10_000, 0, 0, 350 * ms},
		{10_000, 200, 50 * ms, 350 * ms},
		{10_000, 0, 100 * ms, 400 * ms},
		{15_000, 0, 0, 500 * ms},
		{1_000_000, 0, 0, 500 * ms},
		{8, 0, time.Hour, 500 * ms},
	} {
		require.Equal(t, row.want, adaptiveWindow(row.size, row.rate, row.cost), "%d, %v, %v", row.size, row.rate, row.cost)
	}
	require.InDelta(t, 2.25*float64(windowBase), float64(adaptiveWindow(1000, 1.5*stormRate, 0)), 1)
}

// paced runs changes at a rate, as they come at random, of which a part are leaves,
// and returns the rounds a second and what joins and leaves waited.
func paced(p pace, size int, rate, leaving float64, cost, lasting time.Duration) (rounds float64, joins, leaves waits) {
	r := rand.New(rand.NewPCG(1, 1))
	var now instant
	end := lasting
	next := now
	var joined, left []instant
	var n int
	for now < end {
		due := end
		if len(joined)+len(left) > 0 {
			due = p.due(now, size)
		}
		if len(joined)+len(left) > 0 && due <= next {
			now = max(now, due)
			joined, left, n = joins.end(now, joined), leaves.end(now, left), n+1
			p.took()
			p.sent(now, cost)
			continue
		}
		now = next
		if r.Float64() < leaving {
			left = append(left, now)
			p.came(now, 0, 1)
		} else {
			joined = append(joined, now)
			p.came(now, 1, 0)
		}
		next = now + time.Duration(-math.Log(1-r.Float64())/rate*float64(time.Second))
	}
	return float64(n) / lasting.Seconds(), joins, leaves
}

// waits is how long changes waited.
type waits []time.Duration

func (w *waits) end(now instant, came []instant) (none []instant) {
	for _, at := range came {
		*w = append(*w, now-at)
	}
	return came[:0]
}

// within is the time within which so many hundredths of them went out.
func (w waits) within(percent int) time.Duration {
	if len(w) == 0 {
		return 0
	}
	slices.Sort(w)
	return w[(len(w)-1)*percent/100]
}

func TestPace(t *testing.T) {
	const ms = time.Millisecond
	for _, row := range []struct {
		name                string
		size                int
		rate, leaving       float64
		cost                time.Duration
		maxRounds           float64 // a second
		median, join, leave time.Duration
	}{
		{"a small room", 7, 1000, 0.5, 0, 1001, 0, 0, 0},
		{"one change a minute goes at once", 1000, 1.0 / 60, 0.5, 0, 1, 0, 0, 0},
		{"40 changes a second in 1,000", 1000, 40, 0.5, 0, 17.5, 1 * ms, 60 * ms, 120 * ms},
		{"40 joins a second in 1,000", 1000, 40, 0, 0, 22, 8 * ms, 60 * ms, 0},
		{"40 leaves a second in 1,000", 1000, 40, 1, 0, 10.5, 0, 0, 130 * ms},
		{"the same on a busy replica", 1000, 40, 0.5, 25 * ms, 10, 60 * ms, 101 * ms, 201 * ms},
		{"100 joins a second in 1,000", 1000, 100, 0, 0, 11, 60 * ms, 105 * ms, 0},
		{"200 changes a second in 10,000", 10_000, 200, 0.5, 0, 3, 200 * ms, 350 * ms, 500 * ms},
		{"a storm, its first half second", 1000, 20_000, 0, 0, 22, 60 * ms, 105 * ms, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			rounds, joins, leaves := paced(pace{}, row.size, row.rate, row.leaving, row.cost, 20*time.Minute/time.Duration(1+row.rate/10))
			t.Logf("%.1f rounds a second; joins waited %v, 99%% %v, at most %v; leaves %v, %v, %v", rounds,
				joins.within(50), joins.within(99), joins.within(100), leaves.within(50), leaves.within(99), leaves.within(100))
			require.LessOrEqual(t, rounds, row.maxRounds)
			require.LessOrEqual(t, joins.within(50), row.median)
			require.LessOrEqual(t, joins.within(100), row.join)
			require.LessOrEqual(t, leaves.within(100), row.leave)
		})
	}
}

func TestFixedWindow(t *testing.T) {
	const window = 100 * time.Millisecond
	for _, size := range []int{1, 10_000} {
		for _, cost := range []time.Duration{0, time.Second} {
			p := pace{fixed: window}
			rounds, joins, leaves := paced(p, size, 200, 0.5, cost, time.Minute)
			require.InDelta(t, 10, rounds, 0.5, "one in a window, whatever the room is")
			require.Equal(t, window, max(joins.within(100), leaves.within(100)).Round(time.Millisecond))
			require.InDelta(t, window/2, joins.within(50), float64(window/10))
			require.InDelta(t, window/2, leaves.within(50), float64(window/10), "leaves wait no longer than joins")
		}
		_, joins, leaves := paced(pace{fixed: window}, size, 1.0/60, 0.5, 0, time.Hour)
		require.Zero(t, max(joins.within(95), leaves.within(95)), "in a quiet room at once")
	}
}

// A loudRoom has one client, among so many presences.
type loudRoom struct {
	machine *Machine
	now     time.Time
	timer   time.Time     // zero for not set
	took    time.Duration // what a round takes
	late    time.Duration // how late the timer fires
	rounds  int
	present []presence.Presence
	next    int
}

func newLoudRoom(present int) *loudRoom {
	r := &loudRoom{machine: New(Config{StateTimeout: time.Second}), now: time.Unix(0, 0)}
	r.step(Input{Kind: WatchWanted})
	r.step(Input{Kind: Joined, Member: &client{}})
	r.step(Input{Kind: Settled, Member: r.machine.seats.all[0]})
	for i := range present {
		r.present = append(r.present, entry(fmt.Sprintf("k%06d:s", i)))
	}
	r.tell(presence.Event{State: &presence.List{Presences: r.present}})
	return r
}

func (r *loudRoom) step(in Input) {
	for _, a := range r.machine.Step(r.now, in) {
		switch a.Kind {
		case SendDiff:
			r.rounds++
			r.now = r.now.Add(r.took)
			r.step(Input{Kind: Sent, Took: r.took})
		case SetTimer:
			r.timer = a.At.Add(r.late)
		case ClearTimer:
			r.timer = time.Time{}
		}
	}
}

func (r *loudRoom) tell(ev presence.Event) {
	ev.Complete = true
	r.step(Input{Kind: Told, Events: []presence.Event{ev}})
}

func (r *loudRoom) join() {
	r.next++
	r.tell(presence.Event{Diff: presence.Diff{Joins: list(fmt.Sprint("new", r.next, ":s"))}})
}

func (r *loudRoom) leave() {
	r.tell(presence.Event{Diff: presence.Diff{Leaves: r.present[:1]}})
	r.present = r.present[1:]
}

// wait lets time pass, and the timer fire.
func (r *loudRoom) wait(d time.Duration) {
	end := r.now.Add(d)
	for !r.timer.IsZero() && r.timer.Before(end) {
		if r.now.Before(r.timer) {
			r.now = r.timer
		}
		r.timer = time.Time{}
		r.step(Input{Kind: TimerFired})
	}
	if r.now.Before(end) {
		r.now = end
	}
}

// storm is 100 changes, one after another.
func (r *loudRoom) storm(change func()) {
	for range 100 {
		change()
		r.wait(7300 * time.Microsecond)
	}
}

func TestRoundsAreFewerWhereTheyCostMore(t *testing.T) {
	grows := newLoudRoom(0)
	grows.storm(grows.join)
	require.Less(t, grows.rounds, 50, "in a room that grows changes come to be merged")

	large := newLoudRoom(500)
	large.storm(large.leave)
	require.Less(t, large.rounds, 50, "and in a larger one")
	require.Zero(t, large.machine.pace.cost)

	huge := newLoudRoom(15_000)
	huge.storm(huge.leave)
	require.Less(t, huge.rounds, large.rounds, "in a huge one more of them")

	slow := newLoudRoom(500)
	slow.took = 100 * time.Millisecond
	slow.storm(slow.leave)
	require.Less(t, slow.rounds, large.rounds, "and where a round takes long")
	require.Greater(t, slow.machine.pace.cost, slow.took/4)

	busy := newLoudRoom(500)
	busy.late = time.Millisecond
	busy.storm(busy.leave)
	cost := busy.machine.pace.cost
	require.Positive(t, cost, "timers are late where a replica is busy")
	for range 20 {
		busy.wait(time.Second)
		busy.join()
		require.True(t, busy.timer.IsZero(), "in a quiet room a join goes at once")
	}
	require.Less(t, busy.machine.pace.cost, cost/2, "and not for ever")
}

func TestAJoinDoesNotWaitAsLongAsALeave(t *testing.T) {
	r := newLoudRoom(500)
	r.storm(r.leave)
	for !r.timer.IsZero() {
		r.wait(time.Millisecond)
	}
	r.leave()
	last := r.timer
	require.False(t, last.IsZero())
	r.join()
	require.True(t, !r.timer.IsZero() && r.timer.Before(last))
}
