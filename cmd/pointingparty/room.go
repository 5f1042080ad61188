package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/presence"
)

// Periods of a room.
const (
	// settlePeriod is how long a round that only waits for somebody who left
	// waits on: a reload of the page is over before.
	settlePeriod = 2 * time.Second
	// heirPeriod is how long an orphaned round waits for its heir, who may be on
	// a replica that never saw the round, before each replica that remembers
	// it lets the most senior of its own users take over. If two do, the senior
	// of them keeps it.
	heirPeriod = 1500 * time.Millisecond
	// lingerPeriod is how long a replica remembers a room that none of its own
	// users is in: somebody alone may reload, or come back from a tunnel.
	lingerPeriod = time.Minute
)

// rooms are the parties that this replica has users in.
type rooms struct {
	// Static.
	endpoint *channel.Endpoint
	tracker  *presence.Tracker
	logger   *slog.Logger

	alarms alarms // of all rooms

	mu sync.Mutex
	// Guarded by mu.
	byTopic map[string]*room
	closed  bool
}

// room is one party on this replica, shared by its channels here. It watches the
// topic's presences, decides the state from them, tells its own clients, and has
// its own channels do their duties. It never asks another replica for anything.
type room struct {
	// Static.
	rooms *rooms
	topic string

	// Guarded by rooms.mu.
	users  int // channels between acquire and release
	watch  *presence.Watch
	linger *alarm

	mu sync.Mutex
	// Guarded by mu. What goes to the clients is sent under it, so that it goes
	// in the order in which it was decided; nothing that is sent blocks.
	view      view
	complete  bool
	mem       memory
	state     *State              // nil until the view was complete once
	sent      []byte              // the last roundMessage
	announced *Round              // whose result was announced last
	members   map[string]*member  // seated channels, by tab
	away      map[string]struct{} // users who left without a vote, for settlePeriod
	settle    *alarm
	heir      *alarm
	closed    bool
}

// acquire returns the room of a topic for one more channel, which has to release
// it.
func (rs *rooms) acquire(topic string) (*room, error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.closed {
		return nil, channel.ErrClosed
	}
	r := rs.byTopic[topic]
	if r == nil {
		r = &room{rooms: rs, topic: topic, members: make(map[string]*member), away: make(map[string]struct{})}
		watch, err := rs.tracker.Watch(topic, r.handle)
		if err != nil {
			return nil, fmt.Errorf("pointingparty: watch %q: %w", topic, err)
		}
		r.watch = watch
		rs.byTopic[topic] = r
	}
	rs.alarms.disarm(&r.linger)
	r.users++
	return r, nil
}

// release ends what acquire began.
func (rs *rooms) release(r *room) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r.users--
	if r.users > 0 || rs.closed {
		return
	}
	rs.alarms.arm(&rs.mu, &r.linger, lingerPeriod, func() {
		delete(rs.byTopic, r.topic)
		r.close()
	})
}

// close ends all rooms and waits for their alarms. Channels that are still
// joined get no more news.
func (rs *rooms) close() {
	rs.mu.Lock()
	rs.closed = true
	for topic, r := range rs.byTopic {
		delete(rs.byTopic, topic)
		rs.alarms.disarm(&r.linger)
		r.close()
	}
	rs.mu.Unlock()
	rs.alarms.wait()
}

// close stops watching. It is called with rooms.mu held, once.
func (r *room) close() {
	r.watch.Stop()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.rooms.alarms.disarm(&r.settle)
	r.rooms.alarms.disarm(&r.heir)
}

// handle takes the next event of the watch. The tracker calls it, one call at a
// time.
func (r *room) handle(e presence.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	leavers := r.undecided(e.Diff.Leaves)
	r.view.apply(e)
	r.complete = e.Complete
	r.await(leavers)
	r.evaluate()
}

// undecided lists those of leaves who have not voted for the card on the table.
func (r *room) undecided(leaves []presence.Presence) (users []string) {
	if r.state == nil || !r.state.voting() {
		return nil
	}
	for _, p := range leaves {
		if tabs := r.view.tabs[p.Key]; len(tabs) > 0 && (person{p.Key, tabs}).vote(r.state.Round.N) == nil {
			users = append(users, p.Key)
		}
	}
	return users
}

// await gives those of users who are gone the time to come back.
func (r *room) await(users []string) {
	gone := false
	for _, user := range users {
		if !r.view.has(user) {
			r.away[user] = struct{}{}
			gone = true
		}
	}
	for user := range r.away {
		if r.view.has(user) {
			delete(r.away, user)
		}
	}
	if !gone {
		return
	}
	r.rooms.alarms.arm(&r.mu, &r.settle, settlePeriod, func() {
		clear(r.away)
		r.evaluate()
	})
}

// evaluate decides what the room is at now, tells the clients what is new, and
// has the duties done. An incomplete view says nothing: those whom it lacks may
// have votes to come, or hold the round.
func (r *room) evaluate() {
	if r.closed || !r.complete {
		return
	}
	people := r.view.people()
	state, duty := decide(people, r.mem, len(r.away) > 0)
	if r.state != nil && r.state.voting() && state.Round.N != r.state.Round.N {
		// Whoever left did so from another card.
		clear(r.away)
		state, duty = decide(people, r.mem, false)
	}
	before := r.state
	r.state = &state
	if state.Round != nil {
		r.mem.round = state.Round
	}
	if state.Driver != "" {
		r.mem.driver = state.Driver
	}

	r.tell()
	r.announce(before == nil)
	r.tellVotes()
	r.delegate(people, duty)
}

// tell sends the state to this replica's clients if it is not what they have.
func (r *room) tell() {
	message := r.state.message()
	text, err := json.Marshal(message)
	if err != nil || bytes.Equal(text, r.sent) {
		return
	}
	r.sent = text
	r.broadcast(eventRound, message)
}

// announce sends the result when it appears or changes. What was there before
// this replica first looked is not news.
func (r *room) announce(first bool) {
	round := r.state.Round
	if round == nil || round.Result == nil {
		return
	}
	known := first || r.announced != nil && r.announced.N == round.N && r.announced.Result.same(round.Result)
	r.announced = round
	if !known {
		event, payload := r.state.verdict()
		r.broadcast(event, payload)
	}
}

// tellVotes tells this replica's tabs what their own users have voted.
func (r *room) tellVotes() {
	for _, m := range r.members {
		r.tellVote(m)
	}
}

func (r *room) tellVote(m *member) {
	if r.state == nil || r.state.Round == nil {
		return
	}
	v := person{m.name, r.view.tabs[m.name]}.vote(r.state.Round.N)
	if v == nil {
		return
	}
	if told := (voteMessage{Card: v.Card, Points: v.Points}); told != m.told {
		m.told = told
		r.push(m, eventYourVote, told)
	}
}

// delegate hands the duties to the tabs that are here. They are handed out again
// with every event until their effect is seen; doing one twice does nothing.
func (r *room) delegate(people []person, d Duty) {
	for tab, n := range d.Drop {
		r.send(tab, drop{n})
	}
	if d.Record != "" {
		r.send(d.Record, hold{r.state.Round})
	}
	if d.TakeOver == "" {
		r.rooms.alarms.disarm(&r.heir)
		return
	}
	r.send(d.TakeOver, hold{r.state.Round})
	if r.heir == nil {
		r.rooms.alarms.arm(&r.mu, &r.heir, heirPeriod, r.adopt)
	}
}

// adopt has the most senior of this replica's own users take over a round that
// is still orphaned. It is called with mu held.
func (r *room) adopt() {
	if r.closed || !r.complete || !r.state.orphaned() {
		return
	}
	for _, p := range r.view.people() {
		for _, t := range p.tabs {
			if r.members[t.Tab] != nil {
				r.send(t.Tab, hold{r.state.Round})
				return
			}
		}
	}
}

// seat makes a channel hear of the room from now on: of its present state first.
func (r *room) seat(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.members[m.tab] = m
	if r.state != nil {
		r.push(m, eventRound, r.state.message())
		r.tellVote(m)
	}
}

// unseat is the end of seat, and does nothing without it.
func (r *room) unseat(m *member) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.members, m.tab)
}

// current is the state as it was decided last; ok is false as long as this
// replica has not heard of everybody. It must not be changed.
func (r *room) current() (state *State, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, r.state != nil
}

// voteOf is the newest vote of a user for round n that is known here, nil
// without one.
func (r *room) voteOf(user string, n int) *Vote {
	r.mu.Lock()
	defer r.mu.Unlock()
	return person{user, r.view.tabs[user]}.vote(n)
}

func (r *room) broadcast(event string, payload any) {
	if err := r.rooms.endpoint.LocalBroadcast(r.topic, event, payload); err != nil {
		r.rooms.logger.Warn("pointingparty: not told", "topic", r.topic, "event", event, "error", err)
	}
}

// push sends to one client. It fails only where its channel has just ended.
func (r *room) push(m *member, event string, payload any) { _ = m.socket.Push(event, payload) }

// send gives a duty to a channel, if it is one of this replica.
func (r *room) send(tab string, duty any) {
	if m := r.members[tab]; m != nil {
		m.socket.Send(duty)
	}
}
