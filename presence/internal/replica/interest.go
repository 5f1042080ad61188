package replica

import (
	"fmt"
	"time"

	"github.com/rollcall-go/rollcall/bus"
)

// This file is about which topics are followed here, and when what is known of one
// is complete.

// settlePeriod is the time from our first echo until all peers have greeted us.
const settlePeriod = 250 * time.Millisecond

// Acquire holds a topic: this replica follows it until Release was called as
// often, and for Config.Linger more. watch asks for events, too.
func (r *Replica) Acquire(now time.Time, name string, watch bool) error {
	r.step(now)
	t := r.topics[name]
	if (t == nil || !t.interested) && r.interests >= r.cfg.MaxTopics || t == nil && r.mirror != nil && len(r.topics) >= r.cfg.MaxTopics {
		return fmt.Errorf("%w: this replica follows %d, the limit", ErrTooManyTopics, r.cfg.MaxTopics)
	}
	if t == nil {
		t = r.topic(name)
	}
	t.users++
	t.lingerAt = 0
	if watch {
		t.watchers++
	}
	if !t.interested {
		r.startInterest(t)
		t.complete = r.isComplete(t)
	}
	return nil
}

// Release ends what Acquire with the same arguments began.
func (r *Replica) Release(now time.Time, name string, watch bool) {
	r.step(now)
	t := r.topics[name]
	if t == nil || t.users == 0 {
		return
	}
	t.users--
	if watch {
		t.watchers--
	}
	if t.users == 0 {
		t.lingerAt = r.after(r.cfg.Linger)
		r.timers.push(timer{at: t.lingerAt, kind: timerLinger, of: t})
	}
}

// Follows reports whether this replica follows the topic.
func (r *Replica) Follows(name string) bool {
	t := r.topics[name]
	return t != nil && r.covers(t)
}

// Complete reports whether every replica that is up has told what it has in the
// topic, which is followed.
func (r *Replica) Complete(name string) bool {
	t := r.topics[name]
	return t != nil && r.isComplete(t)
}

func (r *Replica) startInterest(t *topic) {
	t.interested = true
	r.interests++
	if r.mirror != nil {
		return // it is followed already
	}
	t.direct = true
	r.op(OpSubscribe, bus.TopicDest(t.name), nil)
	// One question to all peers. The nonce is the same for all, and fresh for each
	// view.
	nonce := r.freshNonce()
	for _, p := range r.byName {
		v := r.newView(t, p, false)
		v.nonce = nonce
		r.setAsk(v, askMax) // should the common question get no answer
	}
	if len(r.byName) > 0 {
		r.queueSyncAll(syncItem{topic: t.name, nonce: nonce})
	}
}

func (r *Replica) endInterest(t *topic) {
	t.lingerAt = 0
	t.interested = false
	r.interests--
	if t.direct {
		t.direct = false
		r.op(OpUnsubscribe, bus.TopicDest(t.name), nil)
	}
	if r.mirror == nil {
		r.dropViews(t)
	}
	r.touch(t)
	r.release(t)
}

// dropViews forgets what others have in t.
func (r *Replica) dropViews(t *topic) {
	for _, v := range t.views {
		v.void()
		v.peer.entries -= v.state.Len()
		delete(v.peer.views, t)
	}
	t.views, t.audience = nil, nil
}

// isComplete reports whether every replica that is up has told us what it had in
// the topic when we became interested, or when it came up.
func (r *Replica) isComplete(t *topic) bool {
	if !r.settled || !t.direct && !r.mirrorComplete() {
		return false
	}
	for _, v := range t.views {
		if v.peer.up && !v.synced && !v.remade {
			return false
		}
	}
	return true
}

// discovered ends the time in which replicas that we never heard of may still
// greet us. Until then nothing is complete.
func (r *Replica) discovered() {
	r.discoverAt, r.settled = 0, true
	for _, t := range r.sortedTopics() {
		r.touch(t)
	}
}
