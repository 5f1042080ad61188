package replica

// This file is what readers and watchers of a topic are given. Both are told what
// changed since they last asked, in rows; package presence makes lists and diffs of
// these.

// audience is what is kept for the readers and watchers of a topic.
type audience struct {
	last  any            // what a reader kept; nil if nothing, or too much changed since
	most  int            // changes since then that are worth remembering
	since changed        // what changed since then
	keys  map[string]int // metas under each key; nil until the first Count
	told  changed        // what changed since the last event
}

// minChanged is how many changes since the last reading are remembered at least:
// else a quarter of the list, since then it is made anew as quickly.
const minChanged = 64

// forget makes the next reading one of everything.
func (a *audience) forget() { a.last, a.since = nil, changed{} }

// changed is what joined and left, in no particular order.
type changed struct {
	joined, left []row
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
		c.left = append(c.left, row{birth, e})
	}
	for _, e := range ch.Added {
		c.joined = append(c.joined, row{birth, e})
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

// take returns the net difference and forgets it: what joined and left, in either
// order, is no change.
func (c *changed) take() (joined, left []Row) {
	joined, left = c.rows(c.joined, true), c.rows(c.left, false)
	*c = changed{}
	if len(joined) == 0 || len(left) == 0 {
		return joined, left
	}
	type id struct{ birth, dot uint64 }
	count := make(map[id]int, len(joined)+len(left))
	for _, v := range joined {
		count[id{v.birth, v.Dot}]++
	}
	for _, v := range left {
		count[id{v.birth, v.Dot}]--
	}
	net := func(list []Row, sign int) []Row {
		kept := list[:0]
		for _, v := range list {
			k := id{v.birth, v.Dot}
			if count[k]*sign > 0 {
				count[k] = 0
				kept = append(kept, v)
			}
		}
		return kept
	}
	return net(joined, 1), net(left, -1)
}

// rows returns the entries of list, which is one of c's, and those lent ones that
// belong to it.
func (c *changed) rows(list []row, up bool) []Row {
	n := len(list)
	for _, run := range c.lent {
		if run.up == up {
			n += len(run.entries)
		}
	}
	rows := make([]Row, 0, n)
	for i := range list {
		rows = append(rows, Row{list[i].birth, &list[i].entry})
	}
	for _, run := range c.lent {
		if run.up == up {
			rows = appendRows(rows, run.birth, run.entries)
		}
	}
	return rows
}

// change records what became visible, and what no longer is.
func (r *Replica) change(t *topic, birth uint64, ch changes) {
	if ch.Empty() {
		return
	}
	r.touch(t)
	a := r.audience(t)
	if a == nil {
		return
	}
	if a.last != nil {
		if a.since.len()+len(ch.Added)+len(ch.Removed) > a.most {
			a.forget()
		} else {
			a.since.add(birth, ch)
		}
	}
	a.count(ch)
	if r.tells(t) {
		a.told.add(birth, ch)
	}
}

// turn records that all of v became visible (up), or no longer is. Nothing is copied:
// see changed.keep.
func (r *Replica) turn(v *view, up bool) {
	r.touch(v.t) // completeness
	a := r.audience(v.t)
	if a == nil || v.size() == 0 {
		return
	}
	a.forget()
	for entries := range v.visible() {
		ch := changes{Removed: entries}
		if up {
			ch = changes{Added: entries}
		}
		a.count(ch)
		if r.tells(v.t) {
			a.told.lent = append(a.told.lent, run{v.peer.birth, up, entries})
		}
	}
}

// count keeps the number of keys up to date, after the first Count.
func (a *audience) count(ch changes) {
	if a.keys == nil {
		return
	}
	for _, e := range ch.Removed {
		if a.keys[e.Key]--; a.keys[e.Key] <= 0 {
			delete(a.keys, e.Key)
		}
	}
	for _, e := range ch.Added {
		a.keys[e.Key]++
	}
}

// audience returns the audience of a topic that is read or watched, else nil.
func (r *Replica) audience(t *topic) *audience {
	if t.audience == nil && r.tells(t) {
		return t.listen()
	}
	return t.audience
}

// listen returns the audience of t, from now on.
func (t *topic) listen() *audience {
	if t.audience == nil {
		t.audience = new(audience)
	}
	return t.audience
}

// tells reports whether t is watched.
func (r *Replica) tells(t *topic) bool { return t.watchers > 0 || r.watchesAll() }

// An Event tells watchers of a topic what changed in it.
type Event struct {
	Topic        string // empty: Complete is that of all topics
	Joined, Left []Row
	Complete     bool // whether the topic is complete now
}

// emit tells watchers what changed in t during this step.
func (r *Replica) emit(t *topic) {
	e := Event{Topic: t.name, Complete: r.isComplete(t)}
	if a := t.audience; a != nil && a.told.len() > 0 {
		e.Joined, e.Left = a.told.take()
		if a.last == nil && a.keys == nil { // most topics are watched, and never read
			t.audience = nil
		}
	}
	if e.Complete == t.complete && len(e.Joined)+len(e.Left) == 0 {
		return
	}
	t.complete = e.Complete
	r.events = append(r.events, e)
}

// A Reading is what a reader lacks to know all rows of a topic.
type Reading struct {
	// Last is what the reader gave to Keep after an earlier reading, and Joined and
	// Left what changed since. Without one it is nil, and Joined is all rows.
	Last         any
	Joined, Left []Row
	Complete     bool
}

// Read returns what changed in a topic since the last reading that was kept, or all
// that is there.
func (r *Replica) Read(name string) Reading {
	t := r.topics[name]
	if t == nil {
		return Reading{Complete: r.mirrorComplete()}
	}
	read := Reading{Complete: r.isComplete(t)}
	if a := t.listen(); a.last == nil {
		read.Joined = r.rows(t)
	} else {
		read.Last = a.last
		if a.since.len() > 0 {
			read.Joined, read.Left = a.since.take()
		}
		a.last = nil // until it is kept again
	}
	return read
}

// Keep remembers what a reader made of its reading, a list of some size. Nothing
// may have happened since that reading. What was kept is forgotten when too much
// changed; an empty list is not worth keeping.
func (r *Replica) Keep(name string, list any, size int) {
	if t := r.topics[name]; t != nil {
		a := t.listen()
		a.last, a.most = list, max(minChanged, size/4)
	}
}

// Under returns what is visible under a key. It looks at all of the topic.
func (r *Replica) Under(name, key string) []Row {
	t := r.topics[name]
	if t == nil {
		return nil
	}
	var rows []Row
	for _, row := range r.rows(t) {
		if row.Key == key {
			rows = append(rows, row)
		}
	}
	return rows
}

// rows returns all that is visible in t, in no particular order; it is valid until
// something changes there.
func (r *Replica) rows(t *topic) []Row {
	all := make([]Row, 0, r.sessions(t))
	if t.own != nil {
		for run := range t.own.Runs() {
			all = appendRows(all, r.birth, run)
		}
	}
	for _, v := range t.views {
		if v.peer.up {
			for run := range v.visible() {
				all = appendRows(all, v.peer.birth, run)
			}
		}
	}
	return all
}

// Count is how many are in a topic.
type Count struct {
	Keys     int
	Sessions int
	Complete bool
}

// Count returns how many are in the topic as seen from here. The number of keys is
// kept up to date from the first call on.
func (r *Replica) Count(name string) Count {
	t := r.topics[name]
	if t == nil {
		return Count{Complete: r.mirrorComplete()}
	}
	a := t.listen()
	if a.keys == nil {
		a.keys = map[string]int{}
		for _, row := range r.rows(t) {
			a.keys[row.Key]++
		}
	}
	return Count{Keys: len(a.keys), Sessions: r.sessions(t), Complete: r.isComplete(t)}
}

// sessions is how many entries are visible in t.
func (r *Replica) sessions(t *topic) int {
	n := 0
	if t.own != nil {
		n = t.own.Len()
	}
	for _, v := range t.views {
		if v.peer.up {
			n += v.size()
		}
	}
	return n
}
