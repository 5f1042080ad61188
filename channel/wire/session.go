package wire

import (
	"math"
	"slices"
	"time"

	"golang.org/x/time/rate"
)

// A Session decides what happens on one connection: which channels it has
// joined, what is stale, what is over a limit, which messages go out and in which
// order. It is pure: messages and the time come in, actions go out. Its owner, a
// channel.Conn, calls it under a lock and carries out the actions in order.
//
// A channel lives from its EventJoin to Gone. Between, the owner reports what
// became of it:
//
//	EventJoin ──▶ joining ──Joined──▶ open ──Left, Ended──▶ over ──Gone──▶
//	                 └─────Refused──────────────────────────▶ over
//
// The topic's next join waits for Gone, so that what happens on one topic
// happens in order, however long the old channel takes to end.
type Session struct {
	limits *Limits
	routed func(topic string) bool

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

// Limits are those of a session that are the same for all connections.
type Limits struct {
	JoinRate  float64 // joins a second
	JoinBurst int     // joins at once, after a pause
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

// An ActionKind says what an [Action] asks for.
type ActionKind uint8

// The kinds of actions, and the fields that they use.
const (
	// ActSend: send Message.
	ActSend ActionKind = iota
	// ActJoin: make the channel ID, and run Join with Message, after the channel After
	// is gone (0: at once).
	ActJoin
	// ActDeliver: Message is for HandleIn of the channel ID.
	ActDeliver
	// ActLeave: Message asks the channel ID to leave; call Left in its turn.
	ActLeave
	// ActStop: the channel ID ends for Reason, after what it was given before.
	ActStop
	// ActReject: report that a message was refused, when all else is done.
	ActReject
)

// An Action is something that a [Session] wants done.
type Action struct {
	Kind      ActionKind
	ID, After uint64 // of channels, from 1
	Message   Message
	Reason    Reason
	Rejection *Rejection
}

// NewSession returns the session of a connection that may have joined so many channels,
// of topics that routed reports.
func NewSession(limits *Limits, channels int, routed func(topic string) bool) *Session {
	return &Session{
		limits: limits, channels: int32(min(channels, math.MaxInt32)), routed: routed,
		joins: rate.NewLimiter(rate.Limit(limits.JoinRate), limits.JoinBurst),
	}
}

// latest is the latest entry of a topic, nil if there is none or it is gone.
func (s *Session) latest(topic string) *entry {
	for _, e := range s.entries {
		if e.latest && e.topic == topic {
			return e
		}
	}
	return nil
}

// entry is the entry id, which is not gone.
func (s *Session) entry(id uint64) *entry { return s.entries[s.index(id)] }

func (s *Session) index(id uint64) int {
	return slices.IndexFunc(s.entries, func(e *entry) bool { return e.id == id })
}

// Receive decides about a message of the client.
func (s *Session) Receive(now time.Time, m Message) []Action {
	if s.closed {
		return nil
	}
	if m.Topic == TopicPhoenix {
		if m.Event == EventHeartbeat { // B089
			return []Action{send(Reply(Ref{}, m.Ref, m.Topic, StatusOK, Payload{}))}
		}
		return []Action{unmatched(m)}
	}
	if m.Event == EventJoin {
		return s.join(now, m)
	}
	e := s.latest(m.Topic)
	switch {
	case e == nil || e.phase == phaseOver:
		return s.Undelivered(m)
	case !m.JoinRef.IsNull() && m.JoinRef != e.joinRef: // B054, B055
		return nil
	case m.Event == EventLeave:
		return []Action{{Kind: ActLeave, ID: e.id, Message: m}}
	default:
		return []Action{{Kind: ActDeliver, ID: e.id, Message: m}}
	}
}

// Undelivered answers a message that there is no channel for, or one that was
// given to a channel whose join was then refused (B053, B056).
func (s *Session) Undelivered(m Message) []Action {
	if s.closed {
		return nil
	}
	if m.Event == EventLeave {
		return []Action{send(Reply(Ref{}, m.Ref, m.Topic, StatusOK, Payload{}))}
	}
	return []Action{unmatched(m)}
}

func (s *Session) join(now time.Time, m Message) []Action {
	refuse := func(reason Payload, cause Cause, limit any) []Action {
		return []Action{
			send(Reply(m.JoinRef, m.Ref, m.Topic, StatusError, reason)),
			{Kind: ActReject, Rejection: &Rejection{Cause: cause, Topic: m.Topic, Limit: limit}},
		}
	}
	if m.Topic == "" || !s.routed(m.Topic) { // B048
		return []Action{unmatched(m), {Kind: ActReject, Rejection: &Rejection{Cause: CauseUnmatched, Topic: m.Topic}}}
	}
	if len(m.Topic) > MaxTopic {
		return refuse(topicTooLong, CauseTopicLength, MaxTopic)
	}
	if !s.joins.AllowN(now, 1) {
		return refuse(tooFast, CauseJoinRate, s.limits.JoinRate)
	}
	old := s.latest(m.Topic)
	replacing := old != nil && old.phase != phaseOver
	// A duplicate join at the limit is fine (B049), but channels that take long
	// to end count too, or joining one topic again and again would have no
	// bound.
	if !replacing && s.open >= s.channels || len(s.entries) >= 2*int(s.channels) {
		return refuse(tooMany, CauseChannels, int(s.channels))
	}

	s.lastID++
	e := &entry{id: s.lastID, topic: m.Topic, joinRef: m.JoinRef, ref: m.Ref, latest: true}
	s.entries = append(s.entries, e)
	join := Action{Kind: ActJoin, ID: e.id, Message: m}
	if old == nil {
		s.open++
		return []Action{join}
	}
	old.latest = false
	join.After = old.id
	if !replacing {
		s.open++
		return []Action{join}
	}
	e.replaces = old // B050
	return []Action{{Kind: ActStop, ID: old.id, Reason: ReasonDuplicate}, join}
}

// Joined: the Join of id accepted.
func (s *Session) Joined(id uint64, response Payload) []Action {
	e := s.entry(id)
	e.phase, e.owed = phaseOpen, true
	return s.answer(e, StatusOK, response)
}

// Refused: the Join of id did not accept. The caller reports gone after it.
func (s *Session) Refused(id uint64, response Payload) []Action {
	e := s.entry(id)
	s.over(e)
	return s.answer(e, StatusError, response)
}

// answer replies to the join, then closes the channel that it replaced: in
// this order, so that a client never sees its topic closed without a successor
// (B050).
func (s *Session) answer(e *entry, status string, response Payload) []Action {
	old := e.replaces
	e.replaces = nil
	if s.closed {
		return nil
	}
	acts := []Action{send(Reply(e.joinRef, e.ref, e.topic, status, response))}
	if old != nil && old.owed {
		old.owed = false
		acts = append(acts, closing(old))
	}
	return acts
}

// Left: the channel id came to the phx_leave with ref and ends (B052).
func (s *Session) Left(id uint64, ref Ref) []Action {
	e := s.entry(id)
	s.over(e)
	if s.closed {
		return nil
	}
	acts := []Action{send(Reply(e.joinRef, ref, e.topic, StatusOK, Payload{}))}
	if e.owed {
		e.owed = false
		acts = append(acts, closing(e))
	}
	return acts
}

// Ended: the channel id ended of its own (B067), or because it was replaced,
// in which case the successor's answer is followed by its phx_close.
func (s *Session) Ended(id uint64, reason Reason) []Action {
	e := s.entry(id)
	s.over(e)
	if s.closed || !e.owed || !e.latest {
		return nil
	}
	e.owed = false
	if reason.Planned() {
		return []Action{closing(e)}
	}
	return []Action{send(Message{JoinRef: e.joinRef, Ref: e.joinRef, Topic: e.topic, Event: EventError, Payload: channelCrash})}
}

// over takes an entry that is over out of the limit's count. Messages for it
// are answered as if it were not there.
func (s *Session) over(e *entry) {
	if e.phase != phaseOver && e.latest {
		s.open--
	}
	e.phase = phaseOver
}

// Gone: nothing of the channel id runs any more.
func (s *Session) Gone(id uint64) {
	i := s.index(id)
	s.entries = slices.Delete(s.entries, i, i+1)
}

// Close: the connection ends. Nothing is sent from now on.
func (s *Session) Close() { s.closed = true }

func send(m Message) Action { return Action{Kind: ActSend, Message: m} }

func unmatched(m Message) Action {
	return send(Reply(Ref{}, m.Ref, m.Topic, StatusError, unmatchedTopic))
}

func closing(e *entry) Action {
	return send(Message{JoinRef: e.joinRef, Ref: e.joinRef, Topic: e.topic, Event: EventClose})
}
