package presence

import (
	"slices"
	"sort"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// List is all presences of a topic, at one moment, as one replica sees it.
// It is immutable and shared: callers must not change what it holds, and may
// read it concurrently. A list of a later moment is made from an earlier one
// (see [List.Apply]) and shares with it what did not change.
type List struct {
	Topic string
	// Presences is sorted by key.
	Presences []Presence
	// Complete reports whether every replica that is up has told us what it has
	// in this topic; see the package documentation.
	Complete bool

	encoding sync.Mutex              // held while it is encoded, so that this happens once
	encoded  atomic.Pointer[encoded] // nil until JSON is called
}

// encoded is the JSON of a list. ends are the offsets behind each presence, so
// that the next list can be put together from pieces of this one.
type encoded struct {
	json []byte
	ends []int
}

// start is the offset at which presence i begins.
func (e *encoded) start(i int) int {
	if i == 0 {
		return 1 // behind the brace
	}
	return e.ends[i-1] + 1 // behind the comma
}

// JSON is the list as clients get it in presence_state: an object from key to
// {"metas": [...]}. It is encoded once per List; the bytes are shared and must
// not be changed. It may be called concurrently.
func (l *List) JSON() []byte {
	if e := l.encoded.Load(); e != nil {
		return e.json
	}
	l.encoding.Lock()
	defer l.encoding.Unlock()
	if e := l.encoded.Load(); e != nil {
		return e.json
	}
	w := listWriter{enc: &encoded{json: []byte{'{'}, ends: make([]int, 0, len(l.Presences))}}
	for _, p := range l.Presences {
		w.encode(p)
	}
	l.encoded.Store(w.finish())
	return l.encoded.Load().json
}

// Get returns the presence under key.
func (l *List) Get(key string) (Presence, bool) {
	i, ok := l.find(0, key)
	if !ok {
		return Presence{}, false
	}
	return l.Presences[i], true
}

// find is where key is, or would be, at or behind from.
func (l *List) find(from int, key string) (int, bool) {
	rest := l.Presences[from:]
	i, ok := sort.Find(len(rest), func(i int) int { return strings.Compare(key, rest[i].Key) })
	return from + i, ok
}

// Apply returns the list after d: what a watcher knows that was given l and then d.
// A value that replaced another one of l stands in its place, other joins
// come behind what is under their key. A leave of what l has not is ignored.
//
// It costs a copy of the slice, and of the JSON if l was encoded, and work for
// what changed; everything else is shared with l.
func (l *List) Apply(d Diff) *List { return l.splice(d, replaced) }

// replaced is what Apply makes of the metas under one key.
func replaced(_ string, had, left, joined []Meta) []Meta {
	metas := make([]Meta, 0, len(had)+len(joined))
	metas = append(metas, had...)
	var added []Meta
	for _, m := range joined {
		if i := indexRef(metas, m.PrevRef); i >= 0 && m.PrevRef != "" && indexRef(left, m.PrevRef) >= 0 {
			metas[i] = m
			continue
		}
		added = append(added, m)
	}
	metas = slices.DeleteFunc(metas, func(m Meta) bool { return indexRef(left, m.Ref) >= 0 })
	return append(metas, added...)
}

func indexRef(metas []Meta, ref string) int {
	return slices.IndexFunc(metas, func(m Meta) bool { return m.Ref == ref })
}

// splice returns the list after d, sharing what d does not name. merge says
// what a key that l and d both name has then; none ends the presence.
func (l *List) splice(d Diff, merge func(key string, had, left, joined []Meta) []Meta) *List {
	if d.Empty() {
		return l
	}
	w := listWriter{old: l, list: make([]Presence, 0, len(l.Presences)+len(d.Joins))}
	if w.from = l.encoded.Load(); w.from != nil {
		w.enc = &encoded{
			json: append(make([]byte, 0, len(w.from.json)+96*len(d.Joins)), '{'),
			ends: make([]int, 0, cap(w.list)),
		}
	}
	joins, leaves, next := d.Joins, d.Leaves, 0
	for len(joins)+len(leaves) > 0 {
		var p Presence
		var left []Meta
		if len(leaves) == 0 || len(joins) > 0 && joins[0].Key <= leaves[0].Key {
			p, joins = joins[0], joins[1:]
		} else {
			p.Key = leaves[0].Key
		}
		if len(leaves) > 0 && leaves[0].Key == p.Key {
			left, leaves = leaves[0].Metas, leaves[1:]
		}
		i, there := l.find(next, p.Key)
		w.keep(next, i)
		next = i
		if there {
			had := l.Presences[i]
			p.Metas = merge(p.Key, had.Metas, left, p.Metas)
			if p.Fields == nil {
				p.Fields = had.Fields
			}
			next++
		}
		if len(p.Metas) > 0 {
			w.add(p)
		}
	}
	w.keep(next, len(l.Presences))
	out := &List{Topic: l.Topic, Presences: w.list, Complete: l.Complete}
	if w.enc != nil {
		out.encoded.Store(w.finish())
	}
	return out
}

// withComplete is l, but complete or not.
func (l *List) withComplete(complete bool) *List {
	if l.Complete == complete {
		return l
	}
	out := &List{Topic: l.Topic, Presences: l.Presences, Complete: complete}
	out.encoded.Store(l.encoded.Load())
	return out
}

// listWriter puts a list, its encoding, or both together.
type listWriter struct {
	old  *List
	from *encoded // old's, nil if it was not encoded
	list []Presence
	enc  *encoded // nil: not wanted
}

// keep takes over presences [from, to) of the old list.
func (w *listWriter) keep(from, to int) {
	if from == to {
		return
	}
	w.list = append(w.list, w.old.Presences[from:to]...)
	if w.enc == nil {
		return
	}
	w.comma()
	moved := len(w.enc.json) - w.from.start(from)
	w.enc.json = append(w.enc.json, w.from.json[w.from.start(from):w.from.ends[to-1]]...)
	for _, end := range w.from.ends[from:to] {
		w.enc.ends = append(w.enc.ends, end+moved)
	}
}

func (w *listWriter) add(p Presence) {
	w.list = append(w.list, p)
	if w.enc != nil {
		w.encode(p)
	}
}

func (w *listWriter) encode(p Presence) {
	w.comma()
	w.enc.json = p.appendMember(w.enc.json)
	w.enc.ends = append(w.enc.ends, len(w.enc.json))
}

func (w *listWriter) comma() {
	if len(w.enc.ends) > 0 {
		w.enc.json = append(w.enc.json, ',')
	}
}

func (w *listWriter) finish() *encoded {
	w.enc.json = append(w.enc.json, '}')
	return w.enc
}

// Visible is the list without what is hidden: l itself if nothing is. It looks
// at every meta.
func (l *List) Visible() *List {
	shown := visibleOf(l.Presences)
	if len(shown) == len(l.Presences) && (len(shown) == 0 || &shown[0] == &l.Presences[0]) {
		return l
	}
	return &List{Topic: l.Topic, Presences: shown, Complete: l.Complete}
}

// readList returns the list of topic as r sees it. The list is shared by all
// callers until something changes, and the next is made from it.
func readList(r *replica.Replica, topic string) *List {
	read := r.Read(topic)
	list, _ := read.Last.(*List)
	if list == nil {
		list = &List{Topic: topic, Presences: group(read.Joined), Complete: read.Complete}
		if len(list.Presences) == 0 {
			return list // not worth keeping
		}
	} else {
		diff := Diff{Joins: group(read.Joined), Leaves: group(read.Left)}
		list = list.splice(diff, func(key string, had, left, joined []Meta) []Meta {
			return current(r, topic, key, had, left, joined)
		}).withComplete(read.Complete)
	}
	r.Keep(topic, list, len(list.Presences))
	return list
}

// current returns the metas under key, which had some and changed. Where some stay
// beside others that join, their order is looked up.
func current(r *replica.Replica, topic, key string, had, left, joined []Meta) []Meta {
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
	return group(r.Under(topic, key))[0].Metas
}

// group makes presences of rows: sorted by key, and under a key by process and age.
func group(rows []replica.Row) []Presence {
	return replica.Group(rows,
		func(m replica.Meta) Meta { return Meta(m) },
		func(key string, metas []Meta) Presence { return Presence{Key: key, Metas: metas} })
}
