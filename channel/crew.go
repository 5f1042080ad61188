package channel

import (
	"runtime"
	"sync"
	"sync/atomic"
)

// crew is the goroutines of an endpoint, and what else Close waits for: Add and
// Done are those of the WaitGroup. It knows how many jobs have begun and ended,
// since each lasts only while there is something to do: when as many ended as
// began, nothing is going on.
//
// A few goroutines wait for the next job, because their stacks are as large as
// jobs need: growing one from 2 KiB took an eighth of what connecting and joining
// costs. end ends them.
type crew struct {
	sync.WaitGroup
	begun, ended atomic.Uint64

	mu sync.Mutex
	// guarded by mu
	idle  []chan func() // each a goroutine's; the last is the next to be used
	over  bool
	hands sync.WaitGroup // the goroutines
}

// Go runs f on a goroutine. The caller holds the crew above zero.
func (c *crew) Go(f func()) {
	c.begun.Add(1)
	c.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if last := len(c.idle) - 1; last >= 0 {
		c.idle[last] <- f
		c.idle = c.idle[:last]
		return
	}
	c.hands.Go(func() { c.work(f) })
}

// work is a goroutine.
func (c *crew) work(f func()) {
	jobs := make(chan func(), 1) // room for the one that Go gives to who waits
	for f != nil {
		c.do(f)
		if !c.rest(jobs) {
			return
		}
		f = <-jobs
	}
}

func (c *crew) do(f func()) {
	defer c.Done()
	defer c.ended.Add(1)
	f()
}

// rest has a goroutine wait for its next job, unless enough do.
func (c *crew) rest(jobs chan func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over || len(c.idle) >= 4*runtime.GOMAXPROCS(0) {
		return false
	}
	c.idle = append(c.idle, jobs)
	return true
}

// end waits until all jobs have ended, and then for the goroutines.
func (c *crew) end() {
	c.Wait()
	c.mu.Lock()
	c.over = true
	for _, jobs := range c.idle {
		close(jobs)
	}
	c.idle = nil
	c.mu.Unlock()
	c.hands.Wait()
}

// jobs is how many have begun, and how many of them have not ended. None has, at
// one moment, when busy is 0: what ended is read first.
func (c *crew) jobs() (begun uint64, busy int64) {
	ended := c.ended.Load()
	begun = c.begun.Load()
	return begun, int64(begun - ended)
}
