package replica

import (
	"slices"
	"strings"

	"github.com/rollcall-go/rollcall/crdt"
)

// topic is what a replica knows of one topic: its own part, and a view of each
// other replica's part while it is interested. There may be a million of them,
// so what few have is behind a pointer.
type topic struct {
	name     string
	own      *ownPart  // nil when there is none, or it was forgotten
	audience *audience // nil until somebody reads, or is to be told of a change

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
