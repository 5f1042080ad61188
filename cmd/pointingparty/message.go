package main

import "strconv"

// Events from the server to the page, besides presence_state and presence_diff.
const (
	// eventRound carries a [roundMessage]: all there is to know of the table. It
	// is pushed after the join and whenever it changes, and may be repeated.
	eventRound = "round"
	// eventNewCard carries a [cardMessage] to everybody on every replica when a
	// card is put on the table. Each channel intercepts it and clears its vote.
	eventNewCard = "new_card"
	// eventWinner and eventTie carry a [winnerMessage] and a [tieMessage] when
	// the result of the card appears or changes.
	eventWinner = "winner"
	eventTie    = "tie"
	// eventYourVote carries a [voteMessage] to the tabs of the user who
	// cast it, and to nobody else.
	eventYourVote = "your_vote"
)

// Events from the page. Each is answered, with an [errorReply] where it is
// refused.
const (
	eventStart = "start_pointing" // {}
	eventVote  = "user_estimated" // {"points": 3}, and "card" if it must be that one
	eventNext  = "next_card"      // {}, and "card" if it must be that one that goes
)

// phase is what the people at the table are doing.
type phase string

const (
	phaseIdle     phase = "idle"     // no card yet
	phaseVoting   phase = "voting"   // a card, and somebody has not voted
	phaseRevealed phase = "revealed" // a card and its result
	phaseOver     phase = "over"     // that was the last card
)

// roundMessage is the payload of "round".
type roundMessage struct {
	Phase   phase        `json:"phase"`
	N       int          `json:"n"`
	Index   int          `json:"index"`
	Total   int          `json:"total"`
	Card    *Card        `json:"card"`
	Driver  string       `json:"driver"`
	Present int          `json:"present"`
	Voted   int          `json:"voted"`
	Result  *resultShown `json:"result"`
}

// resultShown is a result with the votes that it revealed, by user.
type resultShown struct {
	*Result
	Votes map[string]int `json:"votes"`
}

// cardMessage is the payload of "new_card". Card is null after the last one.
type cardMessage struct {
	N      int    `json:"n"`
	Index  int    `json:"index"`
	Total  int    `json:"total"`
	Card   *Card  `json:"card"`
	Driver string `json:"driver"`
}

// winnerMessage is the payload of "winner".
type winnerMessage struct {
	Points int            `json:"points"`
	Votes  map[string]int `json:"votes"`
}

// tieMessage is the payload of "tie": the tied values, ascending.
type tieMessage struct {
	Points []int          `json:"points"`
	Votes  map[string]int `json:"votes"`
}

// voteMessage is the payload of "your_vote".
type voteMessage struct {
	Card   int `json:"card"`
	Points int `json:"points"`
}

// errorReply is the response of a refused event or join.
type errorReply struct {
	Reason string `json:"reason"` // for people
	// Driver is who may do it, where that is the reason.
	Driver string `json:"driver,omitempty"`
}

// message words a state for the page.
func (s *State) message() roundMessage {
	m := roundMessage{Phase: phaseIdle, Present: s.Present, Voted: s.Voted, Driver: s.Driver}
	if s.Round == nil {
		return m
	}
	m.N, m.Index, m.Total, m.Card = s.Round.N, s.Round.Index, s.Round.Total, s.Round.Card
	switch {
	case s.Round.over():
		m.Phase = phaseOver
	case s.Round.Result == nil:
		m.Phase = phaseVoting
	default:
		m.Phase = phaseRevealed
		m.Result = &resultShown{s.Round.Result, s.Votes}
	}
	return m
}

// verdict is the event that announces the state's result.
func (s *State) verdict() (event string, payload any) {
	r := s.Round.Result
	if r.Outcome == winner {
		return eventWinner, winnerMessage{Points: r.Points[0], Votes: s.Votes}
	}
	return eventTie, tieMessage{Points: r.Points, Votes: s.Votes}
}

// cardNumber names the card of round n for people.
func cardNumber(n int) string { return "card " + strconv.Itoa(n) }
