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
	seen *outlook // nil until somebody reads, or is to be told of a change

	// interest
	views      []*view // sorted by the member's name; a member without one is synced and empty
	lingerAt   instant
	users      int32 // presences, watchers and readers that hold it
	watchers   int32 // of these, who wants events
	slice      uint8 // see sliceOf
	interested bool  // it has users, or had some a moment ago
	direct     bool  // followed on its own: its views tell whether it is complete, not those of a mirror

	dirty    bool
	complete bool // as last told to watchers
}

// ownPart is what this replica's own sessions have in a topic.
type ownPart struct {
	crdt.Owner[string, value]

	hash      uint64
	pending   int // bytes that wait for the flush, at most
	flushAt   instant
	flushedAt instant
	tipAt     instant
	tips      int // tips sent since the last flush
}

// outlook is what readers and watchers of a topic get.
type outlook struct {
	list  *List          // the last that was read; nil if none, an empty one, or too much changed since
	since changed        // what changed since list
	keys  map[string]int // metas under each key; nil until somebody counts
	told  changed        // what changed since the last event
}

// changed is what joined and left, in no particular order.
type changed struct {
	joined, left []visible
	lent         []run
}

// run is entries of a view that joined (up), or left, all at once. They are the
// view's own: before that changes they must be taken, or kept.
type run struct {
	birth   uint64
	up      bool
	entries []entry
}

func (c *changed) add(birth uint64, ch changes) {
	for _, e := range ch.Removed {
		c.left = append(c.left, visible{birth, e})
	}
	for _, e := range ch.Added {
		c.joined = append(c.joined, visible{birth, e})
	}
}

// keep copies what is lent.
func (c *changed) keep() {
	for _, run := range c.lent {
		if run.up {
			c.add(run.birth, changes{Added: run.entries})
		} else {
			c.add(run.birth, changes{Removed: run.entries})
		}
	}
	c.lent = nil
}

func (c *changed) len() int { return len(c.joined) + len(c.left) + len(c.lent) }

// take returns the net difference and forgets it.
func (c *changed) take() Diff {
	d := makeDiff(c.all(c.joined, true), c.all(c.left, false))
	*c = changed{}
	return d
}

// all returns the entries of list, which is one of c's, and those lent ones that
// belong to it.
func (c *changed) all(list []visible, up bool) []shown {
	n := len(list)
	for _, run := range c.lent {
		if run.up == up {
			n += len(run.entries)
		}
	}
	all := make([]shown, 0, n)
	for i := range list {
		all = append(all, shown{list[i].birth, &list[i].entry})
	}
	for _, run := range c.lent {
		if run.up == up {
			all = appendShown(all, run.birth, run.entries)
		}
	}
	return all
}

// A list is made from the one before while few entries changed: at most
// minChanged, or a quarter of the list. Nothing more is remembered when nobody
// reads.
const minChanged = 64

func (t *topic) outlook() *outlook {
	if t.seen == nil {
		t.seen = new(outlook)
	}
	return t.seen
}

// forget has the next list be made from nothing.
func (o *outlook) forget() { o.list, o.since = nil, changed{} }

// visible is an entry and the birth of the process that made it: what a ref is
// made of.
type visible struct {
	birth uint64
	entry
}

// shown is a visible entry that is somewhere else: small, for sorting.
type shown struct {
	birth uint64
	*entry
}

func appendShown(list []shown, birth uint64, entries []entry) []shown {
	for i := range entries {
		list = append(list, shown{birth, &entries[i]})
	}
	return list
}

func (v shown) meta() Meta {
	var refs refWriter
	refs.grow([]shown{v})
	return refs.meta(v)
}

// meta is the meta of v, with refs in w's memory.
func (w *refWriter) meta(v shown) Meta {
	m := Meta{Ref: w.ref(v.birth, v.Dot), Data: v.Value.meta}
	if v.Value.prev != 0 {
		m.PrevRef = w.ref(v.birth, v.Value.prev)
	}
	return m
}

// compare orders entries by key, and under a key by process and age.
func (v shown) compare(w shown) int {
	if c := strings.Compare(v.Key, w.Key); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(v.birth, w.birth), cmp.Compare(v.Origin, w.Origin))
}

func (r *Replica) topic(name string) *topic {
	t := r.topics[name]
	if t == nil {
		t = &topic{name: name, slice: sliceOf(name)}
		r.topics[name] = t
		r.slices[t.slice] = append(r.slices[t.slice], t)
	}
	return t
}

// release forgets a topic that holds nothing any more.
func (r *Replica) release(t *topic) {
	if t.own == nil && !t.interested && t.users == 0 && len(t.views) == 0 && r.topics[t.name] == t {
		delete(r.topics, t.name)
		slice := r.slices[t.slice]
		i := slices.Index(slice, t)
		r.slices[t.slice] = slices.Delete(slice, i, i+1)
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
	o := r.audience(t)
	if o == nil {
		return
	}
	if o.list != nil {
		if o.since.len()+len(ch.Added)+len(ch.Removed) > max(minChanged, len(o.list.Presences)/4) {
			o.forget()
		} else {
			o.since.add(birth, ch)
		}
	}
	o.count(ch)
	if r.tells(t) {
		o.told.add(birth, ch)
	}
}

// turn records that all of v became visible (up), or no longer is. Nothing is copied:
// see changed.keep.
func (r *Replica) turn(v *view, up bool) {
	r.touch(v.t) // completeness
	o := r.audience(v.t)
	if o == nil || v.size() == 0 {
		return
	}
	o.forget()
	for entries := range v.visible() {
		ch := changes{Removed: entries}
		if up {
			ch = changes{Added: entries}
		}
		o.count(ch)
		if r.tells(v.t) {
			o.told.lent = append(o.told.lent, run{v.m.birth, up, entries})
		}
	}
}

// count keeps the number of keys, if somebody wants it.
func (o *outlook) count(ch changes) {
	if o.keys == nil {
		return
	}
	for _, e := range ch.Removed {
		if o.keys[e.Key]--; o.keys[e.Key] <= 0 {
			delete(o.keys, e.Key)
		}
	}
	for _, e := range ch.Added {
		o.keys[e.Key]++
	}
}

// audience is the outlook of a topic that somebody reads or watches, else nil.
func (r *Replica) audience(t *topic) *outlook {
	if t.seen == nil && r.tells(t) {
		return t.outlook()
	}
	return t.seen
}

// tells is whether somebody watches t.
func (r *Replica) tells(t *topic) bool { return t.watchers > 0 || r.watchesAll() }

// emit tells watchers what changed in t during this step.
func (r *Replica) emit(t *topic) {
	complete := r.isComplete(t)
	diff := Diff{}
	if o := t.seen; o != nil && o.told.len() > 0 {
		diff = o.told.take()
		if o.list == nil && o.keys == nil { // most topics are watched, and never read
			t.seen = nil
		}
	}
	if complete == t.complete && diff.Empty() {
		return
	}
	t.complete = complete
	r.events = append(r.events, Event{Topic: t.name, Diff: diff, Complete: complete})
}

// makeDiff is the net difference of a step: what joined and left in it, in
// either order, is no change.
func makeDiff(joined, left []shown) Diff {
	if len(joined) == 0 || len(left) == 0 {
		return Diff{Joins: group(joined), Leaves: group(left)}
	}
	type id struct{ birth, dot uint64 }
	count := make(map[id]int, len(joined)+len(left))
	for _, v := range joined {
		count[id{v.birth, v.Dot}]++
	}
	for _, v := range left {
		count[id{v.birth, v.Dot}]--
	}
	net := func(list []shown, sign int) []Presence {
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
func group(list []shown) []Presence {
	if len(list) == 0 {
		return nil
	}
	slices.SortFunc(list, shown.compare)
	metas := make([]Meta, len(list))
	presences := make([]Presence, 0, len(list))
	var refs refWriter
	refs.grow(list)
	for i, v := range list {
		metas[i] = refs.meta(v)
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
		return &List{Topic: name, Complete: r.mirrorComplete()}
	}
	complete, o := r.isComplete(t), t.outlook()
	switch {
	case o.list == nil:
		list := &List{Topic: name, Presences: group(r.entries(t)), Complete: complete}
		if len(list.Presences) == 0 {
			return list // not worth remembering what changes since
		}
		o.list = list
	case o.since.len() > 0:
		o.list = o.list.splice(o.since.take(), func(key string, had, left, joined []Meta) []Meta {
			return r.metas(t, key, had, left, joined)
		})
	}
	o.list = o.list.withComplete(complete)
	return o.list
}

// metas is what is visible under key, which had something and changed. Where
// others stay beside those who join, their order is looked up.
func (r *Replica) metas(t *topic, key string, had, left, joined []Meta) []Meta {
	stay := make([]Meta, 0, len(had))
	for _, m := range had {
		if indexRef(left, m.Ref) < 0 {
			stay = append(stay, m)
		}
	}
	switch {
	case len(stay) == 0:
		return joined
	case len(joined) == 0:
		return stay
	}
	all := slices.DeleteFunc(r.entries(t), func(v shown) bool { return v.Key != key })
	return group(all)[0].Metas
}

// entries returns all that is visible in t, in no particular order; it is valid until
// something changes there.
func (r *Replica) entries(t *topic) []shown {
	all := make([]shown, 0, r.sessions(t))
	if t.own != nil {
		for run := range t.own.Runs() {
			all = appendShown(all, r.birth, run)
		}
	}
	for _, v := range t.views {
		if v.m.up {
			for run := range v.visible() {
				all = appendShown(all, v.m.birth, run)
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
		return Count{Complete: r.mirrorComplete()}
	}
	o := t.outlook()
	if o.keys == nil {
		o.keys = map[string]int{}
		for _, v := range r.entries(t) {
			o.keys[v.Key]++
		}
	}
	return Count{Keys: len(o.keys), Sessions: r.sessions(t), Complete: r.isComplete(t)}
}

// sessions is how many entries are visible in t.
func (r *Replica) sessions(t *topic) int {
	n := 0
	if t.own != nil {
		n = t.own.Len()
	}
	for _, v := range t.views {
		if v.m.up {
			n += v.size()
		}
	}
	return n
}
