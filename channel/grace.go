package channel

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

// graces holds the presences of channels whose connection was lost, for their
// Route.LeaveGrace, so that who comes back within it never was away.
//
// On this replica Socket.Track adopts: the presence becomes one of the new
// channel's session, by one update. On another one the same key is simply
// tracked; the topics of the graces are watched, and a join of a key ends its
// grace here, so that it is not there twice longer than it takes to hear of it.
type graces struct {
	endpoint *Endpoint
	// count is how many there are, for those who only want to know that there
	// are none.
	count atomic.Int64

	mu      sync.Mutex
	closed  bool
	all     map[*grace]struct{}
	byPlace map[gracePlace][]*grace // the oldest first
	topics  map[string]*graceTopic
}

type gracePlace struct{ topic, key string }

// grace is what one channel left behind.
type grace struct {
	session *presence.Session
	// guarded by graces.mu
	refs map[gracePlace]string // of what was not adopted
	stop func() bool
}

// graceTopic is a topic with graces.
type graceTopic struct {
	places int // in it
	watch  presenceWatch
}

func newGraces(e *Endpoint) *graces {
	return &graces{endpoint: e, all: map[*grace]struct{}{}, byPlace: map[gracePlace][]*grace{}, topics: map[string]*graceTopic{}}
}

// begin takes over the session of a channel that ended. The caller holds the
// endpoint's running above zero.
func (gs *graces) begin(session *presence.Session, period time.Duration) {
	held := session.Held()
	if len(held) == 0 || !gs.add(session, held, period) {
		session.Close()
	}
}

func (gs *graces) add(session *presence.Session, held []presence.Held, period time.Duration) bool {
	gs.mu.Lock()
	defer gs.mu.Unlock()
	if gs.closed || int(gs.count.Load()) >= gs.endpoint.config.MaxGraces {
		return false
	}
	g := &grace{session: session, refs: make(map[gracePlace]string, len(held))}
	gs.all[g] = struct{}{}
	gs.count.Add(1)
	for _, h := range held {
		p := gracePlace{h.Topic, h.Key}
		g.refs[p] = h.Ref
		gs.byPlace[p] = append(gs.byPlace[p], g)
		gs.enter(h.Topic)
	}
	g.stop = gs.endpoint.running.After(period, func() {
		gs.mu.Lock()
		gs.forget(g)
		gs.mu.Unlock()
		session.Close()
	})
	return true
}

// enter watches a topic with its first place. mu is held; the tracker calls the
// watcher without a lock of its own.
func (gs *graces) enter(topic string) {
	t := gs.topics[topic]
	if t == nil {
		t = &graceTopic{}
		gs.topics[topic] = t
		watch, err := gs.endpoint.rooms.source.watch(topic, gs.event)
		if err != nil { // who comes back elsewhere is there twice until the grace is over
			gs.endpoint.logger.Warn("channel: presences in their grace are not watched", "topic", topic, "error", err)
		} else {
			t.watch = watch
		}
	}
	t.places++
}

// forget takes a grace out. Its session is to be closed then. mu is held.
func (gs *graces) forget(g *grace) {
	for p := range g.refs {
		gs.drop(g, p)
	}
}

// drop takes one presence out of a grace, and the grace with its last: then its
// session is to be closed. mu is held.
func (gs *graces) drop(g *grace, p gracePlace) (last bool) {
	if _, ok := g.refs[p]; !ok {
		return false
	}
	delete(g.refs, p)
	if rest := slices.DeleteFunc(gs.byPlace[p], func(o *grace) bool { return o == g }); len(rest) > 0 {
		gs.byPlace[p] = rest
	} else {
		delete(gs.byPlace, p)
	}
	t := gs.topics[p.topic]
	if t.places--; t.places == 0 {
		delete(gs.topics, p.topic)
		if t.watch != nil {
			t.watch.Stop()
		}
	}
	if len(g.refs) > 0 {
		return false
	}
	delete(gs.all, g)
	gs.count.Add(-1)
	g.stop()
	return true
}

// adopt makes a presence in its grace one of session; ok is false when there is
// none.
func (gs *graces) adopt(session *presence.Session, topic, key string, meta any) (ref string, ok bool, err error) {
	if gs.count.Load() == 0 {
		return "", false, nil
	}
	p := gracePlace{topic, key}
	gs.mu.Lock()
	waiting := slices.Clone(gs.byPlace[p])
	gs.mu.Unlock()
	for _, g := range waiting {
		ref, err := session.Adopt(g.session, topic, key, meta)
		if errors.Is(err, presence.ErrNotTracked) { // its grace is over, or another was quicker
			continue
		}
		if err == nil {
			gs.end(g, p)
		}
		return ref, true, err
	}
	return "", false, nil
}

// event ends the grace of keys that joined otherwise. The tracker calls it.
func (gs *graces) event(ev presence.Event) {
	if gs.count.Load() == 0 {
		return
	}
	for _, joined := range ev.Diff.Joins {
		for _, meta := range joined.Metas {
			// An update is none that comes back.
			if meta.PrevRef == "" {
				gs.cameBack(gracePlace{ev.Topic, joined.Key}, meta.Ref)
			}
		}
	}
}

func (gs *graces) cameBack(p gracePlace, ref string) {
	gs.mu.Lock()
	waiting := gs.byPlace[p]
	if len(waiting) == 0 || slices.ContainsFunc(waiting, func(g *grace) bool { return g.refs[p] == ref }) {
		gs.mu.Unlock()
		return
	}
	g := waiting[0]
	gs.mu.Unlock()
	gs.end(g, p)
}

// end ends one presence of a grace, unless it was adopted.
func (gs *graces) end(g *grace, p gracePlace) {
	gs.mu.Lock()
	last := gs.drop(g, p)
	gs.mu.Unlock()
	_ = g.session.Untrack(p.topic, p.key) // never fails
	if last {
		g.session.Close()
	}
}

// close ends all graces; there are none after it.
func (gs *graces) close() {
	gs.mu.Lock()
	gs.closed = true
	var sessions []*presence.Session
	for g := range gs.all {
		gs.forget(g)
		sessions = append(sessions, g.session)
	}
	gs.mu.Unlock()
	for _, session := range sessions {
		session.Close()
	}
}
