package channel

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Each line is a moment and how many are taken then; "no" stands for refused.
func TestBucketBoundsHowOften(t *testing.T) {
	type step struct {
		at time.Duration
		n  int
		ok bool
	}
	const s = time.Second
	for _, c := range []struct {
		name  string
		rate  rate
		steps []step
	}{
		{"a burst, then a rate", newRate(2, 3), []step{
			{0, 1, true}, {0, 1, true}, {0, 1, true}, {0, 1, false}, {s/2 - 1, 1, false}, {s / 2, 1, true}, {s / 2, 1, false}, {s, 1, true}, {s, 1, false}}},
		{"no more than a burst comes back", newRate(2, 3), []step{{0, 3, true}, {1000 * s, 3, true}, {1000 * s, 1, false}}},
		{"who is refused pays nothing", newRate(1, 2), []step{{0, 2, true}, {s, 2, false}, {s, 1, true}, {s, 1, false}}},
		{"many at once are possible when it is full", newRate(1, 3), []step{{0, 100, true}, {2 * s, 100, false}, {3 * s, 100, true}}},
		{"less than one a second", newRate(0.5, 1), []step{{0, 1, true}, {2*s - 1, 1, false}, {2 * s, 1, true}}},
		{"a fraction that is no whole number of nanoseconds", newRate(3, 3), []step{{0, 3, true}, {0, 1, false}, {s / 3, 1, true}, {s / 3, 1, false}}},
		{"above a billion a second is without bound", newRate(2e9, 1), []step{{0, 1, true}, {0, 1, true}, {0, 1 << 30, true}}},
		{"next to never", newRate(1e-300, 1<<30), []step{{0, 1, true}, {s, 1, false}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bucket
			for i, step := range c.steps {
				require.Equal(t, step.ok, b.take(step.at, c.rate, step.n), "step %d", i)
			}
		})
	}
}
