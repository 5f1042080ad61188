package crdt

import (
	"fmt"
	"iter"
	"slices"
)

// removal remembers that dot was removed by the change numbered at.
type removal struct{ dot, at uint64 }

// Owner is a replica's own contribution to a map: the only place where its
// dots are issued. The caller numbers the changes: strictly ascending, from one
// counter that may be shared by several owners (several maps) of the replica.
// Numbers that go backwards are a bug of the caller, and panic.
type Owner[K comparable, V any] struct {
	seq  uint64 // the last change
	sent uint64 // what the last Flush covered
	// floor is the lowest number from which a log repair is possible.
	floor uint64
	live  store[K, V]
	// rems are removed dots at or below sent, since the last Flush; unsorted.
	rems []uint64
	// log holds the latest removals, ascending by at; at most logSize.
	log     []removal
	logSize int
}

// NewOwner returns an empty contribution. counter is the replica's number at
// this moment: a log repair from below it is impossible, since an earlier life
// of the same map may have had changes there. logSize is how many removals are
// remembered for log repairs; whoever is further behind gets a dot-set repair.
func NewOwner[K comparable, V any](counter uint64, logSize int) *Owner[K, V] {
	return &Owner[K, V]{floor: counter, logSize: logSize}
}

// Seq is the number of the last change, 0 before the first.
func (o *Owner[K, V]) Seq() uint64 { return o.seq }

// Len is how many entries are live.
func (o *Owner[K, V]) Len() int { return o.live.len() }

// Get returns the live entry named by dot.
func (o *Owner[K, V]) Get(dot uint64) (Entry[K, V], bool) { return o.live.get(dot) }

// All yields the live entries, ascending by dot.
func (o *Owner[K, V]) All() iter.Seq[Entry[K, V]] { return o.live.ascend(0) }

// Runs yields the live entries as All does, many at a time: in slices of the owner's
// own, which must not be changed and are valid until the owner changes.
func (o *Owner[K, V]) Runs() iter.Seq[[]Entry[K, V]] { return o.live.runs() }

func (o *Owner[K, V]) advance(n uint64) {
	if n <= o.seq {
		panic(fmt.Sprintf("crdt: change %d after change %d: numbers must ascend", n, o.seq))
	}
	o.seq = n
}

// Add holds value under key, as change n, and returns the new entry.
func (o *Owner[K, V]) Add(n uint64, key K, value V) Entry[K, V] {
	o.advance(n)
	e := Entry[K, V]{Dot: n, Origin: n, Key: key, Value: value}
	o.live.put(e)
	return e
}

// Remove ends the entry named by dot, as change n. Without such an entry
// nothing happens, and n is not used up.
func (o *Owner[K, V]) Remove(n, dot uint64) (removed Entry[K, V], ok bool) {
	if removed, ok = o.live.get(dot); !ok {
		return removed, false
	}
	o.advance(n)
	o.kill(dot)
	return removed, true
}

// Replace puts value in the place of the entry named by dot, as change n: one
// step, so that nobody sees the key absent. Without such an entry nothing
// happens, and n is not used up.
func (o *Owner[K, V]) Replace(n, dot uint64, value V) (added, removed Entry[K, V], ok bool) {
	if removed, ok = o.live.get(dot); !ok {
		return added, removed, false
	}
	o.advance(n)
	o.kill(dot)
	added = Entry[K, V]{Dot: n, Origin: removed.Origin, Key: removed.Key, Value: value}
	o.live.put(added)
	return added, removed, true
}

func (o *Owner[K, V]) kill(dot uint64) {
	o.live.remove(dot)
	if dot <= o.sent {
		o.rems = append(o.rems, dot)
	}
	o.log = append(o.log, removal{dot, o.seq})
	// The log is cut in halves, so that a removal costs no move of the whole.
	if len(o.log) > o.logSize {
		cut := len(o.log) - o.logSize/2
		o.floor = max(o.floor, o.log[cut-1].at)
		o.log = append(o.log[:0], o.log[cut:]...)
	}
}

// Flush returns what changed since the last Flush, and false when nothing did.
func (o *Owner[K, V]) Flush() (Delta[K, V], bool) {
	if o.seq == o.sent {
		return Delta[K, V]{}, false
	}
	slices.Sort(o.rems)
	d := Delta[K, V]{
		From: o.sent, Base: o.sent, To: o.seq,
		Adds: o.live.above(o.sent),
		Rems: o.rems,
	}
	o.sent, o.rems = o.seq, nil
	return d, true
}

// Since answers a view that stands at n: with the smallest delta that leads it
// to the current state. counter is the replica's number now, which is the To of
// the answer (the owner's own Seq would not do: a view may stand above it,
// after an earlier answer). Changes that wait for the next Flush are in it: that
// one then begins below the view, which takes it as it takes every overlap. n
// above counter is none of ours, and is taken as 0.
//
//	n = 0           a snapshot
//	n >= Seq        an empty log repair: nothing changed
//	n >= the floor  a log repair: what was added and removed since n
//	otherwise       a dot-set repair: what was added since n, and all that is
//	                left of what was there
func (o *Owner[K, V]) Since(n, counter uint64) Delta[K, V] {
	if n > counter {
		n = 0
	}
	d := Delta[K, V]{From: n, Base: n, To: counter, Adds: o.live.above(n)}
	switch {
	case n == 0 || n >= o.seq:
	case n >= o.floor:
		for i := len(o.log) - 1; i >= 0 && o.log[i].at > n; i-- {
			if dot := o.log[i].dot; dot <= n {
				d.Rems = append(d.Rems, dot)
			}
		}
		slices.Sort(d.Rems)
	default:
		d.Base = 0
		for e := range o.live.ascend(0) {
			if e.Dot > n {
				break
			}
			d.Keep = append(d.Keep, e.Dot)
		}
	}
	return d
}
