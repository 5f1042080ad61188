package replica

import (
	"maps"
	"slices"
	"strings"
)

// topic is what a replica knows of one topic: its own part, and a view of each
// other replica's part while it is interested. There may be a million of them,
// so what few have is behind a pointer.
type topic struct {
	name     string
	own      *ownPart  // nil when there is none, or it was forgotten
	audience *audience // nil until the topic is read, or a watch is to be told of a change

	// interest
	views      []*view // sorted by the peer's name; a peer without one is synced and empty
	lingerAt   instant
	users      int32 // presences, watchers and readers that hold it
	watchers   int32 // of these, those that want events
	slice      uint8 // see sliceOf
	interested bool  // it has users, or had some a moment ago
	direct     bool  // followed on its own: its views tell whether it is complete, not those of a mirror

	dirty    bool
	complete bool // as last told to watchers
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

func (t *topic) viewIndex(p *peer) (int, bool) {
	return slices.BinarySearchFunc(t.views, p.name, func(v *view, name string) int { return strings.Compare(v.peer.name, name) })
}

// sortedTopics returns all topics by name, for rare events that touch them all.
func (r *Replica) sortedTopics() []*topic {
	list := make([]*topic, 0, len(r.topics))
	for _, name := range slices.Sorted(maps.Keys(r.topics)) {
		list = append(list, r.topics[name])
	}
	return list
}

// followed is the topic that a message is about, or nil where it is none of
// ours. A mirror learns of topics by what it hears.
func (r *Replica) followed(name string) *topic {
	t := r.topics[name]
	switch {
	case t != nil && (t.interested || r.mirror != nil):
		return t
	case r.mirror == nil:
		return nil
	case len(r.topics) >= r.cfg.MaxTopics:
		r.overflow()
		return nil
	}
	t = r.topic(name)
	t.complete = r.isComplete(t)
	return t
}

// covers reports whether this replica follows t, which may be nil for a topic that
// it holds nothing of.
func (r *Replica) covers(t *topic) bool { return r.mirror != nil || t != nil && t.interested }
