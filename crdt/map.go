package crdt

import (
	"cmp"
	"maps"
	"slices"
)

// Held is an entry of a [Map] and the replica that holds it.
type Held[R cmp.Ordered, K comparable, V any] struct {
	Replica R
	Entry[K, V]
}

// Map is an observed-remove map as one replica knows it: a view of each
// replica's contribution, and an index by key. Several replicas, and one
// replica several times, may hold values under one key. The zero value is an
// empty map.
type Map[R cmp.Ordered, K comparable, V any] struct {
	views map[R]*View[K, V]
	index map[K][]Held[R, K, V] // ordered by replica, then dot; none is empty
}

// Apply merges a delta of replica's contribution. On [Gap] the caller asks that
// replica for what follows Seq(replica).
func (m *Map[R, K, V]) Apply(replica R, d Delta[K, V]) (Changes[K, V], Outcome) {
	v := m.views[replica]
	if v == nil {
		if m.views == nil {
			m.views = make(map[R]*View[K, V])
			m.index = make(map[K][]Held[R, K, V])
		}
		v = new(View[K, V])
		m.views[replica] = v
	}
	ch, outcome := v.Apply(d)
	m.reindex(replica, ch)
	return ch, outcome
}

// Drop forgets all that replica contributed.
func (m *Map[R, K, V]) Drop(replica R) Changes[K, V] {
	v := m.views[replica]
	if v == nil {
		return Changes[K, V]{}
	}
	delete(m.views, replica)
	ch := Changes[K, V]{Removed: slices.Collect(v.All())}
	m.reindex(replica, ch)
	return ch
}

// Seq is the number at which the view of replica stands, 0 for a stranger.
func (m *Map[R, K, V]) Seq(replica R) uint64 {
	if v := m.views[replica]; v != nil {
		return v.Seq()
	}
	return 0
}

// Get returns what is held under key, ordered by replica, then dot. The slice
// must not be changed, and is valid until the map changes.
func (m *Map[R, K, V]) Get(key K) []Held[R, K, V] { return m.index[key] }

// Len is how many keys hold something.
func (m *Map[R, K, V]) Len() int { return len(m.index) }

// All returns every entry, ordered by replica, then dot.
func (m *Map[R, K, V]) All() []Held[R, K, V] {
	var all []Held[R, K, V]
	for _, r := range slices.Sorted(maps.Keys(m.views)) {
		for e := range m.views[r].All() {
			all = append(all, Held[R, K, V]{r, e})
		}
	}
	return all
}

func (m *Map[R, K, V]) reindex(replica R, ch Changes[K, V]) {
	for _, e := range ch.Removed {
		list := m.index[e.Key]
		if i, ok := m.search(list, replica, e.Dot); ok {
			list = slices.Delete(list, i, i+1)
		}
		if len(list) == 0 {
			delete(m.index, e.Key)
		} else {
			m.index[e.Key] = list
		}
	}
	for _, e := range ch.Added {
		list := m.index[e.Key]
		i, _ := m.search(list, replica, e.Dot)
		m.index[e.Key] = slices.Insert(list, i, Held[R, K, V]{replica, e})
	}
}

func (*Map[R, K, V]) search(list []Held[R, K, V], replica R, dot uint64) (int, bool) {
	return slices.BinarySearchFunc(list, dot, func(h Held[R, K, V], dot uint64) int {
		return cmp.Or(cmp.Compare(h.Replica, replica), cmp.Compare(h.Dot, dot))
	})
}
