package replica

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rollcall-go/rollcall/bus"
)

// This file is about a mirror: a replica that follows every topic. It hears what is
// said about all of them (OpSubscribeAll), and syncs with each peer in full.

// mirror is what a replica that follows every topic has beside the rest.
type mirror struct {
	users    int // calls of AcquireAll that were not released; it lingers after the last
	lingerAt instant
	full     bool // there are more topics than Config.MaxTopics: not all are known
	complete bool // as last told
}

// AcquireAll makes this replica a mirror, until ReleaseAll was called as often,
// and for Config.Linger more. Events are about all topics then, and an event
// without a topic says whether everything is complete.
func (r *Replica) AcquireAll(now time.Time) {
	r.step(now)
	if r.mirror == nil {
		r.mirror = &mirror{}
		r.op(OpSubscribeAll, bus.ClassTopic, nil)
		for _, p := range r.byName {
			r.startFullSync(p)
		}
	}
	r.mirror.users++
	r.mirror.lingerAt = 0
}

// ReleaseAll ends what AcquireAll began.
func (r *Replica) ReleaseAll(now time.Time) {
	r.step(now)
	if r.mirror == nil || r.mirror.users == 0 {
		return
	}
	if r.mirror.users--; r.mirror.users == 0 {
		r.mirror.lingerAt = r.after(r.cfg.Linger)
		r.timers.push(timer{at: r.mirror.lingerAt, kind: timerMirror})
	}
}

// endMirror goes back to the topics that are used here.
func (r *Replica) endMirror() {
	all := r.sortedTopics()
	for _, t := range all {
		if t.interested {
			r.op(OpSubscribe, bus.TopicDest(t.name), nil)
		}
	}
	r.op(OpUnsubscribeAll, bus.ClassTopic, nil)
	for _, p := range r.byName {
		for _, t := range all {
			// What the peer has here was still to be told.
			if !p.knows(t) && p.views[t] == nil {
				r.newView(t, p, false)
			}
		}
	}
	r.mirror = nil
	for _, t := range all {
		t.direct = t.interested
		if !t.interested {
			r.dropViews(t)
			r.touch(t)
			r.release(t)
		}
	}
	for _, p := range r.byName {
		due := p.full.nonce != 0
		p.full = nil
		if due {
			r.reconcile(p)
		}
		for _, t := range all {
			if v := p.views[t]; v != nil {
				r.askSoon(v)
			}
		}
	}
}

// watchesAll reports whether the events of all topics are wanted.
func (r *Replica) watchesAll() bool { return r.mirror != nil && r.mirror.users > 0 }

// mirrorComplete reports whether every peer that is up has told all that it has.
func (r *Replica) mirrorComplete() bool {
	if r.mirror == nil || r.mirror.full || !r.settled {
		return false
	}
	for _, p := range r.byName {
		if p.up && !p.full.synced {
			return false
		}
	}
	return true
}

// settleMirror reports whether everything turned complete, or no longer is: then so
// do the topics.
func (r *Replica) settleMirror() (turned bool) {
	if r.mirror == nil || r.mirror.complete == r.mirrorComplete() {
		return false
	}
	r.mirror.complete = !r.mirror.complete
	for _, t := range r.sortedTopics() {
		r.touch(t)
	}
	return true
}

// overflow gives up being complete: there are more topics than may be held.
func (r *Replica) overflow() {
	r.stats.Unmirrored++
	if !r.mirror.full {
		r.mirror.full = true
		r.notice(r.cfg.Name, r.epoch, fmt.Sprintf("mirror: incomplete, there are more than %d topics, the limit", r.cfg.MaxTopics))
	}
}

// retryMirror begins anew when there is room again.
func (r *Replica) retryMirror() {
	if r.mirror == nil || !r.mirror.full || len(r.topics) > r.cfg.MaxTopics*7/8 {
		return
	}
	r.mirror.full = false
	r.notice(r.cfg.Name, r.epoch, "mirror: has room again")
	for _, p := range r.byName {
		r.startFullSync(p)
	}
}

// Topics returns the topics in which a presence is known here, sorted, and whether
// these are all there are: that is known to a mirror only.
func (r *Replica) Topics() (names []string, complete bool) {
	for _, name := range slices.Sorted(maps.Keys(r.topics)) {
		if r.sessions(r.topics[name]) > 0 {
			names = append(names, name)
		}
	}
	return names, r.mirrorComplete()
}
