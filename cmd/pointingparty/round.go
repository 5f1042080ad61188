package main

// Round is one card on the table. It lives in the presence meta of its driver,
// who is the user whose meta holds the round with the highest number. It
// carries the card itself, so that replicas with different decks agree.
type Round struct {
	// N numbers the rounds of a room: it rises by one with every card, from 1,
	// and is not used twice as long as anybody present remembers.
	N int `json:"n"`
	// Index is the card's place in the driver's deck, from 0, of Total.
	Index int `json:"index"`
	Total int `json:"total"`
	// Card is nil when the last card has been pointed: the party is over, and
	// anybody may start again.
	Card *Card `json:"card"`
	// Result is the latest outcome, nil before the reveal. Once the driver has
	// recorded it here it stands until all present have voted and a vote is new.
	Result *Result `json:"result,omitempty"`
}

// over reports whether this is what follows the last card.
func (r *Round) over() bool { return r.Card == nil }

// rev is the revision of the round's result, 0 before the reveal.
func (r *Round) rev() int {
	if r.Result == nil {
		return 0
	}
	return r.Result.Rev
}

// beats reports whether r is further than o: a later round, or a later tally of
// the same. Neither beats the other when both are as far.
func (r *Round) beats(o *Round) bool {
	switch {
	case r == nil || o == nil:
		return r != nil
	case r.N != o.N:
		return r.N > o.N
	default:
		return r.rev() > o.rev()
	}
}

// first is the round that starts a party after round n, or after none (0).
func (d Deck) first(n int) *Round {
	return &Round{N: n + 1, Total: len(d), Card: &d[0]}
}

// after is the round that follows r. The driver's deck goes on where r was,
// also when r was taken from another deck.
func (d Deck) after(r *Round) *Round {
	next := &Round{N: r.N + 1, Index: r.Index + 1, Total: len(d)}
	if next.Index < len(d) {
		next.Card = &d[next.Index]
	} else {
		next.Index = len(d)
	}
	return next
}
