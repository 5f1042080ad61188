package room

import "github.com/rollcall-go/rollcall/presence"

// Diffs collects diffs to be merged into one. Merging each as it comes would
// cost the square of their number; so they are kept, and merged in pairs when
// the result is wanted or when there are too many: at least minDiffs, and twice
// as many as the result had entries the last time. What is held is thus bounded
// by the net change and minDiffs. The zero value is empty.
type Diffs struct {
	list  []presence.Diff
	limit int
}

const minDiffs = 256

// Empty reports whether there is none.
func (q *Diffs) Empty() bool { return len(q.list) == 0 }

// Add appends diffs, each of which follows those before.
func (q *Diffs) Add(list ...presence.Diff) {
	for _, d := range list {
		if d.Empty() {
			continue
		}
		q.list = append(q.list, d)
		if len(q.list) < max(q.limit, minDiffs) {
			continue
		}
		merged := mergeDiffs(q.list)
		clear(q.list)
		q.list = append(q.list[:0], merged)
		q.limit = 2 * (sessions(merged.Joins) + sessions(merged.Leaves))
	}
}

// Take returns the merged diff and empties the collection.
func (q *Diffs) Take() presence.Diff {
	merged := mergeDiffs(q.list)
	*q = Diffs{}
	return merged
}

// mergeDiffs merges neighbours, so that each diff takes part in few merges.
func mergeDiffs(list []presence.Diff) presence.Diff {
	switch len(list) {
	case 0:
		return presence.Diff{}
	case 1:
		return list[0]
	}
	half := len(list) / 2
	return mergeDiffs(list[:half]).Merge(mergeDiffs(list[half:]))
}
