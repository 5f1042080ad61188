package channel

import (
	"math"
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// session decides what happens on one connection: which channels it has
// joined, what is stale, what is over a limit, which frames go out and in which
// order. It is pure: messages and the time come in, actions go out. Its owner
// ([Conn]) calls it under a lock and carries out the actions in order.
//
// An entry lives from its phx_join to gone. Between, its owner reports what
// became of it:
//
//	phx_join ──▶ joining ──joined──▶ open ──left, ended──▶ over ──gone──▶
//	                └─────refused──────────────────────────▶ over
//
// The topic's next join waits for gone, so that what happens on one topic
// happens in order, however long the old channel takes to end.
type session struct {
	limits *sessionLimits
	route  func(topic string) *Route

	// entries are those that are not gone. There are few, mostly one: a slice
	// is a tenth of a map, and no slower.
	entries []*entry
	lastID  uint64
	// open counts the entries that the limit of channels counts: the latest of
	// their topic, and not over.
	open int32
	// channels is how many may be open.
	channels int32
	// closed: the connection is ending, nothing is sent any more.
	closed bool

	joins *rate.Limiter
}

type sessionLimits struct {
	topic     int // bytes
	joinRate  float64
	joinBurst int
}

type phase uint8

const (
	phaseJoining phase = iota
	phaseOpen
	phaseOver
)

// entry is one join of one topic.
type entry struct {
	id      uint64
	topic   string
	joinRef Ref
	ref     Ref // of the phx_join
	phase   phase
	// latest: no later join of the topic came.
	latest bool
	// replaces is the entry whose phx_close follows the answer to this one's
	// join; it is nil once that is settled.
	replaces *entry
	// owed: a client was told that it is in, and not that it is out.
	owed bool
}

type actionKind uint8

const (
	// actSend: send message.
	actSend actionKind = iota
	// actJoin: make the channel id on route, and run Join with message, after
	// the channel named after is gone (0: at once).
	actJoin
	// actDeliver: message is for HandleIn of the channel id.
	actDeliver
	// actLeave: message asks the channel id to leave; call left in its turn.
	actLeave
	// actStop: the channel id ends for reason, after what it was given before.
	actStop
	// actReject: tell that the message was refused, when all is done.
	actReject
)

type action struct {
	kind    actionKind
	id      uint64
	after   uint64
	route   *Route
	message Message
	reason  Reason
	reject  *Rejection
}

func newSession(limits *sessionLimits, channels int, route func(topic string) *Route) *session {
	return &session{
		limits: limits, channels: int32(min(channels, math.MaxInt32)), route: route,
		joins: rate.NewLimiter(rate.Limit(limits.joinRate), limits.joinBurst),
	}
}

// latest is the latest entry of a topic, nil if there is none or it is gone.
func (s *session) latest(topic string) *entry {
	for _, e := range s.entries {
		if e.latest && e.topic == topic {
			return e
		}
	}
	return nil
}

// entry is the entry id, which is not gone.
func (s *session) entry(id uint64) *entry { return s.entries[s.index(id)] }

func (s *session) index(id uint64) int {
	return slices.IndexFunc(s.entries, func(e *entry) bool { return e.id == id })
}

// receive decides about a message of the client.
func (s *session) receive(now time.Time, m Message) []action {
	if s.closed {
		return nil
	}
	if m.Topic == topicPhoenix {
		if m.Event == eventHeartbeat { // B089
			return []action{send(reply(Ref{}, m.Ref, m.Topic, statusOK, Payload{}))}
		}
		return []action{unmatched(m)}
	}
	if m.Event == eventJoin {
		return s.join(now, m)
	}
	e := s.latest(m.Topic)
	switch {
	case e == nil || e.phase == phaseOver:
		return s.undelivered(m)
	case !m.JoinRef.IsNull() && m.JoinRef != e.joinRef: // B054, B055
		return nil
	case m.Event == eventLeave:
		return []action{{kind: actLeave, id: e.id, message: m}}
	default:
		return []action{{kind: actDeliver, id: e.id, message: m}}
	}
}

// undelivered answers a message that there is no channel for, or one that was
// given to a channel whose join was then refused (B053, B056).
func (s *session) undelivered(m Message) []action {
	if s.closed {
		return nil
	}
	if m.Event == eventLeave {
		return []action{send(reply(Ref{}, m.Ref, m.Topic, statusOK, Payload{}))}
	}
	return []action{unmatched(m)}
}

func (s *session) join(now time.Time, m Message) []action {
	refuse := func(reason Payload, cause Cause, limit any) []action {
		return []action{
			send(reply(m.JoinRef, m.Ref, m.Topic, statusError, reason)),
			{kind: actReject, reject: &Rejection{Cause: cause, Topic: m.Topic, Limit: limit}},
		}
	}
	route := s.route(m.Topic)
	if m.Topic == "" || route == nil { // B048
		return []action{unmatched(m), {kind: actReject, reject: &Rejection{Cause: CauseUnmatched, Topic: m.Topic}}}
	}
	if len(m.Topic) > s.limits.topic {
		return refuse(reasonTopicLength, CauseTopicLength, s.limits.topic)
	}
	if !s.joins.AllowN(now, 1) {
		return refuse(reasonTooFast, CauseJoinRate, s.limits.joinRate)
	}
	old := s.latest(m.Topic)
	replacing := old != nil && old.phase != phaseOver
	// A duplicate join at the limit is fine (B049), but channels that take long
	// to end count too, or joining one topic again and again would have no
	// bound.
	if !replacing && s.open >= s.channels || len(s.entries) >= 2*int(s.channels) {
		return refuse(reasonTooMany, CauseChannels, int(s.channels))
	}

	s.lastID++
	e := &entry{id: s.lastID, topic: m.Topic, joinRef: m.JoinRef, ref: m.Ref, latest: true}
	s.entries = append(s.entries, e)
	join := action{kind: actJoin, id: e.id, route: route, message: m}
	if old == nil {
		s.open++
		return []action{join}
	}
	old.latest = false
	join.after = old.id
	if !replacing {
		s.open++
		return []action{join}
	}
	e.replaces = old // B050
	return []action{{kind: actStop, id: old.id, reason: ReasonDuplicate}, join}
}

// joined: the Join of id accepted.
func (s *session) joined(id uint64, response Payload) []action {
	e := s.entry(id)
	e.phase, e.owed = phaseOpen, true
	return s.answer(e, statusOK, response)
}

// refused: the Join of id did not accept. The caller reports gone after it.
func (s *session) refused(id uint64, response Payload) []action {
	e := s.entry(id)
	s.over(e)
	return s.answer(e, statusError, response)
}

// answer replies to the join, then closes the channel that it replaced: in
// this order, so that a client never sees its topic closed without a successor
// (B050).
func (s *session) answer(e *entry, status string, response Payload) []action {
	old := e.replaces
	e.replaces = nil
	if s.closed {
		return nil
	}
	acts := []action{send(reply(e.joinRef, e.ref, e.topic, status, response))}
	if old != nil && old.owed {
		old.owed = false
		acts = append(acts, closing(old))
	}
	return acts
}

// left: the channel id came to the phx_leave with ref and ends (B052).
func (s *session) left(id uint64, ref Ref) []action {
	e := s.entry(id)
	s.over(e)
	if s.closed {
		return nil
	}
	acts := []action{send(reply(e.joinRef, ref, e.topic, statusOK, Payload{}))}
	if e.owed {
		e.owed = false
		acts = append(acts, closing(e))
	}
	return acts
}

// ended: the channel id ended of its own (B067), or because it was replaced,
// in which case the successor's answer is followed by its phx_close.
func (s *session) ended(id uint64, reason Reason) []action {
	e := s.entry(id)
	s.over(e)
	if s.closed || !e.owed || !e.latest {
		return nil
	}
	e.owed = false
	if reason.Planned() {
		return []action{closing(e)}
	}
	return []action{send(Message{JoinRef: e.joinRef, Ref: e.joinRef, Topic: e.topic, Event: eventError, Payload: reasonCrash})}
}

// over takes an entry that is over out of the limit's count. Messages for it
// are answered as if it were not there.
func (s *session) over(e *entry) {
	if e.phase != phaseOver && e.latest {
		s.open--
	}
	e.phase = phaseOver
}

// gone: nothing of the channel id runs any more.
func (s *session) gone(id uint64) {
	i := s.index(id)
	s.entries = slices.Delete(s.entries, i, i+1)
}

// close: the connection ends. Nothing is sent from now on.
func (s *session) close() { s.closed = true }

func send(m Message) action { return action{kind: actSend, message: m} }

func unmatched(m Message) action {
	return send(reply(Ref{}, m.Ref, m.Topic, statusError, reasonUnmatched))
}

func closing(e *entry) action {
	return send(Message{JoinRef: e.joinRef, Ref: e.joinRef, Topic: e.topic, Event: eventClose})
}
