package main

import (
	"math/rand"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestTally(t *testing.T) {
	tests := []struct {
		name    string
		votes   []int
		outcome string
		points  []int
	}{
		{"one voter decides", []int{3}, winner, []int{3}},
		{"one voter with zero", []int{0}, winner, []int{0}},
		{"all the same", []int{5, 5, 5, 5}, winner, []int{5}},
		{"a majority wins", []int{3, 5, 3}, winner, []int{3}},
		{"a majority wins in an even party", []int{1, 1, 1, 5}, winner, []int{1}},
		{"the most votes win without a majority", []int{3, 3, 1, 5}, winner, []int{3}},
		{"two voters differ", []int{5, 3}, tie, []int{3, 5}},
		{"two against two", []int{5, 0, 5, 0}, tie, []int{0, 5}},
		{"only the most voted values are tied", []int{5, 5, 1, 1, 3}, tie, []int{1, 5}},
		{"everybody differs", []int{5, 3, 1, 0}, tie, []int{0, 1, 3, 5}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := tally(tt.votes)
			require.NotNil(t, r)
			require.Equal(t, tt.outcome, r.Outcome)
			require.Equal(t, tt.points, r.Points)
		})
	}
}

func TestNobodyHasNoResult(t *testing.T) {
	require.Nil(t, tally(nil))
	require.Nil(t, tally([]int{}))
}

func votesGen() *rapid.Generator[[]int] {
	return rapid.SliceOfN(rapid.SampledFrom(scale), 1, 30)
}

func TestTallyDoesNotDependOnTheOrderOfVotes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		votes := votesGen().Draw(t, "votes")
		shuffled := slices.Clone(votes)
		r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
		r.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
		require.Equal(t, tally(votes), tally(shuffled))
	})
}

func TestTallyNamesExactlyTheMostVotedValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		votes := votesGen().Draw(t, "votes")
		r := tally(votes)
		got := map[int]int{}
		for _, v := range votes {
			got[v]++
		}
		for _, value := range scale {
			isMost := got[value] > 0
			for _, n := range got {
				isMost = isMost && got[value] >= n
			}
			require.Equal(t, isMost, slices.Contains(r.Points, value), "value %d of %v", value, votes)
		}
		require.Equal(t, len(r.Points) > 1, r.Outcome == tie)
	})
}

func TestAResultCoversWhatIsLeftWhenVotersLeave(t *testing.T) {
	r := tally([]int{3, 3, 5})
	require.True(t, r.covers([]int{3, 5}))
	require.True(t, r.covers([]int{5}))
	require.True(t, r.covers(nil))
	require.False(t, r.covers([]int{5, 5}), "a 5 more than was counted")
	require.False(t, r.covers([]int{3, 1}), "a value that nobody had voted")
}
