package presence

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func presenceOf(key string, refs ...string) Presence {
	p := Presence{Key: key}
	for _, ref := range refs {
		p.Metas = append(p.Metas, Meta{Ref: ref, Data: json.RawMessage(`{"of":"` + ref + `"}`)})
	}
	return p
}

func TestApplyKeepsOrderAndPlaces(t *testing.T) {
	l := &List{Topic: "t", Complete: true, Presences: []Presence{presenceOf("a", "1"), presenceOf("b", "2", "3", "4"), presenceOf("d", "5")}}
	updated := presenceOf("b", "6", "7")
	updated.Metas[0].PrevRef = "3" // in its place
	updated.Metas[1].PrevRef = "9" // of which l knows nothing
	for _, encoded := range []bool{false, true} {
		if encoded {
			l.JSON()
		}
		next := l.Apply(Diff{
			Joins:  []Presence{presenceOf("0", "8"), updated, presenceOf("c", "10"), presenceOf("e", "11")},
			Leaves: []Presence{presenceOf("b", "2", "3"), presenceOf("c", "12"), presenceOf("d", "5"), presenceOf("z", "13")},
		})
		want := updated
		want.Metas = []Meta{updated.Metas[0], l.Presences[1].Metas[2], updated.Metas[1]}
		require.Equal(t, []Presence{presenceOf("0", "8"), presenceOf("a", "1"), want, presenceOf("c", "10"), presenceOf("e", "11")}, next.Presences)
		require.True(t, next.Complete)
		require.Equal(t, encoded, next.encoded.Load() != nil)
		require.Len(t, l.Presences, 3, "the old one stays as it is")
		require.Len(t, l.Presences[1].Metas, 3)
		require.Same(t, l, l.Apply(Diff{}))
	}
}

// What is put together from pieces is what would have been encoded at once.
func TestAListFromPiecesIsEncodedAsAWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	l := &List{Topic: "t"}
	present := map[string]Presence{}
	for i := range 2000 {
		var d Diff
		for range r.IntN(4) {
			key := fmt.Sprintf("k<%d", r.IntN(30))
			old, there := present[key]
			if there && indexKey(d.Leaves, key) < 0 && indexKey(d.Joins, key) < 0 {
				d.Leaves = append(d.Leaves, old)
				delete(present, key)
			}
			if r.IntN(3) > 0 && indexKey(d.Joins, key) < 0 {
				p := presenceOf(key, fmt.Sprint(i))
				d.Joins = append(d.Joins, p)
				present[key] = p
			}
		}
		// As a replica gives them: sorted by key.
		l = l.Apply(Diff{}.Merge(Diff{Joins: sortedByKey(d.Joins), Leaves: sortedByKey(d.Leaves)}))
		if r.IntN(3) == 0 {
			l.JSON()
		}
		whole := &List{Presences: l.Presences}
		require.Equal(t, string(whole.JSON()), string(l.JSON()))
		require.Equal(t, whole.encoded.Load().ends, l.encoded.Load().ends)
		require.Len(t, l.Presences, len(present))
		for _, p := range l.Presences {
			require.Equal(t, present[p.Key], p)
		}
	}
}

func indexKey(list []Presence, key string) int {
	for i, p := range list {
		if p.Key == key {
			return i
		}
	}
	return -1
}

func sortedByKey(list []Presence) []Presence {
	c := byKey{}
	for _, p := range list {
		c[p.Key] = p.Metas
	}
	return c.presences()
}

func TestJSONIsSharedWhileNothingChanges(t *testing.T) {
	l := &List{Topic: "t", Presences: []Presence{presenceOf("a", "1")}}
	other := l.withComplete(true)
	require.NotSame(t, l, other)
	require.False(t, l.Complete)
	first := l.JSON()
	require.Same(t, &first[0], &l.JSON()[0])
	require.Same(t, &first[0], &l.withComplete(true).JSON()[0])
	require.Equal(t, `{"a":{"metas":[{"phx_ref":"1","of":"1"}]}}`, string(first))
}
