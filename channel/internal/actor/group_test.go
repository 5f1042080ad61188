package actor

import (
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func requireCounts(t *testing.T, g *Group, begun uint64, busy int64) {
	t.Helper()
	synctest.Wait()
	gotBegun, gotBusy := g.Counts()
	require.Equal(t, begun, gotBegun)
	require.Equal(t, busy, gotBusy)
}

func TestGroupCountsGoroutinesThatHaveBegunAndThoseThatRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group
		requireCounts(t, &g, 0, 0)
		release := make(chan struct{})
		for range 3 {
			g.Go(func() { <-release })
		}
		requireCounts(t, &g, 3, 3)
		release <- struct{}{}
		requireCounts(t, &g, 3, 2)
		g.Go(runtime.Goexit) // as a test that fails does
		requireCounts(t, &g, 4, 2)
		close(release)
		requireCounts(t, &g, 4, 0)
	})
}

func TestWaitEndsWhenEachTimerHasRunOrIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g Group
		began, ran := time.Now(), false
		stop := g.After(time.Second, func() { ran = true })
		stopped := g.After(time.Hour, func() { t.Error("it is stopped") })
		require.True(t, stopped())
		require.False(t, stopped(), "before")
		requireCounts(t, &g, 0, 0)
		g.Wait()
		require.Equal(t, time.Second, time.Since(began))
		require.True(t, ran)
		require.False(t, stop(), "it has run")
		requireCounts(t, &g, 1, 0)
	})
}
