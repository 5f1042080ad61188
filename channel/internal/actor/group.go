package actor

import (
	"sync"
	"sync/atomic"
	"time"
)

// A Group is the goroutines and timers that a shutdown waits for. Add, Done and Wait are
// those of the WaitGroup. The zero Group is empty. It must not be copied.
//
// It counts how many functions have begun and how many have ended. Each lasts only while
// there is something to do, so nothing is going on when both are equal.
type Group struct {
	sync.WaitGroup
	begun, ended atomic.Uint64
}

// Go runs f on a goroutine. The caller holds the group above zero.
func (g *Group) Go(f func()) {
	g.Add(1)
	g.begun.Add(1)
	go g.run(f)
}

// After is time.AfterFunc: it runs f on a goroutine after d. The caller holds the group
// above zero. stop prevents that and reports true; it reports false if f has begun, or
// was stopped before.
func (g *Group) After(d time.Duration, f func()) (stop func() bool) {
	g.Add(1)
	timer := time.AfterFunc(d, func() {
		g.begun.Add(1)
		g.run(f)
	})
	return func() bool {
		stopped := timer.Stop()
		if stopped {
			g.Done()
		}
		return stopped
	}
}

// run ends what Go and After have begun.
func (g *Group) run(f func()) {
	defer g.Done()
	defer g.ended.Add(1)
	f()
}

// Counts returns how many functions have begun, and how many of them have not ended.
// When busy is 0, there was a moment during the call at which none ran.
func (g *Group) Counts() (begun uint64, busy int64) {
	ended := g.ended.Load() // first, so that busy is never too low
	begun = g.begun.Load()
	return begun, int64(begun - ended)
}
