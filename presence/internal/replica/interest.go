package replica

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"
)

// This file is about which topics are followed here, and when what we know of
// one is complete.

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

func (r *Replica) startInterest(t *topic) {
	t.interested = true
	r.interests++
	if r.mirror != nil {
		return // it is followed already
	}
	t.direct = true
	r.op(OpSubscribe, TopicDest(t.name), nil)
	// One question to everybody. The nonce is the same for all, and fresh for
	// each view.
	nonce := r.freshNonce()
	for _, m := range r.byName {
		v := r.newView(t, m, false)
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
		r.op(OpUnsubscribe, TopicDest(t.name), nil)
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
		v.m.entries -= v.state.Len()
		delete(v.m.views, t)
	}
	t.views, t.audience = nil, nil
}

// isComplete tells whether every replica that is up has told us what it had in
// the topic when we became interested, or when it came up.
func (r *Replica) isComplete(t *topic) bool {
	if !r.settled || !t.direct && !r.mirrorComplete() {
		return false
	}
	for _, v := range t.views {
		if v.m.up && !v.synced && !v.remade {
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

// sortedTopics returns all topics by name, for rare events that touch them all.
func (r *Replica) sortedTopics() []*topic {
	list := make([]*topic, 0, len(r.topics))
	for _, name := range slices.Sorted(maps.Keys(r.topics)) {
		list = append(list, r.topics[name])
	}
	return list
}

// syncItem is one topic of a question.
type syncItem struct {
	topic      string
	seq, nonce uint64
}

func (r *Replica) queueSyncAll(item syncItem) {
	r.syncAll = append(r.syncAll, item)
	if r.syncAllAt == 0 { // one timer is enough
		r.syncAllAt = max(r.now, r.lastAll+instant(syncBatch))
		r.timers.push(timer{at: r.syncAllAt, kind: timerSyncAll})
	}
}

func (r *Replica) sendSyncAll() {
	r.syncAllAt, r.lastAll = 0, r.now
	r.sendSyncItems(DestAll, r.syncAll)
	r.syncAll = nil
}

func (r *Replica) queueSync(m *member, item syncItem) {
	m.syncs = append(m.syncs, item)
	if m.syncAt == 0 { // one timer is enough
		m.syncAt = max(r.now, m.lastSync+instant(syncBatch))
		r.timers.push(timer{at: m.syncAt, kind: timerSync, of: m})
	}
}

func (r *Replica) sendSync(m *member) {
	m.syncAt, m.lastSync = 0, r.now
	r.sendSyncItems(r.address(m.name, m.epoch), m.syncs)
	m.syncs = nil
}

// sendSyncItems asks for topics, in as many messages as it takes.
func (r *Replica) sendSyncItems(dest string, items []syncItem) {
	for len(items) > 0 {
		n, room := 0, r.room()
		for n < len(items) {
			if room -= 2 + len(items[n].topic) + 2*binary.MaxVarintLen64; room < 0 && n > 0 {
				break
			}
			n++
		}
		b := binary.AppendUvarint(r.header(kindSync), uint64(n))
		for _, item := range items[:n] {
			b = appendText(b, item.topic)
			b = binary.AppendUvarint(b, item.seq)
			b = binary.AppendUvarint(b, item.nonce)
		}
		r.op(OpPublish, dest, b)
		r.stats.Asked += uint64(n)
		items = items[n:]
	}
}

// backgroundSync compares a part of the interested topics with one member: what
// everything else missed is found within some minutes.
func (r *Replica) backgroundSync() {
	slice := r.part % sliceCount
	var up []*member
	for _, m := range r.byName {
		if m.up {
			up = append(up, m)
		}
	}
	if len(up) > 0 {
		m := up[r.part/sliceCount%len(up)]
		if w := m.whole; w != nil {
			if w.nonce == 0 {
				r.askWhole(m, uint8(slice), uint8(slice)+1)
			}
			r.part++
			return
		}
		for _, t := range r.slices[slice] {
			if !t.interested {
				continue
			}
			item := syncItem{topic: t.name}
			if v := m.views[t]; v != nil {
				if !v.synced {
					continue // it is asked for anyway
				}
				item.seq = v.state.Seq()
			}
			r.queueSync(m, item)
		}
	}
	r.part++
}

// Complete reports whether every replica that is up has told what it has in the
// topic, which is followed.
func (r *Replica) Complete(name string) bool {
	t := r.topics[name]
	return t != nil && r.isComplete(t)
}

// Follows reports whether this replica follows the topic.
func (r *Replica) Follows(name string) bool {
	t := r.topics[name]
	return t != nil && r.covers(t)
}
