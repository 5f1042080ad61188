package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/presence"
)

// member is the channel of one tab: one connection of a user who is in a room.
// It is the only writer of its own meta, and writes no other: everything that it
// wants to change in the room goes through that.
type member struct {
	// Static after Join.
	app    *app
	room   *room
	socket *channel.Socket
	name   string
	tab    string

	// Owned by the callbacks, of which one runs at a time.
	meta   Meta   // as tracked
	latest *Round // the latest card that this client was shown, by itself or by new_card
	driver string // who put it on the table

	told voteMessage // guarded by room.mu: the last your_vote
}

// assignName is what a connection came with as its user's name, a string.
const assignName = "name"

// What HandleInfo is sent.
type (
	afterJoin struct{}
	// hold: write this round into your meta, as its driver.
	hold struct{ round *Round }
	// drop: your round n is not the one in force; clear it.
	drop struct{ n int }
)

// Join lets everybody in who has a name and a room. The name is the "name" of
// the join's payload, or of the parameters that the socket connected with. That
// is all the authentication there is: two tabs with one name are one user.
func (m *member) Join(_ context.Context, s *channel.Socket, params channel.Payload) (any, error) {
	var p struct {
		Name *string `json:"name"`
	}
	if err := params.Decode(&p); err != nil {
		return nil, channel.Refuse(`the payload must be {"name": "..."}`)
	}
	name, _ := s.Conn().Value(assignName).(string)
	if p.Name != nil {
		name = *p.Name
	}
	name, err := userName(name)
	if err != nil {
		return nil, channel.Refuse(err.Error())
	}
	if trimmed, err := roomName(s.Topic()[len(topicPrefix):]); err != nil {
		return nil, channel.Refuse(err.Error())
	} else if topicPrefix+trimmed != s.Topic() {
		return nil, channel.Refuse("the name of the room begins or ends with a space")
	}
	room, err := m.app.rooms.acquire(s.Topic())
	if err != nil {
		return nil, err
	}
	m.room, m.socket, m.name, m.tab = room, s, name, m.app.newTab()
	s.Send(afterJoin{})
	return map[string]string{"name": name}, nil
}

// Terminate gives the seat up. The presence ends by itself.
func (m *member) Terminate(context.Context, *channel.Socket, channel.Reason) {
	m.room.unseat(m)
	m.app.rooms.release(m.room)
}

// HandleInfo does what comes after the join, and the room's duties.
func (m *member) HandleInfo(s *channel.Socket, msg any) channel.Result {
	switch msg := msg.(type) {
	case afterJoin:
		// The list first: the client's own entry then comes as a diff.
		if err := s.PushPresenceState(); err != nil {
			return m.fail("presence_state", err)
		}
		// Seated first: a duty may fall to this tab as soon as it is present.
		m.room.seat(m)
		m.meta = Meta{Tab: m.tab, Joined: time.Now().UnixMilli()}
		if _, err := s.Track(m.name, m.meta); err != nil {
			return m.fail("track", err)
		}
	case hold:
		if msg.round.beats(m.meta.Round) {
			meta := m.meta
			meta.Round = msg.round
			m.logged("hold the round", m.write(meta))
		}
	case drop:
		if m.meta.Round != nil && m.meta.Round.N <= msg.n {
			meta := m.meta
			meta.Round = nil
			m.logged("drop the round", m.write(meta))
		}
	}
	return channel.NoReply()
}

// HandleIn answers what the page asks for.
func (m *member) HandleIn(_ *channel.Socket, event string, payload channel.Payload) channel.Result {
	var err error
	switch event {
	case eventStart:
		return m.answer(m.start())
	case eventVote:
		var p struct {
			Points *int `json:"points"`
			Card   *int `json:"card"`
		}
		if err = payload.Decode(&p); err != nil || p.Points == nil || !onScale(*p.Points) {
			return refuse(fmt.Sprintf(`"points" must be one of %v`, scale))
		}
		return m.answer(m.vote(*p.Points, p.Card))
	case eventNext:
		var p struct {
			Card *int `json:"card"`
		}
		if err = payload.Decode(&p); err != nil {
			return refuse(`"card" must be the number of the card that goes, or be left out`)
		}
		return m.answer(m.next(p.Card))
	default:
		return refuse(fmt.Sprintf("unknown event %q: there are %s, %s and %s", event, eventStart, eventVote, eventNext))
	}
}

// refusal is an error whose text is for the people at the table.
type refusal struct{ errorReply }

func (r *refusal) Error() string { return r.Reason }

func refused(format string, args ...any) error {
	return &refusal{errorReply{Reason: fmt.Sprintf(format, args...)}}
}

func refuse(reason string) channel.Result { return channel.Error(errorReply{Reason: reason}) }

// answer replies to an event that had err.
func (m *member) answer(err error) channel.Result {
	var r *refusal
	switch {
	case err == nil:
		return channel.OK(nil)
	case errors.As(err, &r):
		return channel.Error(r.errorReply)
	default:
		m.logged("handle an event", err)
		return refuse("the server could not do that; try again")
	}
}

// table is what is on the table as this client knows it, which may be ahead of
// what its replica's room has decided: then a new_card has just come through.
func (m *member) table() (round *Round, driver string, err error) {
	state, ok := m.room.current()
	switch {
	case m.latest != nil && (!ok || state.Round == nil || state.Round.N < m.latest.N):
		return m.latest, m.driver, nil
	case !ok:
		return nil, "", refused("still finding out who is here; try again in a moment")
	}
	return state.Round, state.Driver, nil
}

// start puts the first card on the table, and makes this user the driver.
func (m *member) start() error {
	round, driver, err := m.table()
	switch {
	case err != nil:
		return err
	case round == nil:
		return m.deal(m.app.deck.first(0))
	case round.over():
		return m.deal(m.app.deck.first(round.N))
	default:
		return &refusal{errorReply{Reason: fmt.Sprintf("the party has started already; %s", drives(driver)), Driver: driver}}
	}
}

// next puts the next card on the table. card, unless nil, is the number of the
// one that goes, so that two impatient clicks do not turn two cards.
func (m *member) next(card *int) error {
	round, driver, err := m.table()
	switch {
	case err != nil:
		return err
	case round == nil || round.over():
		return refused("there is no card on the table: start pointing first")
	case driver != m.name:
		return &refusal{errorReply{Reason: drives(driver), Driver: driver}}
	case card != nil && *card != round.N:
		return refused("%s is not on the table any more", cardNumber(*card))
	}
	return m.deal(m.app.deck.after(round))
}

// drives words who may turn the card.
func drives(driver string) string {
	if driver == "" {
		return "the driver has just left; somebody takes over in a moment"
	}
	return driver + " is driving, and nobody else turns the card"
}

// deal puts a round on the table: into this tab's meta, where it counts, and then
// as new_card to everybody.
func (m *member) deal(round *Round) error {
	meta := m.meta
	meta.Round = round
	if err := m.write(meta); err != nil {
		return err
	}
	m.latest, m.driver = round, m.name
	err := m.socket.Broadcast(eventNewCard, cardMessage{N: round.N, Index: round.Index, Total: round.Total, Card: round.Card, Driver: m.name})
	// Those who do not get it learn of the card by presence.
	m.logged("broadcast new_card", err)
	return nil
}

// vote writes this user's vote into the tab's meta. card, unless nil, is the
// number of the card that was pointed.
func (m *member) vote(points int, card *int) error {
	round, _, err := m.table()
	switch {
	case err != nil:
		return err
	case round == nil || round.over():
		return refused("there is no card on the table to point")
	case card != nil && *card != round.N:
		return refused("%s is not on the table any more", cardNumber(*card))
	}
	vote := &Vote{Card: round.N, Points: points, At: time.Now().UnixMilli(), Seen: round.rev()}
	if last := m.room.voteOf(m.name, round.N); last != nil {
		vote.At = max(vote.At, last.At+1)
	}
	if own := m.meta.Vote; own != nil && own.Card == round.N {
		vote.At = max(vote.At, own.At+1)
	}
	meta := m.meta
	meta.Vote = vote
	return m.write(meta)
}

// Intercept: each channel clears its own vote before its client sees the card.
func (m *member) Intercept() []string { return []string{eventNewCard} }

// HandleOut clears this tab's vote, unless it is one for that card already: who
// heard of the card by presence may have voted before this came.
func (m *member) HandleOut(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	var card cardMessage
	if err := payload.Decode(&card); err != nil || card.N < 1 {
		m.logged("read new_card", err)
		return channel.NoReply()
	}
	if m.latest == nil || card.N > m.latest.N {
		m.latest = &Round{N: card.N, Index: card.Index, Total: card.Total, Card: card.Card}
		m.driver = card.Driver
	}
	if m.meta.Vote != nil && m.meta.Vote.Card < card.N {
		meta := m.meta
		meta.Vote = nil
		m.logged("clear the vote", m.write(meta))
	}
	m.logged("push new_card", s.Push(event, payload))
	return channel.NoReply()
}

// write replaces this tab's meta.
func (m *member) write(meta Meta) error {
	if _, err := m.socket.Update(m.name, presence.Replace(meta)); err != nil {
		return fmt.Errorf("pointingparty: %q in %q: %w", m.name, m.socket.Topic(), err)
	}
	m.meta = meta
	return nil
}

// logged logs what could not be done for the client. That its connection has
// ended meanwhile is not worth a line.
func (m *member) logged(what string, err error) {
	if err != nil && !errors.Is(err, channel.ErrClosed) {
		m.app.logger.Warn("pointingparty: could not "+what, "topic", m.socket.Topic(), "user", m.name, "error", err)
	}
}

// fail ends the channel, whose client then joins again.
func (m *member) fail(what string, err error) channel.Result {
	m.logged(what, err)
	return channel.Crash(fmt.Errorf("pointingparty: %s: %w", what, err))
}
