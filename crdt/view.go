package crdt

import (
	"iter"
	"slices"
	"sort"
)

// View is what one replica holds of another one's contribution: the owner's
// state at exactly the number Seq. The zero value is the empty state at 0.
type View[K comparable, V any] struct {
	seq  uint64
	live store[K, V]
}

// Seq is the owner's number at which this view stands.
func (v *View[K, V]) Seq() uint64 { return v.seq }

// Len is how many entries the view holds.
func (v *View[K, V]) Len() int { return v.live.len() }

// Get returns the entry named by dot.
func (v *View[K, V]) Get(dot uint64) (Entry[K, V], bool) { return v.live.get(dot) }

// All yields the entries, ascending by dot. The view must not be changed
// meanwhile.
func (v *View[K, V]) All() iter.Seq[Entry[K, V]] { return v.live.ascend(0) }

// Runs yields the entries as All does, many at a time: in slices of the view's own,
// which must not be changed and are valid until the view changes.
func (v *View[K, V]) Runs() iter.Seq[[]Entry[K, V]] { return v.live.runs() }

// Apply merges a delta of this view's owner by the join rule of the package
// documentation, and returns what changed. Changes is empty unless the outcome
// is Applied.
//
// The cost is that of the delta and of the entries that it removes, times the
// logarithm of the view's size.
func (v *View[K, V]) Apply(d Delta[K, V]) (Changes[K, V], Outcome) {
	switch {
	case d.To <= v.seq:
		return Changes[K, V]{}, Known
	case d.From > v.seq:
		return Changes[K, V]{}, Gap
	}
	var ch Changes[K, V]
	if n := len(d.Rems); n > 0 {
		ch.Removed = make([]Entry[K, V], 0, n)
	}
	v.removeCovered(d, &ch)
	for _, dot := range d.Rems {
		if e, ok := v.live.remove(dot); ok {
			ch.Removed = append(ch.Removed, e)
		}
	}
	if len(d.Rems) > 0 {
		slices.SortFunc(ch.Removed, byDot)
	}
	if v.live.len() == 0 && v.seq == 0 {
		ch.Added = d.Adds
		v.live.fill(d.Adds)
	} else if n := len(d.Adds); n > 0 {
		ch.Added = make([]Entry[K, V], 0, n)
		for _, e := range d.Adds {
			if e.Dot > v.seq && v.live.put(e) {
				ch.Added = append(ch.Added, e)
			}
		}
	}
	v.seq = d.To
	return ch, Applied
}

// removeCovered removes what is covered by the delta and absent from it. It is
// there only where the delta overlaps what the view has seen.
func (v *View[K, V]) removeCovered(d Delta[K, V], ch *Changes[K, V]) {
	if v.live.len() == 0 || v.live.last() <= d.Base {
		return
	}
	var gone []uint64
	for e := range v.live.ascend(d.Base) {
		if e.Dot > d.To {
			break
		}
		if !hasEntry(d.Adds, e.Dot) && !hasDot(d.Keep, e.Dot) {
			gone = append(gone, e.Dot)
		}
	}
	for _, dot := range gone {
		e, _ := v.live.remove(dot)
		ch.Removed = append(ch.Removed, e)
	}
}

func byDot[K comparable, V any](a, b Entry[K, V]) int {
	switch {
	case a.Dot < b.Dot:
		return -1
	case a.Dot > b.Dot:
		return 1
	}
	return 0
}

func hasEntry[K comparable, V any](list []Entry[K, V], dot uint64) bool {
	i := sort.Search(len(list), func(j int) bool { return list[j].Dot >= dot })
	return i < len(list) && list[i].Dot == dot
}

func hasDot(list []uint64, dot uint64) bool {
	_, ok := slices.BinarySearch(list, dot)
	return ok
}
