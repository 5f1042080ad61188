package channel

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestALateAlarmTellsOfPatience(t *testing.T) {
	for _, c := range []struct{ late, patience time.Duration }{
		{-time.Microsecond, patienceUsual},
		{0, patienceUsual},
		{onTime, patienceUsual},
		{onTime + 1, patienceBusy},
		{time.Minute, patienceBusy},
	} {
		require.Equal(t, c.patience, patienceOf(c.late), c.late)
	}
}

func TestPatienceEndsForThoseWhoHaveLastedSoLong(t *testing.T) {
	const ms = time.Millisecond
	start := time.Now()
	for _, c := range []struct {
		at, patience time.Duration
		over         int           // of those who began at 0, 1, 5 ms
		look         time.Duration // after that; 0: never
	}{
		{0, ms, 0, ms},
		{ms - 1, ms, 0, ms},
		{ms, ms, 1, 2 * ms},
		{3 * ms, ms, 2, 6 * ms},
		{5 * ms, ms, 2, 6 * ms},
		{6 * ms, ms, 3, 0},
		{6 * ms, 10 * ms, 0, 7 * ms}, // spared
		{10 * ms, 10 * ms, 1, 11 * ms},
		{15 * ms, 10 * ms, 3, 0},
	} {
		var f freshness
		for _, at := range []time.Duration{0, ms, 5 * ms} {
			f.begin(newJoiner(&member{}), start.Add(at))
		}
		over := 0
		for f.over(start.Add(c.at), c.patience) != nil {
			over++
		}
		require.Equal(t, c.over, over, "%+v", c)
		look, ok := f.look(start.Add(c.at))
		require.Equal(t, c.look > 0, ok, "%+v", c)
		if ok {
			require.Equal(t, c.look, look.Sub(start), "%+v", c)
		}
	}
}
