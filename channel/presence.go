package channel

import (
	"fmt"

	"github.com/rollcall-go/rollcall/presence"
)

// Track makes key present in the channel's topic, with meta: anything that
// marshals to a JSON object, or [presence.Hidden] of it. It may be called in
// Join. The presence ends with the channel, after Terminate, or after
// Route.LeaveGrace when the connection was lost; where the same key is in its
// grace, Track is an update of that presence. All channels of the topic that
// joined are sent presence_diff, this one included. Errors are those of
// [presence.Session.Track], ErrNoPresence and ErrClosed.
func (s *Socket) Track(key string, meta any) (ref string, err error) {
	return s.TrackIn(s.m.topic, key, meta)
}

// Update changes what Track said of key; see [presence.Session.Update]. A
// channel can change its own presences only.
func (s *Socket) Update(key string, change presence.Change) (ref string, err error) {
	return s.UpdateIn(s.m.topic, key, change)
}

// Untrack ends the presence of key; it is no error when there is none.
func (s *Socket) Untrack(key string) error { return s.UntrackIn(s.m.topic, key) }

// TrackIn is Track in any topic, which need not be joined, nor be one that has a
// route. Clients see it where channels of that topic show presence. For what is
// to be present longer than this channel, or has none (a device, a job), open a
// session of its own: [presence.Tracker.NewSession] of [Endpoint.Presence].
func (s *Socket) TrackIn(topic, key string, meta any) (ref string, err error) {
	session, err := s.session("track", topic, key)
	if err != nil {
		return "", err
	}
	if ref, ok, err := s.Endpoint().graces.adopt(session, topic, key, meta); ok {
		return ref, err
	}
	return session.Track(topic, key, meta)
}

// UpdateIn is Update of what TrackIn said.
func (s *Socket) UpdateIn(topic, key string, change presence.Change) (ref string, err error) {
	session, err := s.session("update", topic, key)
	if err != nil {
		return "", err
	}
	return session.Update(topic, key, change)
}

// UntrackIn is Untrack of what TrackIn tracked.
func (s *Socket) UntrackIn(topic, key string) error {
	session, err := s.session("untrack", topic, key)
	if err != nil {
		return err
	}
	return session.Untrack(topic, key)
}

// session is the presence session of the channel, made when it is first needed.
func (s *Socket) session(what, topic, key string) (*presence.Session, error) {
	m := s.m
	fault := func(err error) error { return fmt.Errorf("%s %q in %q: %w", what, key, topic, err) }
	if m.room == nil {
		return nil, fault(ErrNoPresence)
	}
	if m.route.Presence != PresenceNone && topic == m.topic {
		if err := m.room.want(); err != nil {
			return nil, fault(err)
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.detached {
		return nil, fault(ErrClosed)
	}
	if m.lease == nil {
		m.lease = m.room.rooms.source.session()
	}
	return m.lease, nil
}

// holds reports whether the channel has, or had, presences, and whether it has left its
// topic.
func (m *member) holds() (tracks, left bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lease != nil, m.left
}

// PushPresenceState sends presence_state to this client: everyone in the topic.
// It returns at once; the frame goes out when the topic is complete, at the
// latest after [Config.StateTimeout], and never before the reply to the join.
// What is sent after the state is exactly what changed since.
//
// Call it where the join leads: from the HandleInfo of what Join sent to itself,
// or by Route.PushState. Then the client is sent no presence_diff before the
// state. One that asks later may have been sent diffs; it goes on being sent
// them, and has to apply those from before the state after it, as phoenix.js
// does.
//
// A channel that calls it before Track sees its own entry come by diff (unless
// the state had to wait for the topic to be complete: then it is in the state).
func (s *Socket) PushPresenceState() error {
	if s.m.room == nil {
		return fmt.Errorf("push presence_state on %q: %w", s.m.topic, ErrNoPresence)
	}
	if err := s.able("push presence_state"); err != nil {
		return err
	}
	if s.m.route.Presence == PresenceNone {
		return nil
	}
	if err := s.m.room.push(s.m); err != nil {
		return fmt.Errorf("push presence_state on %q: %w", s.m.topic, err)
	}
	return nil
}
