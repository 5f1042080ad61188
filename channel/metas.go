package channel

import (
	"slices"
	"strings"
	"sync"

	"github.com/rollcall-go/rollcall/channel/internal/room"
	"github.com/rollcall-go/rollcall/presence"
)

// A MetasHandler follows the presences of one topic on one replica, for the
// program itself; see [Route.NewMetas]. Its fields are its state.
type MetasHandler interface {
	// HandleMetas is called after each diff of the topic. presences are the
	// metas that are there after it, by key: empty when nobody is left. Both are
	// as they were tracked, the hidden ones too, and have not been through
	// Fetch. They are lent: neither may be changed, and presences not kept.
	//
	// It is called one call at a time, in the order of the diffs; those that
	// come while it runs are merged into one, and so are all when it does not
	// keep up. The first diff is of everybody who is there, as joins. Channels
	// and clients do not wait for it, and may have been told of a diff before
	// or after it. After a panic, which is logged, the next diff finds a new
	// handler, and is of everybody again.
	HandleMetas(diff presence.Diff, presences map[string][]presence.Meta)
}

// metas calls the MetasHandler of a route for a topic.
type metas struct {
	// static
	endpoint *Endpoint
	route    *Route
	topic    string

	// guarded by mu
	mu      sync.Mutex
	begun   bool // the first state came
	ended   bool
	running bool
	pending room.Diffs

	// owned by run
	handler MetasHandler // nil before the first call, and after a panic
	present map[string][]presence.Meta
}

// event takes what the tracker tells. States after the first say nothing new.
func (m *metas) event(ev presence.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.ended {
		return
	}
	if ev.State != nil && !m.begun {
		m.begun = true
		m.pending.Add(presence.Diff{Joins: ev.State.Presences})
	}
	m.pending.Add(ev.Diff)
	if !m.running && !m.pending.Empty() {
		m.running = true
		m.endpoint.running.Go(m.run)
	}
}

// end begins no further call.
func (m *metas) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended, m.pending = true, room.Diffs{}
}

// run calls the handler until there is nothing to tell.
func (m *metas) run() {
	for {
		m.mu.Lock()
		if m.pending.Empty() {
			m.running = false
			m.mu.Unlock()
			return
		}
		diff := m.pending.Take()
		m.mu.Unlock()
		if !diff.Empty() {
			m.call(diff)
		}
	}
}

func (m *metas) call(diff presence.Diff) {
	m.apply(diff)
	defer func() {
		if v := recover(); v != nil {
			m.handler = nil
			m.endpoint.logPanic("HandleMetas", v, "topic", m.topic)
		}
	}()
	if m.handler == nil {
		m.handler = m.route.NewMetas(m.endpoint, m.topic)
		diff = presence.Diff{Joins: m.everybody()}
	}
	if !diff.Empty() {
		m.handler.HandleMetas(diff, m.present)
	}
}

func (m *metas) apply(diff presence.Diff) {
	if m.present == nil {
		m.present = map[string][]presence.Meta{}
	}
	for _, p := range diff.Leaves {
		left := func(meta presence.Meta) bool {
			return slices.ContainsFunc(p.Metas, func(l presence.Meta) bool { return l.Ref == meta.Ref })
		}
		if stay := slices.DeleteFunc(slices.Clone(m.present[p.Key]), left); len(stay) > 0 {
			m.present[p.Key] = stay
		} else {
			delete(m.present, p.Key)
		}
	}
	for _, p := range diff.Joins {
		m.present[p.Key] = slices.Concat(m.present[p.Key], p.Metas)
	}
}

func (m *metas) everybody() []presence.Presence {
	list := make([]presence.Presence, 0, len(m.present))
	for key, all := range m.present {
		list = append(list, presence.Presence{Key: key, Metas: all})
	}
	slices.SortFunc(list, func(a, b presence.Presence) int { return strings.Compare(a.Key, b.Key) })
	return list
}
