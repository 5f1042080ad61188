package room

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
		var q Diffs
		var want presence.Diff
		present := []string{}
		for i := range n {
			var d presence.Diff
			if at := r.IntN(len(present) + 1); at < len(present) && r.IntN(3) > 0 {
				d.Leaves = list("k:" + present[at])
				present = append(present[:at], present[at+1:]...)
			} else {
				ref := fmt.Sprint(i)
				d.Joins = list("k:" + ref)
				present = append(present, ref)
			}
			want = want.Merge(d)
			q.Add(d, presence.Diff{})
			require.LessOrEqual(t, len(q.list), max(minDiffs, 2*n))
		}
		got := q.Take()
		require.Equal(t, string(want.JSON()), string(got.JSON()), "%d", n)
		require.True(t, q.Empty())
	}
}

func TestDiffsAreBoundedByTheNetChange(t *testing.T) {
	var q Diffs
	for i := range 20 * minDiffs {
		ref := list(fmt.Sprint("k:", i))
		q.Add(presence.Diff{Joins: ref}, presence.Diff{Leaves: ref})
		require.Less(t, len(q.list), minDiffs)
	}
	require.True(t, q.Take().Empty())
}

func BenchmarkDiffs(b *testing.B) {
	var q Diffs
	for i := range b.N {
		key := fmt.Sprint(i % 20_000)
		q.Add(presence.Diff{Joins: []presence.Presence{{Key: key, Metas: []presence.Meta{{Ref: key}}}}})
		if i%20_000 == 0 {
			q.Take()
		}
	}
}
