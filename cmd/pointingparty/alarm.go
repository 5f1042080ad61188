package main

import (
	"sync"
	"time"
)

// alarm is a function that runs once, later, under a mutex, unless it is
// disarmed before. Everything about it is guarded by that mutex.
type alarm struct {
	timer *time.Timer
	off   bool
}

// alarms counts the alarms that are armed or run, so that wait can wait for the
// last of them.
type alarms struct{ pending sync.WaitGroup }

// arm puts a new alarm into slot, in place of one that is there: after d it
// empties the slot and runs f. It is called with mu held, and f is as well.
func (as *alarms) arm(mu *sync.Mutex, slot **alarm, d time.Duration, f func()) {
	as.disarm(slot)
	a := &alarm{}
	*slot = a
	as.pending.Add(1)
	a.timer = time.AfterFunc(d, func() { as.ring(a, mu, slot, f) })
}

// ring is what the timer does.
func (as *alarms) ring(a *alarm, mu *sync.Mutex, slot **alarm, f func()) {
	defer as.pending.Done()
	mu.Lock()
	defer mu.Unlock()
	if a.off { // disarmed while this waited for mu
		return
	}
	*slot = nil
	f()
}

// disarm empties a slot. It is called with the mutex of arm held.
func (as *alarms) disarm(slot **alarm) {
	a := *slot
	if a == nil {
		return
	}
	*slot = nil
	a.off = true
	if a.timer.Stop() {
		as.pending.Done()
	}
}

// wait returns when no alarm is armed or runs. It is called without the mutexes,
// and after the last arm.
func (as *alarms) wait() { as.pending.Wait() }
