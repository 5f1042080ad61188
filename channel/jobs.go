package channel

import (
	"sync"
	"sync/atomic"
)

// jobs is what Close of an endpoint waits for: Add and Done are those of the
// WaitGroup. It counts the goroutines that have begun and ended, since each lasts only
// while there is something to do: when as many ended as began, nothing is going on.
type jobs struct {
	sync.WaitGroup
	begun, ended atomic.Uint64
}

// Go runs f on a goroutine. The caller holds the jobs above zero.
func (j *jobs) Go(f func()) {
	j.Add(1)
	j.begun.Add(1)
	go func() {
		defer j.Done()
		defer j.ended.Add(1)
		f()
	}()
}

// counts returns how many goroutines have begun, and how many of them have not
// ended. None has, at one moment, when busy is 0: what ended is read first.
func (j *jobs) counts() (begun uint64, busy int64) {
	ended := j.ended.Load()
	begun = j.begun.Load()
	return begun, int64(begun - ended)
}
