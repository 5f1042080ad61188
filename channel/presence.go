package channel

import (
	"fmt"
	"sync"

	"github.com/rollcall-go/rollcall/channel/internal/fastlane"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
)

// presenceSource is what the glue needs of a *presence.Tracker.
type presenceSource interface {
	session() *presence.Session
	// watch is [presence.Tracker.Watch].
	watch(topic string, handle func(presence.Event)) (presenceWatch, error)
}

type presenceWatch interface {
	Refresh()
	Stop()
}

type trackerSource struct{ tracker *presence.Tracker }

func (t trackerSource) session() *presence.Session { return t.tracker.NewSession() }

func (t trackerSource) watch(topic string, handle func(presence.Event)) (presenceWatch, error) {
	return t.tracker.Watch(topic, handle)
}

// rooms are the rooms of an endpoint. A topic has one, and one more for each
// route that asks for something of its own.
type rooms struct {
	endpoint *Endpoint
	source   presenceSource

	mu  sync.Mutex
	all map[roomKey]*room
}

type roomKey struct {
	topic string
	route *Route // nil for routes that share a room
}

func newRooms(e *Endpoint, source presenceSource) *rooms {
	return &rooms{endpoint: e, source: source, all: map[roomKey]*room{}}
}

// enter counts one more channel into its room. It costs nothing in the tracker
// before somebody tracks or wants to see.
func (rs *rooms) enter(topic string, route *Route) *room {
	key := roomKey{topic: topic}
	if route.Fetch != nil || route.NewMetas != nil || route.Presence != PresenceFull {
		key.route = route
	}
	if r := rs.count(key, nil); r != nil {
		return r
	}
	// Made without the lock: who allocates may have to wait for the garbage
	// collector, and all who join with him.
	return rs.count(key, newRoom(rs, key, route))
}

// count counts one more channel into the room of key, where there is none into
// made. It is nil where there is neither.
func (rs *rooms) count(key roomKey, made *room) *room {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	r := rs.all[key]
	if r == nil {
		if made == nil {
			return nil
		}
		r = made
		rs.all[key] = r
	}
	r.inside++
	return r
}

// leave counts a channel out that was removed from the room.
func (rs *rooms) leave(r *room) {
	rs.mu.Lock()
	r.inside--
	last := r.inside == 0
	if last {
		delete(rs.all, r.key)
	}
	rs.mu.Unlock()
	if last {
		r.end()
	}
}

// roomDiff is a diff as the clients of a room see it, and the presence_diff that
// tells them.
type roomDiff struct {
	shown presence.Diff
	out   *fastlane.Broadcast
}

func (r *room) diffOf(diff presence.Diff) *roomDiff {
	return &roomDiff{diff, r.broadcast(eventPresenceDiff, diff.JSON())}
}

// broadcast is news of who is present, which others need not wait for.
func (r *room) broadcast(event string, payload []byte) *fastlane.Broadcast {
	return &fastlane.Broadcast{Broadcast: Broadcast{Topic: r.key.topic, Event: event, Payload: wire.RawPayload(payload)}, LowPriority: true}
}

// fetchDiff makes what clients are told of a diff.
// It is nil when that says nothing new.
func (r *room) fetchDiff(diff presence.Diff) *roomDiff {
	if r.tally != nil {
		return r.count(diff)
	}
	return r.diffOf(r.fetcher.presentDiff(diff))
}

// fetchList makes the list that presence_state shows, and tells whether Fetch
// had its say: if not, the next who asks has it called again.
func (r *room) fetchList(list *presence.List) (*presence.List, bool) {
	shown, ok := r.fetcher.present(list.Presences)
	if r.fetcher.route.Fetch == nil {
		return list, true
	}
	return &presence.List{Topic: list.Topic, Presences: shown, Complete: list.Complete}, ok
}

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

// tracks tells whether the channel has, or had, presences.
func (m *member) tracks() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lease != nil
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
