package crdt

import (
	"maps"
	"slices"
)

// The second implementation: maps, no ranges, no binary search, no chunks, and
// the whole history kept. It is meant to be obviously right.

type (
	entry = Entry[string, int]
	delta = Delta[string, int]
	view  = View[string, int]
	owner = Owner[string, int]
)

// simpleOwner keeps the state after each of its changes.
type simpleOwner struct {
	states map[uint64]map[uint64]entry // number -> dot -> entry
	seq    uint64
}

func newSimpleOwner() *simpleOwner {
	return &simpleOwner{states: map[uint64]map[uint64]entry{0: {}}}
}

func (o *simpleOwner) change(n uint64, apply func(live map[uint64]entry)) {
	next := maps.Clone(o.states[o.seq])
	apply(next)
	for i := o.seq + 1; i < n; i++ {
		o.states[i] = o.states[o.seq]
	}
	o.states[n], o.seq = next, n
}

// at is the state at number n, which may be above the last change.
func (o *simpleOwner) at(n uint64) map[uint64]entry { return o.states[min(n, o.seq)] }

// simpleView applies the join rule as it is written down, clause by clause.
type simpleView struct {
	seq  uint64
	live map[uint64]entry
}

func (v *simpleView) apply(d delta) Outcome {
	if d.To <= v.seq {
		return Known
	}
	if d.From > v.seq {
		return Gap
	}
	adds, keep := map[uint64]bool{}, map[uint64]bool{}
	for _, e := range d.Adds {
		adds[e.Dot] = true
	}
	for _, dot := range d.Keep {
		keep[dot] = true
	}
	next := map[uint64]entry{}
	for dot, e := range v.live {
		if covered := d.Base < dot && dot <= d.To; covered && !adds[dot] && !keep[dot] {
			continue
		}
		if slices.Contains(d.Rems, dot) {
			continue
		}
		next[dot] = e
	}
	for _, e := range d.Adds {
		if e.Dot > v.seq {
			next[e.Dot] = e
		}
	}
	v.live, v.seq = next, d.To
	return Applied
}

func contents(v *view) map[uint64]entry {
	live := map[uint64]entry{}
	for e := range v.All() {
		live[e.Dot] = e
	}
	return live
}
