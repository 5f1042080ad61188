package main

import (
	"encoding/json"
	"fmt"
	"math/rand"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rollcall-go/rollcall/presence"
)

// row is one present tab in a table of tests; the tab's name is user/joined.
type row struct {
	user   string
	joined int64
	vote   *Vote
	round  *Round
}

func (r row) tab() string { return fmt.Sprintf("%s/%d", r.user, r.joined) }

func (r row) presence() presence.Presence {
	data, err := json.Marshal(Meta{Tab: r.tab(), Joined: r.joined, Vote: r.vote, Round: r.round})
	if err != nil {
		panic(err)
	}
	return presence.Presence{Key: r.user, Metas: []presence.Meta{{Ref: r.tab(), Data: data}}}
}

func peopleOf(rows ...row) []person {
	var v view
	for _, r := range rows {
		v.apply(presence.Event{Diff: presence.Diff{Joins: []presence.Presence{r.presence()}}})
	}
	return v.people()
}

func card(n int, result *Result) *Round {
	return &Round{N: n, Index: n - 1, Total: 9, Card: &Card{Title: fmt.Sprint("card ", n)}, Result: result}
}

func vote(card, points int) *Vote { return &Vote{Card: card, Points: points, At: 1} }

func revealedAs(rev int, votes ...int) *Result {
	r := tally(votes)
	r.Rev = rev
	return r
}

func TestDecide(t *testing.T) {
	tests := []struct {
		name     string
		rows     []row
		mem      memory
		settling bool
		state    State
		duty     Duty
	}{
		{
			name: "an empty room",
		},
		{
			name:  "nobody has started",
			rows:  []row{{"al", 1, nil, nil}, {"bo", 2, nil, nil}},
			state: State{Present: 2},
		},
		{
			name:  "a card is on the table and one of two has voted",
			rows:  []row{{"al", 1, vote(1, 3), card(1, nil)}, {"bo", 2, nil, nil}},
			state: State{Round: card(1, nil), Driver: "al", Present: 2, Voted: 1},
		},
		{
			name:  "the last vote reveals, and the holder has to record it",
			rows:  []row{{"al", 1, vote(1, 3), card(1, nil)}, {"bo", 2, vote(1, 3), nil}},
			state: State{Round: card(1, revealedAs(1, 3, 3)), Driver: "al", Present: 2, Voted: 2, Votes: map[string]int{"al": 3, "bo": 3}},
			duty:  Duty{Record: "al/1"},
		},
		{
			name:  "a vote for the card before does not count",
			rows:  []row{{"al", 1, vote(2, 3), card(2, nil)}, {"bo", 2, vote(1, 5), nil}},
			state: State{Round: card(2, nil), Driver: "al", Present: 2, Voted: 1},
		},
		{
			name:  "a voter who left before voting is not waited for",
			rows:  []row{{"al", 1, vote(1, 5), card(1, nil)}},
			state: State{Round: card(1, revealedAs(1, 5)), Driver: "al", Present: 1, Voted: 1, Votes: map[string]int{"al": 5}},
			duty:  Duty{Record: "al/1"},
		},
		{
			name:     "a voter who left a moment ago is",
			rows:     []row{{"al", 1, vote(1, 5), card(1, nil)}},
			settling: true,
			state:    State{Round: card(1, nil), Driver: "al", Present: 1, Voted: 1},
		},
		{
			name: "of a user's two tabs the newest vote counts, and the user is one voter",
			rows: []row{{"al", 1, &Vote{Card: 1, Points: 5, At: 20}, card(1, nil)}, {"al", 3, &Vote{Card: 1, Points: 1, At: 30}, nil}, {"bo", 2, vote(1, 1), nil}},
			state: State{Round: card(1, revealedAs(1, 1, 1)), Driver: "al", Present: 2, Voted: 2,
				Votes: map[string]int{"al": 1, "bo": 1}},
			duty: Duty{Record: "al/1"},
		},
		{
			name: "a newer vote for an old card does not hide the vote for this one",
			rows: []row{{"al", 1, &Vote{Card: 2, Points: 5, At: 20}, card(2, nil)}, {"al", 3, &Vote{Card: 1, Points: 1, At: 30}, nil}},
			state: State{Round: card(2, revealedAs(1, 5)), Driver: "al", Present: 1, Voted: 1,
				Votes: map[string]int{"al": 5}},
			duty: Duty{Record: "al/1"},
		},
		{
			name: "who joins after the reveal does not undo it",
			rows: []row{{"al", 1, vote(1, 3), card(1, revealedAs(1, 3, 5))}, {"bo", 2, vote(1, 5), nil}, {"cy", 3, nil, nil}},
			state: State{Round: card(1, revealedAs(1, 3, 5)), Driver: "al", Present: 3, Voted: 2,
				Votes: map[string]int{"al": 3, "bo": 5}},
		},
		{
			name: "who leaves after the reveal does not change it",
			rows: []row{{"al", 1, vote(1, 3), card(1, revealedAs(1, 3, 5, 5))}},
			state: State{Round: card(1, revealedAs(1, 3, 5, 5)), Driver: "al", Present: 1, Voted: 1,
				Votes: map[string]int{"al": 3}},
		},
		{
			name: "a vote after the reveal is counted at once when all have voted",
			rows: []row{{"al", 1, &Vote{Card: 1, Points: 5, At: 9, Seen: 1}, card(1, revealedAs(1, 3, 5))}, {"bo", 2, vote(1, 5), nil}},
			state: State{Round: card(1, revealedAs(2, 5, 5)), Driver: "al", Present: 2, Voted: 2,
				Votes: map[string]int{"al": 5, "bo": 5}},
			duty: Duty{Record: "al/1"},
		},
		{
			name: "a vote after the reveal stays hidden while somebody has not voted",
			rows: []row{{"al", 1, &Vote{Card: 1, Points: 5, At: 9, Seen: 1}, card(1, revealedAs(1, 3, 5))}, {"bo", 2, vote(1, 5), nil}, {"cy", 3, nil, nil}},
			state: State{Round: card(1, revealedAs(1, 3, 5)), Driver: "al", Present: 3, Voted: 2,
				Votes: map[string]int{"bo": 5}},
		},
		{
			name: "a vote that was changed while the result was recorded is counted",
			rows: []row{{"al", 1, vote(1, 3), card(1, revealedAs(1, 3, 3))}, {"bo", 2, vote(1, 5), nil}},
			state: State{Round: card(1, revealedAs(2, 3, 5)), Driver: "al", Present: 2, Voted: 2,
				Votes: map[string]int{"al": 3, "bo": 5}},
			duty: Duty{Record: "al/1"},
		},
		{
			name: "a counted vote asks for nothing",
			rows: []row{{"al", 1, &Vote{Card: 1, Points: 5, At: 9, Seen: 1}, card(1, revealedAs(2, 5, 5))}, {"bo", 2, vote(1, 5), nil}},
			state: State{Round: card(1, revealedAs(2, 5, 5)), Driver: "al", Present: 2, Voted: 2,
				Votes: map[string]int{"al": 5, "bo": 5}},
		},
		{
			name:  "the highest round is in force, others are dropped",
			rows:  []row{{"al", 1, nil, card(4, nil)}, {"bo", 2, nil, card(5, nil)}},
			mem:   memory{card(4, nil), "al"},
			state: State{Round: card(5, nil), Driver: "bo", Present: 2},
			duty:  Duty{Drop: map[string]int{"al/1": 4}},
		},
		{
			name:  "of two who started at once the senior drives",
			rows:  []row{{"al", 2, nil, card(1, nil)}, {"bo", 1, nil, card(1, nil)}},
			state: State{Round: card(1, nil), Driver: "bo", Present: 2},
			duty:  Duty{Drop: map[string]int{"al/2": 1}},
		},
		{
			name:  "of two who joined and started at once the first by name drives",
			rows:  []row{{"bo", 1, nil, card(1, nil)}, {"al", 1, nil, card(1, nil)}},
			state: State{Round: card(1, nil), Driver: "al", Present: 2},
			duty:  Duty{Drop: map[string]int{"bo/1": 1}},
		},
		{
			name:  "the driver's other tab turned the card",
			rows:  []row{{"al", 1, nil, card(1, nil)}, {"al", 2, nil, card(2, nil)}},
			mem:   memory{card(1, nil), "al"},
			state: State{Round: card(2, nil), Driver: "al", Present: 1},
			duty:  Duty{Drop: map[string]int{"al/1": 1}},
		},
		{
			name:  "the driver left: the senior takes over",
			rows:  []row{{"cy", 3, nil, nil}, {"bo", 2, vote(4, 3), nil}},
			mem:   memory{card(4, nil), "al"},
			state: State{Round: card(4, nil), Present: 2, Voted: 1},
			duty:  Duty{TakeOver: "bo/2"},
		},
		{
			name:  "the driver closed one of two tabs: the other takes over",
			rows:  []row{{"bo", 1, nil, nil}, {"al", 2, nil, nil}},
			mem:   memory{card(4, nil), "al"},
			state: State{Round: card(4, nil), Present: 2},
			duty:  Duty{TakeOver: "al/2"},
		},
		{
			name:  "the driver left as the last who had not voted: revealed at once, recorded by the heir",
			rows:  []row{{"bo", 2, vote(4, 3), nil}},
			mem:   memory{card(4, nil), "al"},
			state: State{Round: card(4, revealedAs(1, 3)), Present: 1, Voted: 1, Votes: map[string]int{"bo": 3}},
			duty:  Duty{TakeOver: "bo/2"},
		},
		{
			name:  "a later round than all that are held was orphaned",
			rows:  []row{{"al", 1, nil, card(3, nil)}, {"bo", 2, nil, nil}},
			mem:   memory{card(5, nil), "cy"},
			state: State{Round: card(5, nil), Present: 2},
			duty:  Duty{TakeOver: "al/1", Drop: map[string]int{"al/1": 3}},
		},
		{
			name:  "nobody is left to take over",
			mem:   memory{card(5, nil), "cy"},
			state: State{Round: card(5, nil)},
		},
		{
			name:  "after the last card nothing is tallied",
			rows:  []row{{"al", 1, vote(9, 3), &Round{N: 9, Index: 8, Total: 8}}},
			state: State{Round: &Round{N: 9, Index: 8, Total: 8}, Driver: "al", Present: 1},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			state, duty := decide(peopleOf(tt.rows...), tt.mem, tt.settling)
			require.Equal(t, tt.state, state)
			require.Equal(t, tt.duty, duty)
		})
	}
}

func rowGen() *rapid.Generator[row] {
	return rapid.Custom(func(t *rapid.T) row {
		r := row{user: rapid.SampledFrom([]string{"al", "bo", "cy", "di"}).Draw(t, "user"), joined: int64(rapid.IntRange(1, 6).Draw(t, "joined"))}
		if rapid.Bool().Draw(t, "voted") {
			r.vote = &Vote{Card: rapid.IntRange(1, 3).Draw(t, "card"), Points: rapid.SampledFrom(scale).Draw(t, "points"),
				At: int64(rapid.IntRange(1, 4).Draw(t, "at")), Seen: rapid.IntRange(0, 2).Draw(t, "seen")}
		}
		if rapid.IntRange(0, 2).Draw(t, "drives") == 0 {
			r.round = card(rapid.IntRange(1, 3).Draw(t, "n"), nil)
			if rapid.Bool().Draw(t, "revealed") {
				r.round.Result = revealedAs(rapid.IntRange(1, 2).Draw(t, "rev"), votesGen().Draw(t, "votes")...)
			}
		}
		return r
	})
}

func rowsGen() *rapid.Generator[[]row] {
	return rapid.SliceOfNDistinct(rowGen(), 0, 8, row.tab)
}

// Two replicas that see the same presences agree, in whatever order they heard
// of them, and whether by one snapshot or by diffs that came and went.
func TestReplicasWithTheSameViewDecideTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rowsGen().Draw(t, "rows")
		gone := rapid.SliceOfNDistinct(rowGen(), 0, 3, row.tab).Draw(t, "gone")
		mem := memory{}
		if rapid.Bool().Draw(t, "remembers") {
			mem = memory{card(rapid.IntRange(1, 3).Draw(t, "n"), nil), rapid.SampledFrom([]string{"al", "zo"}).Draw(t, "driver")}
		}
		settling := rapid.Bool().Draw(t, "settling")

		var snapshot view
		list := &presence.List{}
		for _, r := range rows {
			list.Presences = append(list.Presences, r.presence())
		}
		snapshot.apply(presence.Event{State: list})

		var folded view
		left := presence.Diff{}
		for i, r := range gone {
			p := r.presence()
			p.Metas[0].Ref = fmt.Sprint("gone ", i)
			folded.apply(presence.Event{Diff: presence.Diff{Joins: []presence.Presence{p}}})
			left.Leaves = append(left.Leaves, p)
		}
		r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "seed")))
		for _, i := range r.Perm(len(rows)) {
			folded.apply(presence.Event{Diff: presence.Diff{Joins: []presence.Presence{rows[i].presence()}}})
		}
		folded.apply(presence.Event{Diff: left})

		require.Equal(t, snapshot.people(), folded.people())
		state1, duty1 := decide(snapshot.people(), mem, settling)
		state2, duty2 := decide(folded.people(), mem, settling)
		require.Equal(t, state1, state2)
		require.Equal(t, duty1, duty2)
	})
}

// Doing the duties settles a room within a few steps: one tab holds the round,
// and its result is recorded. Afterwards there are no duties.
func TestDutiesComeToAnEnd(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rowsGen().Draw(t, "rows")
		mem := memory{card(rapid.IntRange(1, 4).Draw(t, "n"), nil), "al"}
		for step := 0; ; step++ {
			state, duty := decide(peopleOf(rows...), mem, false)
			if !state.orphaned() && state.Round != nil {
				mem = memory{state.Round, state.Driver}
			}
			if duty.Record == "" && duty.TakeOver == "" && len(duty.Drop) == 0 {
				if len(rows) > 0 {
					require.NotEmpty(t, state.Driver)
					require.GreaterOrEqual(t, state.Round.N, mem.round.N)
				}
				return
			}
			require.Less(t, step, 6, "duties without end: %+v", duty)
			for i := range rows {
				if n, ok := duty.Drop[rows[i].tab()]; ok && rows[i].round.N <= n {
					rows[i].round = nil
				}
				if rows[i].tab() == duty.TakeOver || rows[i].tab() == duty.Record {
					rows[i].round = state.Round
				}
			}
		}
	})
}

// The result of a complete round does not depend on who drives or on anything
// but the newest vote of each present user.
func TestTheRevealCountsEveryPresentUserOnce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows := rowsGen().Draw(t, "rows")
		people := peopleOf(rows...)
		state, _ := decide(people, memory{card(9, nil), "zo"}, false)
		require.Equal(t, len(people), state.Present)
		require.Zero(t, state.Voted, "nobody voted for card 9")
		require.Nil(t, state.Round.Result)

		for i := range rows {
			rows[i].vote = &Vote{Card: 9, Points: scale[i%len(scale)], At: int64(i)}
		}
		people = peopleOf(rows...)
		state, _ = decide(people, memory{card(9, nil), "zo"}, false)
		if len(people) == 0 {
			require.Nil(t, state.Round.Result)
			return
		}
		total := 0
		for _, c := range state.Round.Result.Counts {
			total += c.Votes
		}
		require.Equal(t, len(people), total)
		require.Len(t, state.Votes, len(people))
	})
}

func TestWhatMakesNoSenseInAMetaCountsAsAbsent(t *testing.T) {
	tests := []struct {
		name, data string
		want       Meta
	}{
		{"empty", `{}`, Meta{}},
		{"not ours", `{"tab":7}`, Meta{}},
		{"points off the scale", `{"tab":"a","vote":{"card":1,"points":2}}`, Meta{Tab: "a"}},
		{"round zero", `{"tab":"a","round":{"n":0}}`, Meta{Tab: "a"}},
		{"a result without a revision", `{"tab":"a","round":{"n":1,"result":{}}}`, Meta{Tab: "a"}},
		{"cleared vote", `{"tab":"a","vote":null}`, Meta{Tab: "a"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			require.Equal(t, tt.want, decodeMeta(presence.Meta{Data: json.RawMessage(tt.data)}))
		})
	}
}
