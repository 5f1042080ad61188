package main

import "slices"

// scale is what a card may be pointed with, in ascending order.
var scale = []int{0, 1, 3, 5}

// onScale reports whether points is a value that may be voted.
func onScale(points int) bool { return slices.Contains(scale, points) }

// Vote is what one tab said of one card.
type Vote struct {
	// Card is the number of the round that the vote is for. A vote for any
	// other round counts nothing, so that a vote that is not yet cleared
	// elsewhere cannot complete the next card.
	Card int `json:"card"`
	// Points is on the scale.
	Points int `json:"points"`
	// At orders the votes of one user's tabs: Unix milliseconds of the replica
	// that took the vote, raised above every earlier vote of the user that this
	// replica knew, so that clocks that disagree do not turn a change back.
	At int64 `json:"at"`
	// Seen is the revision of the result that was on the table when the vote
	// was cast, 0 before the reveal. See [Result].
	Seen int `json:"seen,omitempty"`
}

// newer reports whether v replaces w where one user has both.
func (v Vote) newer(w Vote) bool {
	if v.At != w.At {
		return v.At > w.At
	}
	return v.Points > w.Points // any order will do, if all replicas have the same
}

// The outcomes of a round.
const (
	winner = "winner" // one value has more votes than any other
	tie    = "tie"    // several values share the most votes
)

// Result is how a round came out. It is kept in the driver's meta, so it is
// small whatever the number of voters: who voted what stays in the voters' own
// metas.
type Result struct {
	// Rev is 1 for the first result of a card and rises with each new tally.
	// A vote cast with Seen >= Rev came after this result and asks for another.
	Rev int `json:"rev"`
	// Outcome is "winner" or "tie".
	Outcome string `json:"outcome"`
	// Points has the winning value alone, or the tied ones in ascending order.
	Points []int `json:"points"`
	// Counts tells how many voted for each value that got a vote, in ascending
	// order of the values.
	Counts []Count `json:"counts"`
}

// Count is how many votes a value got.
type Count struct {
	Points int `json:"points"`
	Votes  int `json:"votes"`
}

// tally counts votes, in any order. The value with the most votes wins; values
// that share the most votes are tied. Nobody's votes have no result: nil.
func tally(votes []int) *Result {
	if len(votes) == 0 {
		return nil
	}
	counts := count(votes)
	most := 0
	for _, c := range counts {
		most = max(most, c.Votes)
	}
	r := &Result{Rev: 1, Outcome: winner, Counts: counts}
	for _, c := range counts {
		if c.Votes == most {
			r.Points = append(r.Points, c.Points)
		}
	}
	if len(r.Points) > 1 {
		r.Outcome = tie
	}
	return r
}

// count groups votes by value, ascending.
func count(votes []int) []Count {
	sorted := slices.Sorted(slices.Values(votes))
	var counts []Count
	for _, points := range sorted {
		if n := len(counts); n > 0 && counts[n-1].Points == points {
			counts[n-1].Votes++
			continue
		}
		counts = append(counts, Count{Points: points, Votes: 1})
	}
	return counts
}

// covers reports whether every one of votes was among those that r counted, as
// far as numbers tell: that is so when all that happened since is that voters
// left.
func (r *Result) covers(votes []int) bool {
	for _, c := range count(votes) {
		i := slices.IndexFunc(r.Counts, func(had Count) bool { return had.Points == c.Points })
		if i < 0 || r.Counts[i].Votes < c.Votes {
			return false
		}
	}
	return true
}

// same reports whether two results say the same to the people at the table.
func (r *Result) same(o *Result) bool {
	if r == nil || o == nil {
		return r == o
	}
	return r.Outcome == o.Outcome && slices.Equal(r.Points, o.Points) && slices.Equal(r.Counts, o.Counts)
}
