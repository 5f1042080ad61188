package channel

import (
	"sync"

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
	all map[roomKey]*topicRoom
}

type roomKey struct {
	topic string
	route *Route // nil for routes that share a room
}

func newRooms(e *Endpoint, source presenceSource) *rooms {
	return &rooms{endpoint: e, source: source, all: map[roomKey]*topicRoom{}}
}

// enter counts one more channel into its room. It costs nothing in the tracker
// before a channel tracks or asks for the state.
func (rs *rooms) enter(topic string, route *Route) *topicRoom {
	key := roomKey{topic: topic}
	if route.Fetch != nil || route.NewMetas != nil || route.Presence != PresenceFull || route.DiffWindow != 0 {
		key.route = route
	}
	if r := rs.count(key, nil); r != nil {
		return r
	}
	// Made without the lock: an allocation can wait for the garbage collector, and all
	// joins with it.
	return rs.count(key, newTopicRoom(rs, key, route))
}

// count counts one more channel into the room of key, where there is none into
// made. It is nil where there is neither.
func (rs *rooms) count(key roomKey, made *topicRoom) *topicRoom {
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
func (rs *rooms) leave(r *topicRoom) {
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
