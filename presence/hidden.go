package presence

import (
	"bytes"
	"slices"

	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// A hidden presence is one that clients are not shown: an observer, an
// administrator, a bot. It is a meta with the member phx_hidden, which stands
// first and is ours to set, as phx_ref is; so it is replicated like any meta,
// and every replica knows.

// Hidden makes of a meta, for Track and Update, one that is hidden from clients.
// It is in lists, counts and diffs of this package like any other, where
// [Meta.Hidden] tells, and [Diff.Visible] and [List.Visible] leave it out.
//
// An update with a meta that is not made by Hidden shows it (Patch does not
// change whether it is hidden), and one with Hidden hides it again: a join, and
// a leave, for clients. Such an update has no phx_ref_prev: nobody who was not
// shown a value learns that it was there.
func Hidden(meta any) any { return hiddenMeta{meta} }

// hiddenMeta is what Hidden makes.
type hiddenMeta struct{ meta any }

// Hidden tells whether clients are not to be shown the meta.
func (m Meta) Hidden() bool { return replica.Hidden(m.Data) }

// hide makes a hidden meta of an encoded one.
func hide(data []byte) []byte {
	if len(data) == len("{}") {
		return []byte("{" + replica.HiddenMember + "}")
	}
	return slices.Concat([]byte("{"+replica.HiddenMember+","), bytes.TrimPrefix(data, []byte("{")))
}

// Visible is the diff without what is hidden: what clients are told.
func (d Diff) Visible() Diff { return Diff{Joins: visibleOf(d.Joins), Leaves: visibleOf(d.Leaves)} }

// Visible is the list without what is hidden: l itself if nothing is. It looks
// at every meta.
func (l *List) Visible() *List {
	shown := visibleOf(l.Presences)
	if len(shown) == len(l.Presences) && (len(shown) == 0 || &shown[0] == &l.Presences[0]) {
		return l
	}
	return &List{Topic: l.Topic, Presences: shown, Complete: l.Complete}
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
