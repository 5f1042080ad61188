package channel

import (
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestJobsCountGoroutinesThatHaveBegunAndThoseThatRun(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var j jobs
		requireCounts := func(begun uint64, busy int64) {
			t.Helper()
			synctest.Wait()
			gotBegun, gotBusy := j.counts()
			require.Equal(t, begun, gotBegun)
			require.Equal(t, busy, gotBusy)
		}
		requireCounts(0, 0)
		release := make(chan struct{})
		for range 3 {
			j.Go(func() { <-release })
		}
		requireCounts(3, 3)
		release <- struct{}{}
		requireCounts(3, 2)
		j.Go(runtime.Goexit) // as a test that fails does
		requireCounts(4, 2)
		close(release)
		requireCounts(4, 0)
	})
}
