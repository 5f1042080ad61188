package channel

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestMailboxHandlesOneAtATimeInOrder(t *testing.T) {
	var group jobs
	group.Add(1)
	const senders, each = 8, 1000
	var busy atomic.Int32
	last := [senders]int{}
	total := 0
	var b mailbox[[2]int]
	b.init(&group, senders*each, 0, false, func(m [2]int) {
		require.Equal(t, int32(1), busy.Add(1))
		require.Equal(t, last[m[0]]+1, m[1])
		last[m[0]] = m[1]
		total++
		busy.Add(-1)
	})
	var sending sync.WaitGroup
	for i := range senders {
		sending.Go(func() {
			for n := range each {
				require.NoError(t, b.put([2]int{i, n + 1}, 0))
			}
		})
	}
	sending.Wait()
	group.Done()
	group.Wait()
	require.Equal(t, senders*each, total)
}

func TestMailboxWithoutMailHasNoGoroutine(t *testing.T) {
	proves(t, "B085")
	bubble(t, func(t *testing.T) {
		var group jobs
		defer group.Wait()
		boxes := make([]mailbox[int], 100)
		for i := range boxes {
			boxes[i].init(&group, 10, 0, false, func(int) {})
			require.NoError(t, boxes[i].put(1, 0))
		}
		group.Wait() // returns only when nothing of the mailboxes runs
		for i := range boxes {
			require.False(t, boxes[i].running)
			require.Zero(t, boxes[i].queue)
		}
	})
}

func TestMailboxBounds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var group jobs
		defer group.Wait()
		var got []int
		var b mailbox[int]
		b.init(&group, 3, 100, true, func(n int) { got = append(got, n) })
		require.NoError(t, b.put(1, 90))
		require.ErrorIs(t, b.put(0, 11), errMailboxFull, "bytes")
		require.NoError(t, b.put(2, 10))
		require.NoError(t, b.put(3, 0))
		require.ErrorIs(t, b.put(0, 0), errMailboxFull, "pieces")
		b.force(4)
		synctest.Wait()
		require.Empty(t, got, "it is held")
		b.release()
		b.release()
		synctest.Wait()
		require.Equal(t, []int{1, 2, 3, 4}, got)
		require.NoError(t, b.put(5, 1000), "one piece may be as large as it likes")
		synctest.Wait()
		require.Equal(t, []int{1, 2, 3, 4, 5}, got)
	})
}

func TestMailboxReplaceAndClose(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var group jobs
		defer group.Wait()
		var got []int
		var b, c mailbox[int]
		told := 0
		b.init(&group, 3, 100, true, func(n int) { got = append(got, n) })
		require.NoError(t, b.put(1, 0))
		b.replace(9, func() { told++ })
		b.replace(8, func() { told++ })
		b.force(7)
		require.ErrorIs(t, b.put(2, 0), ErrClosed)
		synctest.Wait()
		require.Equal(t, 1, told, "while it is held, and once")
		b.release()
		synctest.Wait()
		require.Equal(t, []int{9}, got)

		c.init(&group, 3, 100, true, func(n int) { got = append(got, n) })
		require.NoError(t, c.put(1, 0))
		require.NoError(t, c.put(2, 0))
		require.Equal(t, []int{1, 2}, c.close())
		require.ErrorIs(t, c.put(3, 0), ErrClosed)
		c.release()
		synctest.Wait()
		require.Equal(t, []int{9}, got)
	})
}
