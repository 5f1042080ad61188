package presence

import "encoding/json"

// Meta is what one session says of itself under a key: a small JSON object.
// A Meta is immutable and may be shared.
type Meta struct {
	// Ref names this value cluster-wide (phx_ref); an update makes a new one.
	Ref string
	// PrevRef is the Ref of the value that this one replaced (phx_ref_prev),
	// empty before the first update, and after one that hid or showed it. Its value may never have been seen here.
	PrevRef string
	// Data is the object as it was tracked, without the refs; a hidden one has
	// the member phx_hidden. It must not be changed.
	Data json.RawMessage
}

// Decode unmarshals the object into v.
func (m Meta) Decode(v any) error { return json.Unmarshal(m.Data, v) }

// Presence is one key of a topic with all metas under it, ordered by when
// their sessions were first tracked (by replica where that is on several).
type Presence struct {
	Key   string
	Metas []Meta
	// Fields are members beside "metas" in the JSON that clients get, in the
	// order of their names: what a database knows of the key, say. A tracker
	// sets none; they are for who shows presences to have something to add.
	Fields map[string]any
}

// Diff is what changed in a topic. An update is a leave of the old value and
// a join of the new one, under the same key, in the same Diff.
type Diff struct {
	Joins  []Presence // sorted by key
	Leaves []Presence // sorted by key
}

// Empty tells whether nothing changed.
func (d Diff) Empty() bool { return len(d.Joins) == 0 && len(d.Leaves) == 0 }

// Count is how many are present in a topic, the hidden ones too.
type Count struct {
	Keys     int  // distinct keys
	Sessions int  // metas
	Complete bool // as in List
}

// Event is what a watcher is told; see [Tracker.Watch].
type Event struct {
	Topic string
	// State is set in the first event and after each Refresh: everyone present
	// at this point of the sequence of events. Diff is empty then.
	State *List
	// Diff is what changed since the event before. It is empty in an event that
	// only tells that Complete changed.
	Diff Diff
	// Complete is whether the topic is complete after this event.
	Complete bool
}
