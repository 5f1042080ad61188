package channel

import (
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestCrewKeepsAFewGoroutinesForTheNextJobs(t *testing.T) {
	goleak.VerifyNone(t) // waits for those of other tests that are about to end
	bubble(t, func(t *testing.T) {
		var c crew
		most := 4 * runtime.GOMAXPROCS(0)
		before := runtime.NumGoroutine()
		requireMore := func(n int) {
			for range 100_000 { // one that has ended may still be counted
				if runtime.NumGoroutine()-before == n {
					return
				}
				runtime.Gosched()
			}
			require.Equal(t, n, runtime.NumGoroutine()-before)
		}
		release := make(chan struct{})
		for range 3 * most {
			c.Go(func() { <-release })
		}
		synctest.Wait()
		begun, busy := c.jobs()
		require.Equal(t, uint64(3*most), begun)
		require.Equal(t, int64(3*most), busy)
		close(release)
		synctest.Wait()
		_, busy = c.jobs()
		require.Zero(t, busy)
		requireMore(most)

		ran := 0
		for range 10 * most { // by those that are there
			c.Go(func() { ran++ })
			synctest.Wait()
			requireMore(most)
		}
		require.Equal(t, 10*most, ran)
		c.Go(runtime.Goexit) // as a failing test does
		c.Go(func() { ran++ })
		c.end()
		require.Equal(t, 10*most+1, ran)
		requireMore(0)
	})
}
