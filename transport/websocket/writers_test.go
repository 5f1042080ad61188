package websocket

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/internal/yield"
)

// One outbox that is written to without end does not keep the others waiting.
func TestWritersTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group sync.WaitGroup
		w := newWriters(&group, yield.ToOthers)
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

// The writers come and go with what waits, and their queue does not grow with
// what has passed through it.
func TestWritersQueueStaysSmall(t *testing.T) {
	var group sync.WaitGroup
	w := newWriters(&group, yield.ToOthers)
	outboxes := make([]*testOutbox, 200)
	for i := range outboxes {
		outboxes[i] = newTestOutbox(1<<20, w)
	}
	const rounds = 300
	for n := range rounds {
		for _, o := range outboxes {
			f := text(fmt.Sprint(n))
			f.Patient = n%3 > 0
			o.send(f)
		}
	}
	group.Wait()
	require.Zero(t, w.active)
	require.Zero(t, w.prompt.len()+w.patient.len())
	require.LessOrEqual(t, cap(w.prompt.ready), 4*len(outboxes))
	require.LessOrEqual(t, cap(w.patient.ready), 4*len(outboxes))
	for _, o := range outboxes {
		require.Equal(t, rounds, len(strings.Fields(strings.Join(o.port.batches, " "))))
		o.port.stop()
	}
}
