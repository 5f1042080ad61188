package admit

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// runner is a join that runs for some time.
type runner struct {
	Join
	run func(*runner)
}

func (r *runner) Release() { go r.run(r) }

// requireIdle fails if a join runs or waits, a slot cools down, or the timer is set.
func requireIdle(t *testing.T, c *Controller) {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	require.Empty(t, c.machine.queues)
	require.Zero(t, c.machine.counts().Running+c.machine.counts().Waiting)
	require.Nil(t, c.stop)
}

// afterFunc is time.AfterFunc as New takes it.
func afterFunc(d time.Duration, f func()) func() bool { return time.AfterFunc(d, f).Stop }

func TestTimerIsThatOfTheNextTick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began, set := time.Now(), make(chan time.Duration, 10)
		var timers atomic.Int64 // that are set
		c := New(Limits{Running: 2, Slots: 1, Waiting: 10, Wait: time.Hour}, func(d time.Duration, f func()) func() bool {
			set <- time.Since(began) + d
			timers.Add(1)
			stop := afterFunc(d, func() {
				timers.Add(-1)
				f()
			})
			return func() bool {
				stopped := stop()
				if stopped {
					timers.Add(-1)
				}
				return stopped
			}
		})
		requireSet := func(want ...time.Duration) {
			t.Helper()
			synctest.Wait()
			for _, at := range want {
				require.Equal(t, at, <-set)
			}
			require.Empty(t, set)
		}
		var joins [4]runner
		for i := range joins {
			joins[i].run = func(*runner) {}
			c.Enter(&joins[i].Join, "", "a", &joins[i])
		}
		requireSet(time.Millisecond) // the first slot ends, and nothing else before
		time.Sleep(10 * time.Millisecond)
		requireSet(2*time.Millisecond, time.Hour) // the slot of the second; then nothing before Wait
		c.End(&joins[0].Join)
		requireSet(11 * time.Millisecond) // sooner than the hour
		require.EqualValues(t, 1, timers.Load())
		c.Withdraw(&joins[3].Join)
		require.Zero(t, timers.Load(), "nothing waits")
		c.End(&joins[0].Join)
		c.Withdraw(&joins[1].Join)
		require.Equal(t, Counts{Running: 2, Waited: 3}, c.Counts(), "it has ended, and that one runs")
		c.End(&joins[1].Join)
		c.End(&joins[2].Join)
		requireIdle(t, c)
		requireSet()
	})
}

// Many joins enter at once on all cores, and some of them give up: for the race detector,
// and for the limits.
func TestControllerUnderAStorm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 5
		var c *Controller
		var running, worst, ran, released atomic.Int64
		run := func(r *runner) {
			released.Add(1)
			if r.State() != Running {
				return
			}
			n := running.Add(1)
			for w := worst.Load(); n > w && !worst.CompareAndSwap(w, n); w = worst.Load() {
			}
			time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
			running.Add(-1)
			ran.Add(1)
			c.End(&r.Join)
			c.End(&r.Join)
		}
		c = New(Limits{Running: most, Slots: most - 1, Waiting: 200, Wait: 20 * time.Millisecond}, afterFunc)
		for i := range 500 {
			go func() {
				time.Sleep(time.Duration(i%7) * time.Millisecond)
				r := &runner{run: run}
				c.Enter(&r.Join, "", fmt.Sprint("t", i%10), r)
				if i%3 == 0 {
					time.Sleep(time.Duration(i%5) * 3 * time.Millisecond)
					c.Withdraw(&r.Join)
				}
			}()
		}
		time.Sleep(time.Second)
		require.EqualValues(t, 500, released.Load())
		require.EqualValues(t, most, worst.Load())
		require.Greater(t, ran.Load(), int64(50))
		require.Positive(t, c.Counts().Refused)
		requireIdle(t, c)
	})
}
