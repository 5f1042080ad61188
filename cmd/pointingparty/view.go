package main

import (
	"cmp"
	"slices"

	"github.com/rollcall-go/rollcall/presence"
)

// Meta is what a tab's channel says of itself in the presence of its room: the
// whole state of a party is in these. Clients see it masked, see [mask].
type Meta struct {
	// Tab names the channel, and is random.
	Tab string `json:"tab"`
	// Joined is when it joined: Unix milliseconds of its replica.
	Joined int64 `json:"joined"`
	// Vote is nil before the vote, and after the next card cleared it.
	Vote *Vote `json:"vote,omitempty"`
	// Round is what this tab drives, nil in everybody else's.
	Round *Round `json:"round,omitempty"`
}

// decodeMeta reads a tab out of a presence. What another version or program
// has put there, and what makes no sense, counts as absent.
func decodeMeta(p presence.Meta) Meta {
	var m Meta
	if err := p.Decode(&m); err != nil {
		return Meta{}
	}
	if m.Vote != nil && !onScale(m.Vote.Points) {
		m.Vote = nil
	}
	if m.Round != nil && (m.Round.N < 1 || m.Round.Result != nil && m.Round.Result.Rev < 1) {
		m.Round = nil
	}
	return m
}

// tab is one present channel.
type tab struct {
	ref string // phx_ref
	Meta
}

// person is one present user.
type person struct {
	name string
	tabs []tab // by when they joined; never empty
}

// joined is when the first of the person's present tabs joined.
func (p person) joined() int64 { return p.tabs[0].Joined }

// vote is the person's newest vote for round n, nil without one.
func (p person) vote(n int) *Vote {
	var newest *Vote
	for _, t := range p.tabs {
		if t.Vote != nil && t.Vote.Card == n && (newest == nil || t.Vote.newer(*newest)) {
			newest = t.Vote
		}
	}
	return newest
}

// view is everyone present in a room, folded from a watcher's events. Each meta
// is decoded once, so that an event costs what it changes.
type view struct {
	tabs map[string][]tab // by user
}

// apply folds one event in.
func (v *view) apply(e presence.Event) {
	if e.State != nil {
		v.tabs = make(map[string][]tab, len(e.State.Presences))
		v.join(e.State.Presences)
		return
	}
	for _, p := range e.Diff.Leaves {
		left := slices.DeleteFunc(v.tabs[p.Key], func(t tab) bool {
			return slices.ContainsFunc(p.Metas, func(m presence.Meta) bool { return m.Ref == t.ref })
		})
		if len(left) == 0 {
			delete(v.tabs, p.Key)
		} else {
			v.tabs[p.Key] = left
		}
	}
	v.join(e.Diff.Joins)
}

func (v *view) join(joins []presence.Presence) {
	if v.tabs == nil {
		v.tabs = make(map[string][]tab)
	}
	for _, p := range joins {
		for _, m := range p.Metas {
			v.tabs[p.Key] = append(v.tabs[p.Key], tab{ref: m.Ref, Meta: decodeMeta(m)})
		}
	}
}

// people lists everyone by seniority: who joined first, then by name. All
// replicas with the same presences have the same list.
func (v *view) people() []person {
	people := make([]person, 0, len(v.tabs))
	for name, tabs := range v.tabs {
		tabs = slices.Clone(tabs)
		slices.SortFunc(tabs, func(a, b tab) int {
			return cmp.Or(cmp.Compare(a.Joined, b.Joined), cmp.Compare(a.Tab, b.Tab), cmp.Compare(a.ref, b.ref))
		})
		people = append(people, person{name: name, tabs: tabs})
	}
	slices.SortFunc(people, func(a, b person) int {
		return cmp.Or(cmp.Compare(a.joined(), b.joined()), cmp.Compare(a.name, b.name))
	})
	return people
}

// has reports whether the user is present.
func (v *view) has(user string) bool { return len(v.tabs[user]) > 0 }
