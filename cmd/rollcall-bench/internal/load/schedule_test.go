package load

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestALatePublishDoesNotDelayTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(nil)
		defer f.close()
		o := &fanout{run: &run{Config: &Config{}}, fleet: f}
		began := time.Now()
		next := o.atRate(10)
		for i := range 5 {
			at, err := next(t.Context())
			require.NoError(t, err)
			require.Equal(t, time.Duration(i)*100*time.Millisecond, at.Sub(began))
			require.Equal(t, at, time.Now())
		}
		time.Sleep(time.Second) // a publish that took long
		for i := range 10 {
			at, err := next(t.Context())
			require.NoError(t, err)
			require.Equal(t, time.Duration(i+5)*100*time.Millisecond, at.Sub(began), "those missed are due at their times")
		}
		o.published = ringSize
		_, err := next(t.Context())
		require.ErrorContains(t, err, "does not keep up")
	})
}

func TestAWaitEndsAtTheFirstFaultOrItsLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet(nil)
		never := func() bool { return false }
		began := time.Now()
		require.ErrorContains(t, f.await(t.Context(), 3*time.Second, "rain", never), "waited 3s for rain")
		require.Equal(t, 3*time.Second, time.Since(began))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, f.sleepUntil(ctx, time.Now().Add(time.Hour)), context.Canceled)
		f.fail(context.DeadlineExceeded)
		f.fail(context.Canceled)
		require.ErrorIs(t, f.await(t.Context(), time.Hour, "rain", never), context.DeadlineExceeded)
		f.close()
	})
}

func TestLatencyIsMeasuredFromTheScheduledTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMoments(3)
		m.joinsAt(1, time.Now())
		time.Sleep(20 * time.Millisecond)
		m.leavesAt(1, time.Now())
		time.Sleep(5 * time.Millisecond)
		m.saw(&change{joins: []present{{0, 1}, {0, 2}, {0, 99}}, leaves: []present{{0, 1}}})
		require.EqualValues(t, 1, m.joined.Count(), "others were not asked for")
		require.EqualValues(t, 1, m.left.Count())
		require.InEpsilon(t, 25e6, float64(m.joined.Percentile(50)), 0.01)
		require.InEpsilon(t, 5e6, float64(m.left.Percentile(50)), 0.01)
	})
}

func TestScheduledTimesAreScatteredOverTheirSlots(t *testing.T) {
	began := time.Now()
	all := scattered(began, 100, 10)
	require.Equal(t, all, scattered(began, 100, 10), "in every run alike")
	phases := map[time.Duration]bool{}
	for i, at := range all {
		slot := began.Add(time.Duration(i) * 100 * time.Millisecond)
		require.False(t, at.Before(slot))
		require.Less(t, at.Sub(slot), 100*time.Millisecond+time.Microsecond)
		phases[at.Sub(slot).Round(10*time.Millisecond)] = true
	}
	require.Greater(t, len(phases), 8)
}
