package crdt

import (
	"cmp"
	"slices"
)

// Held is an entry of a [Map] and the replica that holds it.
type Held[R cmp.Ordered, K comparable, V any] struct {
	Replica R
	Entry[K, V]
}

// Map is an observed-remove map as one replica knows it: a view of each
// replica's contribution, with an index by key. Several replicas, and one
// replica several times, may hold values under one key. The zero value is an
// empty map.
//
// Each replica's contribution has an index of its own. So merging one costs the
// same whatever the others hold, and dropping one gives its index up as a whole;
// what is held under a key takes a look at each replica.
type Map[R cmp.Ordered, K comparable, V any] struct {
	parts []*part[R, K, V] // ordered by replica
}

// part is one replica's contribution, and where its keys are in it.
type part[R cmp.Ordered, K comparable, V any] struct {
	replica R
	view    View[K, V]
	keys    index[K]
}

// find returns where the part of replica is, or would have to go.
func (m *Map[R, K, V]) find(replica R) (int, bool) {
	return slices.BinarySearchFunc(m.parts, replica, func(p *part[R, K, V], replica R) int {
		return cmp.Compare(p.replica, replica)
	})
}

// Apply merges a delta of replica's contribution. On [Gap] the caller asks that
// replica for what follows Seq(replica).
func (m *Map[R, K, V]) Apply(replica R, d Delta[K, V]) (Changes[K, V], Outcome) {
	i, known := m.find(replica)
	if !known {
		m.parts = slices.Insert(m.parts, i, &part[R, K, V]{replica: replica})
	}
	p := m.parts[i]
	ch, outcome := p.view.Apply(d)
	for _, e := range ch.Removed {
		p.keys.remove(e.Key, e.Dot)
	}
	p.keys.grow(len(ch.Added))
	for _, e := range ch.Added {
		p.keys.add(e.Key, e.Dot)
	}
	return ch, outcome
}

// Drop forgets all that replica contributed. It costs a copy of the entries, for
// the caller to know what is gone.
func (m *Map[R, K, V]) Drop(replica R) Changes[K, V] {
	i, known := m.find(replica)
	if !known {
		return Changes[K, V]{}
	}
	ch := Changes[K, V]{Removed: m.parts[i].view.live.above(0)}
	m.parts = slices.Delete(m.parts, i, i+1)
	return ch
}

// Seq is the number at which the view of replica stands, 0 for a stranger.
func (m *Map[R, K, V]) Seq(replica R) uint64 {
	if i, known := m.find(replica); known {
		return m.parts[i].view.Seq()
	}
	return 0
}

// Get returns what is held under key, ordered by replica, then dot; nil when
// there is nothing. It costs a lookup in the index of each replica.
func (m *Map[R, K, V]) Get(key K) []Held[R, K, V] {
	var held []Held[R, K, V]
	for _, p := range m.parts {
		last, more := p.keys.get(key)
		for _, dot := range more {
			e, _ := p.view.Get(dot)
			held = append(held, Held[R, K, V]{p.replica, e})
		}
		if last != 0 {
			e, _ := p.view.Get(last)
			held = append(held, Held[R, K, V]{p.replica, e})
		}
	}
	return held
}

// Len is how many entries there are.
func (m *Map[R, K, V]) Len() int {
	n := 0
	for _, p := range m.parts {
		n += p.view.Len()
	}
	return n
}

// All returns every entry, ordered by replica, then dot.
func (m *Map[R, K, V]) All() []Held[R, K, V] {
	var all []Held[R, K, V]
	for _, p := range m.parts {
		all = slices.Grow(all, p.view.Len())
		for run := range p.view.Runs() {
			for _, e := range run {
				all = append(all, Held[R, K, V]{p.replica, e})
			}
		}
	}
	return all
}

// index tells by which dots one replica holds something under a key. Nearly
// always that is one dot, so it is no list.
type index[K comparable] struct {
	last map[K]uint64   // the highest dot under each key
	more map[K][]uint64 // the ones below it, ascending; none is empty
}

// grow makes room for the first n keys.
func (x *index[K]) grow(n int) {
	if x.last == nil && n > 0 {
		x.last = make(map[K]uint64, n)
	}
}

// add notes a dot, which is above all that were ever noted.
func (x *index[K]) add(key K, dot uint64) {
	before, held := x.last[key]
	x.last[key] = dot
	if held {
		if x.more == nil {
			x.more = make(map[K][]uint64)
		}
		x.more[key] = append(x.more[key], before)
	}
}

// remove forgets a dot that was noted.
func (x *index[K]) remove(key K, dot uint64) {
	more := x.more[key]
	switch last := x.last[key]; {
	case dot != last:
		if i, noted := slices.BinarySearch(more, dot); noted {
			more = slices.Delete(more, i, i+1)
		}
	case len(more) > 0:
		x.last[key], more = more[len(more)-1], more[:len(more)-1]
	default:
		delete(x.last, key)
		return
	}
	if len(more) > 0 {
		x.more[key] = more
	} else {
		delete(x.more, key)
	}
}

// get returns the highest dot under key, 0 without one, and the ones below it.
func (x *index[K]) get(key K) (last uint64, more []uint64) {
	return x.last[key], x.more[key]
}
