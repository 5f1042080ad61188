package main

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestAnAlarmRunsOnceUnderItsMutex(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var as alarms
		var mu sync.Mutex
		var slot *alarm
		ran := 0
		mu.Lock()
		as.arm(&mu, &slot, time.Second, func() { ran++; require.False(t, mu.TryLock()) })
		mu.Unlock()
		time.Sleep(time.Hour) // virtual
		as.wait()
		require.Equal(t, 1, ran)
		require.Nil(t, slot)
	})
}

func TestAnAlarmThatIsReplacedWhileItWaitsForTheMutexDoesNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var as alarms
		var mu sync.Mutex
		var slot *alarm
		var ran []string
		first, second := func() { ran = append(ran, "first") }, func() { ran = append(ran, "second") }
		mu.Lock()
		as.arm(&mu, &slot, time.Hour, first)
		late := slot
		late.timer.Stop() // as when it has gone off: its ring is on the way
		as.arm(&mu, &slot, time.Second, second)
		mu.Unlock()
		as.ring(late, &mu, &slot, first)
		mu.Lock()
		require.NotNil(t, slot, "the second stays armed")
		mu.Unlock()
		as.wait()
		require.Equal(t, []string{"second"}, ran)
	})
}

func TestADisarmedAlarmIsNotWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var as alarms
		var mu sync.Mutex
		var slot *alarm
		mu.Lock()
		as.arm(&mu, &slot, time.Hour, func() { t.Error("ran") })
		as.disarm(&slot)
		as.disarm(&slot)
		mu.Unlock()
		began := time.Now()
		as.wait()
		require.Zero(t, time.Since(began))
	})
}
