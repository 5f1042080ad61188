package main

// State is what a party is at, as one replica sees it: a pure function of who
// is present with which metas, of the last round that this replica remembers,
// and of whether somebody has only just left.
type State struct {
	// Round is what is on the table, nil before the first card. Its Result is
	// the one in force: what the driver recorded, or what follows from the votes.
	Round *Round
	// Driver may turn the next card. It is empty while the round is orphaned:
	// nobody present holds it, and somebody is about to take it over.
	Driver string
	// Present is how many users are here, Voted how many of them have voted for
	// this round.
	Present, Voted int
	// Votes is who voted what, as far as the result has revealed it: votes that
	// came after it are left out. Nil before the reveal.
	Votes map[string]int
}

// orphaned reports whether there is a round that nobody present holds.
func (s *State) orphaned() bool { return s.Round != nil && s.Driver == "" }

// voting reports whether a card is on the table whose votes are still hidden.
func (s *State) voting() bool { return s.Round != nil && !s.Round.over() && s.Round.Result == nil }

// Duty is what has to be done so that the metas say what the state is. Every
// replica that sees the same finds the same duties, and does those of its own
// tabs.
type Duty struct {
	// Record names the tab that holds the round and has to write the state's
	// result into it.
	Record string
	// TakeOver names the tab that has to write the orphaned round into its meta.
	TakeOver string
	// Drop are the tabs that hold a round that is not the one in force, with
	// that round's number.
	Drop map[string]int
}

// memory is the last round that a replica has seen somebody hold, and who that
// was. It outlives the holder: so a round survives a driver who leaves, and a
// killed replica.
type memory struct {
	round  *Round // nil: none yet
	driver string
}

// decide computes the state of a party and the duties that follow from it.
// people is sorted as [view.people] does it. settling says that somebody who had
// not voted left a moment ago: the round does not complete before it is clear
// that this was not just a reload of the page.
func decide(people []person, mem memory, settling bool) (State, Duty) {
	s := State{Present: len(people)}
	var d Duty
	driver, held := holder(people)
	switch {
	case held != nil && (mem.round == nil || held.Round.N >= mem.round.N):
		s.Round, s.Driver = held.Round, driver
	case mem.round != nil:
		held = nil
		s.Round = mem.round
		d.TakeOver = heir(people, mem.driver)
	default:
		return s, d
	}
	for _, p := range people {
		for _, t := range p.tabs {
			if t.Round != nil && (held == nil || t.Tab != held.Tab) {
				if d.Drop == nil {
					d.Drop = make(map[string]int)
				}
				d.Drop[t.Tab] = t.Round.N
			}
		}
	}
	if s.Round.over() {
		return s, d
	}

	votes, seen := votesFor(people, s.Round.N)
	s.Voted = len(votes)
	if recorded := s.Round.Result; s.Voted > 0 && s.Voted == s.Present && !settling &&
		(recorded == nil || seen >= recorded.Rev || !recorded.covers(votes)) {
		next := *s.Round
		next.Result = tally(votes)
		next.Result.Rev = s.Round.rev() + 1
		s.Round = &next
		if held != nil {
			d.Record = held.Tab
		}
	}
	s.Votes = reveal(people, s.Round)
	return s, d
}

// holder finds who holds the round that is furthest; among equals, the most
// senior.
func holder(people []person) (driver string, held *tab) {
	for _, p := range people {
		for i := range p.tabs {
			if t := &p.tabs[i]; t.Round != nil && (held == nil || t.Round.beats(held.Round)) {
				driver, held = p.name, t
			}
		}
	}
	return driver, held
}

// heir is the tab that takes over what driver held: another tab of that user,
// else the first tab of the most senior user.
func heir(people []person, driver string) string {
	for _, p := range people {
		if p.name == driver {
			return p.tabs[0].Tab
		}
	}
	if len(people) == 0 {
		return ""
	}
	return people[0].tabs[0].Tab
}

// votesFor collects everyone's vote for round n, and the latest result that any
// of the voters had seen.
func votesFor(people []person, n int) (votes []int, seen int) {
	for _, p := range people {
		if v := p.vote(n); v != nil {
			votes = append(votes, v.Points)
			seen = max(seen, v.Seen)
		}
	}
	return votes, seen
}

// reveal lists the votes that the round's result has made public.
func reveal(people []person, r *Round) map[string]int {
	if r.Result == nil {
		return nil
	}
	votes := make(map[string]int)
	for _, p := range people {
		if v := p.vote(r.N); v != nil && v.Seen < r.Result.Rev {
			votes[p.name] = v.Points
		}
	}
	return votes
}
