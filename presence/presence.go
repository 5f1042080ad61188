package presence

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// Meta is what one session says of itself under a key: a small JSON object.
// A Meta is immutable and may be shared.
type Meta struct {
	// Ref names this value cluster-wide (phx_ref); an update makes a new one.
	Ref string
	// PrevRef is the Ref of the value that this one replaced (phx_ref_prev),
	// empty before the first update, and after one that hid or showed it. The value
	// that it names may never have been seen here.
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
	// sets none; they are for programs that show presences with data of their own.
	Fields map[string]any
}

// Count is how many are present in a topic, the hidden ones too.
type Count struct {
	Keys     int  // distinct keys
	Sessions int  // metas
	Complete bool // as in List
}

// A hidden presence is one that clients are not shown: an observer, an
// administrator, a bot. It is a meta with the member phx_hidden, which stands
// first and is ours to set, as phx_ref is; so it is replicated like any meta,
// and every replica knows.

// Hidden is a meta, for Track and Update, that is hidden from clients. It is in lists,
// counts and diffs of this package like any other, where [Meta.Hidden] reports it, and
// [Diff.Visible] and [List.Visible] leave it out.
//
// An update with a meta that is not Hidden shows it (Patch does not change whether it
// is hidden), and one with Hidden hides it again: a join, and a leave, for clients.
// Such an update has no phx_ref_prev, so that clients do not learn of values that they
// were not shown.
type Hidden struct{ Meta any }

// Hidden reports whether the meta is hidden from clients.
func (m Meta) Hidden() bool { return replica.Hidden(m.Data) }

// hide makes a hidden meta of an encoded one.
func hide(data []byte) []byte {
	if len(data) == len("{}") {
		return []byte("{" + replica.HiddenMember + "}")
	}
	return slices.Concat([]byte("{"+replica.HiddenMember+","), bytes.TrimPrefix(data, []byte("{")))
}

// visibleOf is list itself where nothing is hidden.
func visibleOf(list []Presence) []Presence {
	first := slices.IndexFunc(list, hides)
	if first < 0 {
		return list
	}
	shown := slices.Clone(list[:first])
	for _, p := range list[first:] {
		if hides(p) {
			p.Metas = slices.DeleteFunc(slices.Clone(p.Metas), Meta.Hidden)
		}
		if len(p.Metas) > 0 {
			shown = append(shown, p)
		}
	}
	return shown
}

func hides(p Presence) bool { return slices.ContainsFunc(p.Metas, Meta.Hidden) }
