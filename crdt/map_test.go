package crdt

import (
	"cmp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestMapHoldsWhatItsReplicasHold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var m Map[string, string, int]
		replicas := []string{"eu", "us"}
		histories := map[string]*history{}
		for _, r := range replicas {
			histories[r] = drawHistory(t)
			for _, d := range histories[r].deltas {
				m.Apply(r, d)
			}
		}
		if rapid.Bool().Draw(t, "drop us") {
			require.Len(t, m.Drop("us").Removed, len(histories["us"].simple.at(histories["us"].counter)))
			require.Zero(t, m.Seq("us"))
			histories["us"] = &history{simple: newSimpleOwner()}
		}
		var want []Held[string, string, int]
		for _, r := range replicas {
			for _, e := range histories[r].simple.at(histories[r].counter) {
				want = append(want, Held[string, string, int]{r, e})
			}
		}
		slices.SortFunc(want, func(a, b Held[string, string, int]) int {
			return cmp.Or(cmp.Compare(a.Replica, b.Replica), cmp.Compare(a.Dot, b.Dot))
		})
		require.Equal(t, want, m.All())
		for _, key := range []string{"a", "b", "c"} {
			var under []Held[string, string, int]
			for _, h := range want {
				if h.Key == key {
					under = append(under, h)
				}
			}
			require.Equal(t, under, m.Get(key))
		}
		require.Equal(t, len(want), m.Len())
	})
}
