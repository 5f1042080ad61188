package channel

import "github.com/rollcall-go/rollcall/presence"

// diffs collects diffs to be merged into one. Merging each as it comes would
// cost the square of their number; so they are kept, and merged in pairs when
// the result is wanted or when there are too many: at least minDiffs, and twice
// as many as the result had entries the last time. What is held is thus bounded
// by the net change and minDiffs.
type diffs struct {
	list  []presence.Diff
	limit int
}

const minDiffs = 256

func (q *diffs) empty() bool { return len(q.list) == 0 }

func (q *diffs) add(list ...presence.Diff) {
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

// take returns the merged diff and empties the collection.
func (q *diffs) take() presence.Diff {
	merged := mergeDiffs(q.list)
	*q = diffs{}
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
