package presence

import (
	"cmp"
	"slices"
	"strings"

	"github.com/rollcall-go/rollcall/crdt"
)

// topic is what a replica knows of one topic: its own part, and a view of each
// other replica's part while it is interested. There may be a million of them,
// so what few have is behind a pointer.
type topic struct {
	name string
	own  *ownPart // nil when there is none, or it was forgotten
	seen *outlook // nil until somebody reads or watches

	// interest
	views      []*view // sorted by the member's name; a member without one is synced and empty
	lingerAt   instant
	users      int32 // presences, watchers and readers that hold it
	watchers   int32 // of these, who wants events
	part       uint8 // where in Replica.background
	interested bool

	dirty    bool
	complete bool // as last told to watchers
}

// ownPart is what this replica's own sessions have in a topic.
type ownPart struct {
	crdt.Owner[string, value]

	hash      uint64
	pending   int // bytes that wait for the flush, roughly
	flushAt   instant
	flushedAt instant
	tipAt     instant
	tips      int // tips sent since the last flush
}

// outlook is what readers and watchers of a topic get.
type outlook struct {
	list   *List          // current, or nil after a change
	keys   map[string]int // metas under each key; nil until somebody counts
	joined []visible      // since the last event
	left   []visible
}

func (t *topic) outlook() *outlook {
	if t.seen == nil {
		t.seen = new(outlook)
	}
	return t.seen
}

// visible is an entry and the birth of the process that made it: what a ref is
// made of.
type visible struct {
	birth uint64
	entry
}

func (v visible) meta() Meta {
	m := Meta{Ref: makeRef(v.birth, v.Dot), Data: v.Value.meta}
	if v.Value.prev != 0 {
		m.PrevRef = makeRef(v.birth, v.Value.prev)
	}
	return m
}

func (r *Replica) topic(name string) *topic {
	t := r.topics[name]
	if t == nil {
		t = &topic{name: name}
		r.topics[name] = t
	}
	return t
}

// release forgets a topic that holds nothing any more.
func (r *Replica) release(t *topic) {
	if t.own == nil && !t.interested && t.users == 0 {
		delete(r.topics, t.name)
	}
}

func (t *topic) viewIndex(m *member) (int, bool) {
	return slices.BinarySearchFunc(t.views, m.name, func(v *view, name string) int { return strings.Compare(v.m.name, name) })
}

// change records what became visible, and what no longer is.
func (r *Replica) change(t *topic, birth uint64, ch changes) {
	if ch.Empty() {
		return
	}
	r.touch(t)
	o := t.seen
	if o == nil {
		return
	}
	o.list = nil
	if o.keys != nil {
		for _, e := range ch.Removed {
			if o.keys[e.Key]--; o.keys[e.Key] <= 0 {
				delete(o.keys, e.Key)
			}
		}
		for _, e := range ch.Added {
			o.keys[e.Key]++
		}
	}
	if t.watchers > 0 {
		for _, e := range ch.Removed {
			o.left = append(o.left, visible{birth, e})
		}
		for _, e := range ch.Added {
			o.joined = append(o.joined, visible{birth, e})
		}
	}
}

// emit tells watchers what changed in t during this step.
func (r *Replica) emit(t *topic) {
	complete := r.isComplete(t)
	diff := Diff{}
	if o := t.seen; o != nil && len(o.joined)+len(o.left) > 0 {
		diff = makeDiff(o.joined, o.left)
		o.joined, o.left = nil, nil
	}
	if complete == t.complete && diff.Empty() {
		return
	}
	t.complete = complete
	r.events = append(r.events, Event{Topic: t.name, Diff: diff, Complete: complete})
}

// makeDiff is the net difference of a step: what joined and left in it, in
// either order, is no change.
func makeDiff(joined, left []visible) Diff {
	type id struct{ birth, dot uint64 }
	count := make(map[id]int, len(joined)+len(left))
	for _, v := range joined {
		count[id{v.birth, v.Dot}]++
	}
	for _, v := range left {
		count[id{v.birth, v.Dot}]--
	}
	net := func(list []visible, sign int) []Presence {
		kept := list[:0]
		for _, v := range list {
			k := id{v.birth, v.Dot}
			if count[k]*sign > 0 {
				count[k] = 0
				kept = append(kept, v)
			}
		}
		return group(kept)
	}
	return Diff{Joins: net(joined, 1), Leaves: net(left, -1)}
}

// group sorts entries by key, and under a key by process and age.
func group(list []visible) []Presence {
	if len(list) == 0 {
		return nil
	}
	slices.SortFunc(list, func(a, b visible) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), cmp.Compare(a.birth, b.birth), cmp.Compare(a.Origin, b.Origin))
	})
	metas := make([]Meta, len(list))
	presences := make([]Presence, 0, len(list))
	for i, v := range list {
		metas[i] = v.meta()
		if i > 0 && v.Key == list[i-1].Key {
			last := &presences[len(presences)-1]
			last.Metas = metas[i-len(last.Metas) : i+1 : i+1]
			continue
		}
		presences = append(presences, Presence{Key: v.Key, Metas: metas[i : i+1 : i+1]})
	}
	return presences
}

// List is everyone in the topic as seen from here. The value is shared by all
// who ask until something changes.
func (r *Replica) List(name string) *List {
	t := r.topics[name]
	if t == nil {
		return &List{Topic: name}
	}
	complete, o := r.isComplete(t), t.outlook()
	if o.list == nil || o.list.Complete != complete {
		o.list = &List{Topic: name, Presences: group(r.entries(t)), Complete: complete}
	}
	return o.list
}

// entries returns all that is visible in t, in no particular order.
func (r *Replica) entries(t *topic) []visible {
	n := 0
	if t.own != nil {
		n = t.own.Len()
	}
	for _, v := range t.views {
		if v.m.up {
			n += v.size()
		}
	}
	all := make([]visible, 0, n)
	if t.own != nil {
		for e := range t.own.All() {
			all = append(all, visible{r.birth, e})
		}
	}
	for _, v := range t.views {
		if v.m.up {
			for e := range v.visible() {
				all = append(all, visible{v.m.birth, e})
			}
		}
	}
	return all
}

// Count is how many are in the topic as seen from here. The number of keys is
// kept up to date from the first call on.
func (r *Replica) Count(name string) Count {
	t := r.topics[name]
	if t == nil {
		return Count{}
	}
	o := t.outlook()
	if o.keys == nil {
		o.keys = map[string]int{}
		for _, v := range r.entries(t) {
			o.keys[v.Key]++
		}
	}
	c := Count{Keys: len(o.keys), Complete: r.isComplete(t)}
	if t.own != nil {
		c.Sessions = t.own.Len()
	}
	for _, v := range t.views {
		if v.m.up {
			c.Sessions += v.size()
		}
	}
	return c
}
