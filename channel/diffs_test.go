package channel

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
)

func TestDiffsMergeAsOneByOne(t *testing.T) {
	for _, n := range []int{0, 1, 2, 7, minDiffs, 5*minDiffs + 3} {
		r := rand.New(rand.NewPCG(uint64(n), 3))
		var q diffs
		var want presence.Diff
		present := []string{}
		for i := range n {
			var d presence.Diff
			if at := r.IntN(len(present) + 1); at < len(present) && r.IntN(3) > 0 {
				d.Leaves = entry1("k", present[at])
				present = append(present[:at], present[at+1:]...)
			} else {
				ref := fmt.Sprint(i)
				d.Joins = entry1("k", ref)
				present = append(present, ref)
			}
			want = want.Merge(d)
			q.add(d, presence.Diff{})
			require.LessOrEqual(t, len(q.list), max(minDiffs, 2*n))
		}
		got := q.take()
		require.Equal(t, string(want.JSON()), string(got.JSON()), "%d", n)
		require.True(t, q.empty())
	}
}

func BenchmarkDiffs(b *testing.B) {
	var q diffs
	for i := range b.N {
		key := fmt.Sprint(i % 20_000)
		q.add(presence.Diff{Joins: entry1(key, key)})
		if i%20_000 == 0 {
			q.take()
		}
	}
}
