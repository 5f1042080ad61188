package presence

import (
	"slices"
	"sort"
	"strings"
)

// Diff is what changed in a topic. An update is a leave of the old value and
// a join of the new one, under the same key, in the same Diff.
type Diff struct {
	Joins  []Presence // sorted by key
	Leaves []Presence // sorted by key
}

// Empty reports whether nothing changed.
func (d Diff) Empty() bool { return len(d.Joins) == 0 && len(d.Leaves) == 0 }

// Visible is the diff without what is hidden: what clients are told.
func (d Diff) Visible() Diff { return Diff{Joins: visibleOf(d.Joins), Leaves: visibleOf(d.Leaves)} }

// Merge returns the net diff of d followed by next. What joins in d and leaves in
// next is in neither list, so that a value that was never shown does not leave. d and
// next stay as they are.
func (d Diff) Merge(next Diff) Diff {
	if d.Empty() {
		return next
	}
	if next.Empty() {
		return d
	}
	joins, leaves := collect(d.Joins), collect(d.Leaves)
	for _, p := range next.Leaves {
		for _, m := range p.Metas {
			if !joins.drop(p.Key, m.Ref) {
				leaves.add(p.Key, m)
			}
		}
	}
	for _, p := range next.Joins {
		for _, m := range p.Metas {
			// A replica that was hidden and is seen again: it leaves and joins
			// with the same refs, which is no change.
			if !leaves.drop(p.Key, m.Ref) {
				joins.add(p.Key, m)
			}
		}
	}
	merged := Diff{Joins: joins.presences(), Leaves: leaves.presences()}
	merged.carryFields(d, next)
	return merged
}

// carryFields gives the presences of d, which was merged, the fields that they
// had before; of two the later ones.
func (d Diff) carryFields(merged ...Diff) {
	var fields map[string]map[string]any
	for _, from := range merged {
		for _, list := range [][]Presence{from.Leaves, from.Joins} {
			for _, p := range list {
				if p.Fields == nil {
					continue
				}
				if fields == nil {
					fields = map[string]map[string]any{}
				}
				fields[p.Key] = p.Fields
			}
		}
	}
	if fields == nil {
		return
	}
	for _, list := range [][]Presence{d.Joins, d.Leaves} {
		for i := range list {
			list[i].Fields = fields[list[i].Key]
		}
	}
}

// byKey collects metas under their keys.
type byKey map[string][]Meta

func collect(list []Presence) byKey {
	c := make(byKey, len(list))
	for _, p := range list {
		c[p.Key] = slices.Clone(p.Metas)
	}
	return c
}

func (c byKey) add(key string, m Meta) { c[key] = append(c[key], m) }

// drop removes the meta with ref under key, and reports whether it was there.
func (c byKey) drop(key, ref string) bool {
	metas := c[key]
	i := slices.IndexFunc(metas, func(m Meta) bool { return m.Ref == ref })
	if i < 0 {
		return false
	}
	if metas = slices.Delete(metas, i, i+1); len(metas) == 0 {
		delete(c, key)
	} else {
		c[key] = metas
	}
	return true
}

// presences returns what was collected, sorted by key.
func (c byKey) presences() []Presence {
	if len(c) == 0 {
		return nil
	}
	list := make([]Presence, 0, len(c))
	for key, metas := range c {
		list = append(list, Presence{Key: key, Metas: metas})
	}
	sort.Slice(list, func(i, j int) bool { return strings.Compare(list[i].Key, list[j].Key) < 0 })
	return list
}
