package yield

import (
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Go's scheduler may call ToOthers back sooner, so these look at many calls.
const calls = 50

func TestOthersGoFirst(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var first int64
	for range calls {
		var others atomic.Int64
		for range 10 {
			go others.Add(1)
		}
		ToOthers()
		first += others.Load()
	}
	require.Greater(t, first, int64(10*calls/2))
}

func TestWhoTookLongIsLeftTheProcessorForAsLongAgain(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const busy = 3 * time.Millisecond
	paused := 0
	for range calls {
		var worked atomic.Bool
		go func() {
			for began := time.Now(); time.Since(began) < busy; {
			}
			worked.Store(true)
		}()
		began := time.Now()
		ToOthers()
		if worked.Load() {
			require.GreaterOrEqual(t, time.Since(began), 2*busy)
			paused++
		}
	}
	require.Positive(t, paused)
}

func TestAPauseIsAsLongAsTheWaitWithinBounds(t *testing.T) {
	for _, c := range []struct{ took, pause time.Duration }{
		{0, 0},
		{tolerance, 0},
		{tolerance + 1, tolerance + 1},
		{5 * time.Millisecond, 5 * time.Millisecond},
		{longest, longest},
		{time.Minute, longest},
	} {
		require.Equal(t, c.pause, pause(c.took), c.took)
	}
}

func TestNoPauseInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		for range 100 {
			go ToOthers()
		}
		ToOthers()
		require.Zero(t, time.Since(began))
	})
}

func BenchmarkToOthers(b *testing.B) {
	for b.Loop() {
		ToOthers()
	}
}
