package channel

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAlarm(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var c crew
		var a alarm
		var mu sync.Mutex
		start := time.Now()
		rang := make(chan time.Duration, 1)
		a.init(&c, func() {
			mu.Lock()
			defer mu.Unlock()
			rang <- a.rung().Sub(start)
		})
		set := func(after time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			a.set(time.Now(), start.Add(after))
		}
		unset := func() {
			mu.Lock()
			defer mu.Unlock()
			a.unset()
		}
		c.Add(1)
		unset()
		set(time.Second)
		set(time.Millisecond)
		require.Equal(t, time.Second, <-rang, "it is not set twice")
		require.Equal(t, time.Second, time.Since(start))
		synctest.Wait()
		begun, busy := c.jobs()
		require.Equal(t, uint64(1), begun)
		require.Zero(t, busy)

		set(2 * time.Second)
		c.Done()
		c.Wait() // for it
		require.Equal(t, 2*time.Second, <-rang)

		c.Add(1)
		set(time.Hour)
		unset()
		c.Done()
		c.end() // not for it
		require.Equal(t, 2*time.Second, time.Since(start))
		require.Empty(t, rang)
	})
}

func TestSettingAnAlarmAllocatesNothing(t *testing.T) {
	var c crew
	var a alarm
	a.init(&c, func() {})
	c.Add(1)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		now := time.Now()
		a.set(now, now.Add(time.Hour))
		a.unset()
	}))
	c.Done()
}
