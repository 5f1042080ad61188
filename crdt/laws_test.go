package crdt

import (
	"maps"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// history is an owner under random changes, with every message that it could
// have sent on the way: live deltas, and answers to views at any number.
type history struct {
	owner   *owner
	simple  *simpleOwner
	counter uint64
	deltas  []delta // live, in order
	repairs []delta
}

// drawHistory makes changes drawn from t. The counter jumps now and then, as it
// does when other topics of the replica use it.
func drawHistory(t *rapid.T) *history {
	h := &history{simple: newSimpleOwner()}
	h.owner = NewOwner[string, int](0, rapid.IntRange(0, 6).Draw(t, "log size"))
	for range rapid.IntRange(1, 40).Draw(t, "steps") {
		h.step(t)
	}
	h.flush()
	return h
}

func (h *history) step(t *rapid.T) {
	next := h.counter + uint64(rapid.IntRange(1, 3).Draw(t, "jump"))
	live := slices.Sorted(maps.Keys(h.simple.at(h.counter)))
	switch op := rapid.SampledFrom([]string{"add", "add", "update", "remove", "flush", "repair"}).Draw(t, "op"); {
	case op == "add":
		h.counter = next
		e := h.owner.Add(next, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key"), int(next))
		h.simple.change(next, func(live map[uint64]entry) { live[e.Dot] = e })
	case op == "update" && len(live) > 0:
		h.counter = next
		added, removed, ok := h.owner.Replace(next, rapid.SampledFrom(live).Draw(t, "dot"), int(next))
		if !ok || added.Origin != removed.Origin || added.Key != removed.Key {
			t.Fatalf("replace gave %v for %v, %v", added, removed, ok)
		}
		h.simple.change(next, func(live map[uint64]entry) { delete(live, removed.Dot); live[next] = added })
	case op == "remove" && len(live) > 0:
		h.counter = next
		dot := rapid.SampledFrom(live).Draw(t, "dot")
		if _, ok := h.owner.Remove(next, dot); !ok {
			t.Fatalf("dot %d is not there to remove", dot)
		}
		h.simple.change(next, func(live map[uint64]entry) { delete(live, dot) })
	case op == "flush":
		h.flush()
	case op == "repair": // with changes that wait for the next flush, or without
		n := uint64(rapid.IntRange(0, int(h.counter)+2).Draw(t, "asked from"))
		h.repairs = append(h.repairs, h.owner.Since(n, h.counter))
	}
}

func (h *history) flush() {
	if d, ok := h.owner.Flush(); ok {
		h.deltas = append(h.deltas, d)
	}
}

// Every view equals its owner's history at exactly its number, whatever mixture
// of deltas and repairs reaches it in whatever order and how often; and both
// implementations take every message alike.
func TestViewIsAlwaysAPrefixOfItsOwnersHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		mail := append(slices.Clone(h.deltas), h.repairs...)
		if len(mail) == 0 {
			return
		}
		var v view
		simple := simpleView{}
		for range rapid.IntRange(1, 60).Draw(t, "deliveries") {
			d := rapid.SampledFrom(mail).Draw(t, "message")
			before := contents(&v)
			changes, outcome := v.Apply(d)
			require.Equal(t, simple.apply(d), outcome)
			require.Equal(t, simple.seq, v.Seq())
			require.Equal(t, len(simple.live), v.Len())
			require.True(t, maps.Equal(h.simple.at(v.Seq()), contents(&v)),
				"at %d: %v, want %v", v.Seq(), contents(&v), h.simple.at(v.Seq()))
			// The changes are exactly the difference.
			for _, e := range changes.Removed {
				require.Equal(t, before[e.Dot], e)
				delete(before, e.Dot)
			}
			for _, e := range changes.Added {
				require.NotContains(t, before, e.Dot)
				before[e.Dot] = e
			}
			require.True(t, maps.Equal(before, contents(&v)))
			require.True(t, slices.IsSortedFunc(changes.Added, byDot[string, int]))
			require.True(t, slices.IsSortedFunc(changes.Removed, byDot[string, int]))
		}
	})
}

func TestApplyingTwiceChangesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		var v view
		for _, d := range append(h.deltas, h.repairs...) {
			v.Apply(d)
			seq, live := v.Seq(), contents(&v)
			changes, outcome := v.Apply(d)
			require.NotEqual(t, Applied, outcome)
			require.True(t, changes.Empty())
			require.Equal(t, seq, v.Seq())
			require.True(t, maps.Equal(live, contents(&v)))
		}
	})
}

func TestAnyAdmissibleOrderEndsEqual(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		mail := rapid.Permutation(append(slices.Clone(h.deltas), h.repairs...)).Draw(t, "order")
		var v view
		for progress := true; progress; {
			progress = false
			for _, d := range mail {
				if _, outcome := v.Apply(d); outcome == Applied {
					progress = true
				}
			}
		}
		require.GreaterOrEqual(t, v.Seq(), h.owner.Seq())
		require.True(t, maps.Equal(h.simple.at(h.counter), contents(&v)))
	})
}

func TestDeltaFedEqualsSnapshotFedAndLogFed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		var byDelta, bySnapshot view
		for _, d := range h.deltas {
			_, outcome := byDelta.Apply(d)
			require.Equal(t, Applied, outcome, "live deltas of one owner are contiguous")
		}
		if h.counter > 0 {
			_, outcome := bySnapshot.Apply(h.owner.Since(0, h.counter))
			require.Equal(t, Applied, outcome)
		}
		require.True(t, maps.Equal(contents(&byDelta), contents(&bySnapshot)))

		// A view that stopped anywhere is repaired by one answer.
		var behind view
		for _, d := range h.deltas[:rapid.IntRange(0, len(h.deltas)).Draw(t, "deltas seen")] {
			behind.Apply(d)
		}
		behind.Apply(h.owner.Since(behind.Seq(), h.counter))
		require.Equal(t, h.counter, behind.Seq())
		require.True(t, maps.Equal(contents(&byDelta), contents(&behind)))
	})
}

func TestCoalescedEqualsUncoalesced(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		h := drawHistory(t)
		// The same changes, flushed after each.
		fine := NewOwner[string, int](0, 0)
		var v view
		var coarse view
		for n := uint64(1); n <= h.counter; n++ {
			now, was := h.simple.at(n), h.simple.at(n-1)
			for dot, e := range now {
				if _, held := was[dot]; held {
					continue
				}
				if e.Origin == e.Dot {
					fine.Add(n, e.Key, e.Value)
					continue
				}
				for old, o := range was {
					if _, still := now[old]; !still && o.Origin == e.Origin {
						fine.Replace(n, old, e.Value)
					}
				}
			}
			for old := range was {
				if _, still := now[old]; !still && fine.Seq() < n {
					fine.Remove(n, old)
				}
			}
			if d, ok := fine.Flush(); ok {
				v.Apply(d)
			}
		}
		for _, d := range h.deltas {
			coarse.Apply(d)
		}
		require.Equal(t, v.Seq(), coarse.Seq())
		require.True(t, maps.Equal(contents(&v), contents(&coarse)))
	})
}

// The kind of an answer is the smallest that works, and only a log repair above
// the floor may name removals.
func TestAnswersAreAsSmallAsTheLogAllows(t *testing.T) {
	o := NewOwner[string, int](10, 4)
	for n := uint64(11); n <= 20; n++ {
		o.Add(n, "k", int(n))
	}
	o.Remove(21, 11)
	o.Flush()

	require.Equal(t, delta{From: 0, Base: 0, To: 30, Adds: slices.Collect(o.All())}, o.Since(0, 30), "snapshot")
	require.Equal(t, delta{From: 0, Base: 0, To: 30, Adds: slices.Collect(o.All())}, o.Since(31, 30), "a number that is not ours")
	require.Equal(t, delta{From: 25, Base: 25, To: 30}, o.Since(25, 30), "unchanged")
	require.Equal(t, delta{From: 20, Base: 20, To: 30, Rems: []uint64{11}}, o.Since(20, 30), "log repair")

	below := o.Since(5, 30)
	require.Equal(t, uint64(0), below.Base, "below the number at which it was created, only a dot set is right")
	require.Len(t, below.Adds, 9)

	for n := uint64(22); n <= 28; n++ { // seven more removals overflow a log of four
		o.Remove(n, n-10)
	}
	o.Flush()
	dots := o.Since(20, 30)
	require.Equal(t, uint64(0), dots.Base)
	require.Equal(t, []uint64{19, 20}, dots.Keep)
	require.Empty(t, dots.Rems)
	require.Equal(t, []uint64{18}, o.Since(27, 30).Rems, "the log still reaches the last ones")
}

// A window that adds and removes a dot names it nowhere; a repair inside the
// window shows it; the live delta must take it away again.
func TestOverlapLeavesNoGhost(t *testing.T) {
	o := NewOwner[string, int](0, 8)
	o.Add(1, "a", 1)
	o.Add(2, "b", 2)
	first, _ := o.Flush()
	var v view
	v.Apply(first)

	o.Add(3, "ghost", 3)
	// A copy of the owner flushes and answers here; this view gets only the answer.
	o2 := *o
	o2.live.one = slices.Clone(o.live.one)
	o2.Flush()
	v.Apply(o2.Since(2, 3))
	require.Contains(t, contents(&v), uint64(3))

	o.Remove(4, 3)
	live, _ := o.Flush()
	require.Empty(t, live.Rems)
	require.Empty(t, live.Adds)
	_, outcome := v.Apply(live)
	require.Equal(t, Applied, outcome)
	require.NotContains(t, contents(&v), uint64(3))
}

func TestNumbersThatDoNotAscendAreABug(t *testing.T) {
	o := NewOwner[string, int](0, 8)
	o.Add(5, "a", 1)
	require.PanicsWithValue(t, "crdt: change 5 after change 5: numbers must ascend", func() { o.Add(5, "b", 2) })
}
