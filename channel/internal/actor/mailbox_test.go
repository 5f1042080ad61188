package actor

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

func TestMailboxHandlesOneAtATimeInOrder(t *testing.T) {
	var group Group
	group.Add(1)
	const senders, each = 8, 1000
	var busy atomic.Int32
	last := [senders]int{}
	total := 0
	var b Mailbox[[2]int]
	b.Init(&group, Limits{Messages: senders * each}, func(m [2]int) {
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
				require.NoError(t, b.Put([2]int{i, n + 1}, 0))
			}
		})
	}
	sending.Wait()
	group.Done()
	group.Wait()
	require.Equal(t, senders*each, total)
}

// This proves row B085 of the contract: see channel/testdata/contract.txt.
func TestIdleMailboxHasNoGoroutineAndNoMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group Group
		boxes := make([]Mailbox[int], 100)
		for i := range boxes {
			boxes[i].Init(&group, Limits{Messages: 10}, func(int) {})
			require.NoError(t, boxes[i].Put(1, 0))
		}
		group.Wait() // returns only when nothing of the mailboxes runs
		for i := range boxes {
			require.False(t, boxes[i].running)
			require.Zero(t, boxes[i].queue)
		}
	})
}

// collecting returns a mailbox that is held, and what it has handled.
func collecting(group *Group, limits Limits) (*Mailbox[int], *[]int) {
	var b Mailbox[int]
	var got []int
	b.Init(group, limits, func(n int) { got = append(got, n) })
	b.Hold()
	return &b, &got
}

func TestMailboxLimitsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group Group
		b, got := collecting(&group, Limits{Messages: 3, Bytes: 100})
		requireOverflow := func(size, limit int, text string) {
			t.Helper()
			err := b.Put(0, size)
			require.EqualError(t, err, text)
			require.Equal(t, limit, err.(*Overflow).Limit)
		}
		require.NoError(t, b.Put(1, 90))
		requireOverflow(11, 100, "100 bytes")
		require.NoError(t, b.Put(2, 10))
		require.NoError(t, b.Put(3, 0))
		requireOverflow(0, 3, "3 pieces of mail")
		b.Force(4)
		synctest.Wait()
		require.Empty(t, *got, "it is held")
		b.Release()
		b.Release()
		synctest.Wait()
		require.Equal(t, []int{1, 2, 3, 4}, *got)
		require.NoError(t, b.Put(5, 1000), "one message may be larger")
		synctest.Wait()
		require.Equal(t, []int{1, 2, 3, 4, 5}, *got)
	})
}

func TestReplacedMailboxHandlesTheLastMessageOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group Group
		b, got := collecting(&group, Limits{Messages: 3, Bytes: 100})
		require.NoError(t, b.Put(1, 100))
		reports := 0
		b.Replace(9, func() { reports++ })
		b.Replace(8, func() { reports++ })
		b.Force(7)
		require.ErrorIs(t, b.Put(2, 0), ErrClosed)
		synctest.Wait()
		require.Equal(t, 1, reports, "while it is held, and once")
		require.Empty(t, *got)
		b.Release()
		synctest.Wait()
		require.Equal(t, []int{9}, *got)
	})
}

func TestClosedMailboxReturnsWhatWaitsAndHandlesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group Group
		b, got := collecting(&group, Limits{Messages: 3, Bytes: 100})
		require.NoError(t, b.Put(1, 0))
		require.NoError(t, b.Put(2, 0))
		require.Equal(t, []int{1, 2}, b.Close())
		require.Empty(t, b.Close())
		require.ErrorIs(t, b.Put(3, 0), ErrClosed)
		b.Force(4)
		b.Release()
		synctest.Wait()
		require.Empty(t, *got)
	})
}
