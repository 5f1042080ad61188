package channel

import (
	"math"
	"time"
)

// alarm is a timer that Close waits for while it is set, and that is set again
// without allocating.
type alarm struct {
	crew  *crew       // static after init
	timer *time.Timer // static after init

	// guarded by the owner's lock
	isSet bool // ring will be called
	due   time.Time
}

// init has the alarm call ring when it is due, without the owner's lock.
func (a *alarm) init(c *crew, ring func()) {
	a.crew = c
	a.timer = time.AfterFunc(math.MaxInt64, func() {
		defer c.Done()
		c.begun.Add(1)
		defer c.ended.Add(1)
		ring()
	})
	a.timer.Stop()
}

// set has it ring at due, unless it is set. The caller holds the crew above zero.
func (a *alarm) set(now, due time.Time) {
	if a.isSet {
		return
	}
	a.isSet, a.due = true, due
	a.crew.Add(1)
	a.timer.Reset(due.Sub(now))
}

// unset keeps it from ringing, where that has not begun.
func (a *alarm) unset() {
	if a.isSet && a.timer.Stop() {
		a.isSet = false
		a.crew.Done()
	}
}

// rung is what ring calls once it has the lock: it may be set again then. It
// returns when the alarm was due.
func (a *alarm) rung() time.Time {
	a.isSet = false
	return a.due
}
