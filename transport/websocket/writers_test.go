package websocket

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// One outbox that is written to without end does not keep the others waiting.
func TestWritersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group sync.WaitGroup
		w := newWriters(&group)
		w.most = 1
		busy, other := newTestOutbox(1<<20, w), newTestOutbox(1<<20, w)
		more := 100
		busy.port.after = func() {
			if more--; more == 90 {
				other.send(text("x"))
			}
			if more > 0 {
				busy.send(text("x"))
			}
			if len(other.port.batches) == 0 {
				require.Greater(t, more, 80)
			}
		}
		busy.send(text("x"))
		group.Wait()
		require.Len(t, busy.port.batches, 100)
		require.Len(t, other.port.batches, 1)
		busy.port.stop()
		other.port.stop()
	})
}

// A writer ends when nothing waits, and leaves nothing behind.
func TestWritersComeAndGo(t *testing.T) {
	var group sync.WaitGroup
	w := newWriters(&group)
	outboxes := make([]*testOutbox, 200)
	for i := range outboxes {
		outboxes[i] = newTestOutbox(1<<20, w)
	}
	const rounds = 300
	for n := range rounds {
		for _, o := range outboxes {
			f := text(fmt.Sprint(n))
			f.LowPriority = n%3 > 0
			o.send(f)
		}
	}
	group.Wait()
	require.Zero(t, w.active+w.activeLow)
	require.Zero(t, w.normal.Len()+w.low.Len())
	for _, o := range outboxes {
		require.Equal(t, rounds, len(strings.Fields(strings.Join(o.port.batches, " "))))
		o.port.stop()
	}
}

// A second writer starts only when more outboxes wait than one writes for, and never
// for outboxes at the low priority beyond half of the writers.
func TestWritersAreAsManyAsTheOutboxesThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group sync.WaitGroup
		w := newWriters(&group)
		w.most, w.mostLow = 2, 1
		run, starts := w.start, 0
		w.start = func() {
			w.mu.Lock()
			starts++
			w.mu.Unlock()
			run()
		}
		release := make(chan struct{})
		active := func() int {
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.active
		}
		busy := func(f *wire.Frame) {
			o := newTestOutbox(1<<20, w)
			o.port.after = func() { <-release }
			o.send(f)
		}
		busy(lowPriority("d"))
		require.Equal(t, 1, active())
		for range 2 * perWriter {
			newTestOutbox(1<<20, w).send(lowPriority("d"))
		}
		require.Equal(t, 1, active(), "half of the writers")
		for range perWriter {
			newTestOutbox(1<<20, w).send(text("x"))
		}
		require.Equal(t, 1, active(), "one writes for as many")
		require.Equal(t, 1, starts)
		busy(text("x"))
		require.Equal(t, 2, active())
		close(release)
		group.Wait()
		require.Zero(t, w.active+w.activeLow+w.normal.Len()+w.low.Len())
	})
}
