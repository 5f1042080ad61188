package admit

import (
	"sync"
	"time"
)

// A Controller admits joins. New makes one.
type Controller struct {
	// static after New
	after func(time.Duration, func()) (stop func() bool)

	mu      sync.Mutex // guards what follows, and each Join
	machine machine
	stop    func() bool // stops the timer that calls tick; nil: there is none
	due     time.Time   // of the timer
}

// Limits are those of each queue. All are positive.
type Limits struct {
	Running int           // joins that run at once
	Slots   int           // of them, joins that hold a slot at once
	Waiting int           // joins that wait, beyond those that may run; half of it for one topic
	Wait    time.Duration // how long a join waits at most
}

// New returns a controller. after is time.AfterFunc, or a function like it.
func New(limits Limits, after func(time.Duration, func()) (stop func() bool)) *Controller {
	return &Controller{after: after, machine: machine{limits: limits, queues: map[any]*queue{}}}
}

// A Releaser is told that its join no longer waits. Release is called once, without a
// lock of the controller, by the goroutine that led to it or by the timer's. It must not
// block.
type Releaser interface{ Release() }

// Enter lets j run, now or in its turn, or refuses it. It is called once for each join.
func (c *Controller) Enter(j *Join, queue any, topic string, r Releaser) {
	e := &entry{join: j, releaser: r} // allocated without the lock
	c.step(func(now time.Time) []*entry { return c.machine.enter(e, queue, topic, now) })
}

// End ends j, if it runs. It is called by what Release began.
func (c *Controller) End(j *Join) {
	if j.state != Running {
		return
	}
	c.step(func(now time.Time) []*entry {
		released, slot := c.machine.end(j, now)
		if slot.pause > 0 {
			c.cool(slot)
		}
		return released
	})
}

// cool ends the cooldown of a slot when its time has come. Each has a timer of its own: one
// timer for all ends cooldowns in groups, and BenchmarkJoins is slower with it.
func (c *Controller) cool(slot cooling) {
	c.after(slot.pause, func() {
		c.step(func(now time.Time) []*entry { return c.machine.cooled(slot.queue, now) })
	})
}

// Withdraw gives up and releases j, if it waits.
func (c *Controller) Withdraw(j *Join) {
	c.step(func(time.Time) []*entry { return c.machine.withdraw(j) })
}

// Counts are of all queues.
type Counts struct {
	Running int    // now
	Waiting int    // now
	Waited  uint64 // had to wait, whatever became of them
	Refused uint64 // Crowded or Late
}

// Counts returns the counts.
func (c *Controller) Counts() Counts {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.machine.counts()
}

func (c *Controller) tick() {
	c.step(func(now time.Time) []*entry {
		c.stop = nil
		return c.machine.tick(now)
	})
}

// step gives the machine an input, and releases the joins that it returns.
func (c *Controller) step(input func(now time.Time) []*entry) {
	for _, e := range c.locked(input) {
		e.releaser.Release()
	}
}

func (c *Controller) locked(input func(now time.Time) []*entry) []*entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	released := input(now)
	c.schedule(now)
	return released
}

// schedule sets the timer for the machine's next tick. A timer that is early is left
// alone, since tick schedules anew. One that is not needed is stopped, or a shutdown would
// wait for it. mu is held.
func (c *Controller) schedule(now time.Time) {
	due := c.machine.next()
	if c.stop != nil {
		if !c.due.After(due) || !c.stop() {
			return
		}
		c.stop = nil
	}
	if !due.IsZero() {
		c.due = due
		c.stop = c.after(due.Sub(now), c.tick)
	}
}
