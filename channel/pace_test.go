package channel

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestMergeWindowFollowsSizeRateAndCost(t *testing.T) {
	const ms = time.Millisecond
	for _, row := range []struct {
		size       int
		rate       float64
		cost, want time.Duration
	}{
		{0, 0, 0, 0},
		{7, 1000, time.Second, 0},
		{8, 0, 0, 35 * ms},
		{1000, 0, 0, 35 * ms},
		{1000, 55, 8 * ms, 35 * ms},
		{1000, 110, 0, 105 * ms},
		{1000, 1e9, 0, 105 * ms},
		{1000, 0, 30 * ms, 120 * ms},
		{10_000, 0, 0, 350 * ms},
		{10_000, 200, 50 * ms, 350 * ms},
		{10_000, 0, 100 * ms, 400 * ms},
		{15_000, 0, 0, 500 * ms},
		{1_000_000, 0, 0, 500 * ms},
		{8, 0, time.Hour, 500 * ms},
	} {
		require.Equal(t, row.want, mergeWindow(row.size, row.rate, row.cost), "%d, %v, %v", row.size, row.rate, row.cost)
	}
	require.InDelta(t, 2.25*float64(windowBase), float64(mergeWindow(1000, 1.5*stormRate, 0)), 1)
}

// paced runs changes at a rate, as they come at random, and returns the rounds a
// second and what changes waited, sorted.
func paced(size int, rate float64, cost, lasting time.Duration) (rounds float64, mean, longest time.Duration) {
	r := rand.New(rand.NewPCG(1, 1))
	var p pace
	origin := time.Now()
	now, end := origin, origin.Add(lasting)
	next := now
	var arrived []time.Time
	var n, all int
	var total time.Duration
	for now.Before(end) {
		due := end
		if p.waiting > 0 {
			due = p.due(now, size)
		}
		if p.waiting > 0 && !due.After(next) {
			if due.After(now) {
				now = due
			}
			for _, at := range arrived {
				all++
				total += now.Sub(at)
				longest = max(longest, now.Sub(at))
			}
			arrived, n = arrived[:0], n+1
			p.sent(now, cost)
			continue
		}
		now = next
		p.came(now, 1)
		arrived = append(arrived, now)
		next = now.Add(time.Duration(-math.Log(1-r.Float64()) / rate * float64(time.Second)))
	}
	return float64(n) / lasting.Seconds(), total / time.Duration(max(1, all)), longest
}

func TestPace(t *testing.T) {
	for _, row := range []struct {
		name         string
		size         int
		rate         float64
		cost         time.Duration
		maxRounds    float64 // a second
		mean, within time.Duration
	}{
		{"a small room", 7, 1000, 0, 1001, 0, 0},
		{"one change a minute goes at once", 1000, 1.0 / 60, 0, 1, 0, 0},
		{"40 changes a second in 1,000", 1000, 40, 0, 24.5, 13 * time.Millisecond, 60 * time.Millisecond},
		{"the same on a busy replica", 1000, 40, 25 * time.Millisecond, 11, 45 * time.Millisecond, 100 * time.Millisecond},
		{"100 joins a second in 1,000", 1000, 100, 0, 11, 50 * time.Millisecond, 105 * time.Millisecond},
		{"200 changes a second in 10,000", 10_000, 200, 0, 3, 180 * time.Millisecond, 350 * time.Millisecond},
		{"a storm, its first half second", 1000, 20_000, 0, 22, 55 * time.Millisecond, 105 * time.Millisecond},
	} {
		t.Run(row.name, func(t *testing.T) {
			rounds, mean, longest := paced(row.size, row.rate, row.cost, 20*time.Minute/time.Duration(1+row.rate/10))
			t.Logf("%.1f rounds a second, waited %v, at most %v", rounds, mean, longest)
			require.LessOrEqual(t, rounds, row.maxRounds)
			require.LessOrEqual(t, mean, row.mean)
			require.LessOrEqual(t, longest, row.within)
		})
	}
}
