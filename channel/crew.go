package channel

import (
	"sync"
	"sync/atomic"
)

// crew is the goroutines of an endpoint, and what else Close waits for: Add and
// Done are those of the WaitGroup. It knows how many goroutines have begun and
// ended, since each exists only while it has something to do: when as many ended
// as began, nothing is going on.
type crew struct {
	sync.WaitGroup
	begun, ended atomic.Uint64
}

// Go runs f on a goroutine. The caller holds the crew above zero.
func (c *crew) Go(f func()) {
	c.begun.Add(1)
	c.WaitGroup.Go(func() {
		defer c.ended.Add(1)
		f()
	})
}

// work is how many goroutines have begun, and how many of them have not ended.
// None has, at one moment, when busy is 0: what ended is read first.
func (c *crew) work() (begun uint64, busy int64) {
	ended := c.ended.Load()
	begun = c.begun.Load()
	return begun, int64(begun - ended)
}
