package crdt

import (
	"slices"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// The chunked list behaves as a plain sorted list, and its chunks stay ordered,
// non-empty and reasonably full.
func TestStoreIsASortedList(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s store[string, int]
		var want []uint64
		spread := rapid.SampledFrom([]int{50, 400, 2000}).Draw(t, "spread")
		for i, n := 0, rapid.IntRange(0, 600).Draw(t, "operations"); i < n; i++ {
			dot := uint64(rapid.IntRange(1, spread).Draw(t, "dot"))
			j, held := slices.BinarySearch(want, dot)
			if rapid.IntRange(0, 2).Draw(t, "op") > 0 {
				require.Equal(t, !held, s.put(entry{Dot: dot}))
				if !held {
					want = slices.Insert(want, j, dot)
				}
			} else {
				e, ok := s.remove(dot)
				require.Equal(t, held, ok)
				if held {
					require.Equal(t, dot, e.Dot)
					want = slices.Delete(want, j, j+1)
				}
			}
		}
		require.Equal(t, len(want), s.len())
		low := uint64(rapid.IntRange(0, spread).Draw(t, "low"))
		var above []uint64
		for e := range s.ascend(low) {
			above = append(above, e.Dot)
		}
		i := sort.Search(len(want), func(i int) bool { return want[i] > low })
		require.Equal(t, append([]uint64(nil), want[i:]...), above)
		copied := s.above(low)
		require.Len(t, copied, len(above))
		for j, e := range copied {
			require.Equal(t, above[j], e.Dot)
		}
		for c := range s.count() {
			chunk := s.chunk(c)
			require.NotEmpty(t, chunk)
			require.LessOrEqual(t, len(chunk), chunkSize)
			if s.dir != nil {
				require.Greater(t, s.count(), 1)
				require.Equal(t, chunk[0].Dot, s.dir.firsts[c])
			}
			if c > 0 {
				before := s.chunk(c - 1)
				require.Greater(t, chunk[0].Dot, before[len(before)-1].Dot)
			}
		}
	})
}
