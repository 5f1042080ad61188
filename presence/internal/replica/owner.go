package replica

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/crdt"
)

// This file is the owner's side: this replica's own presences, and what it tells
// others about them.

const (
	tipFirst   = time.Second     // after a flush with nothing after it
	tipSecond  = 5 * time.Second // the second and last tip
	flushBytes = 64 << 10        // a delta of this size does not wait
	removalLog = 256             // removals that a topic remembers for log repairs
)

// ownPart is what this replica's own sessions have in a topic.
type ownPart struct {
	crdt.Owner[string, value]

	hash      uint64
	pending   int // bytes that wait for the flush, at most
	flushAt   instant
	flushedAt instant
	tipAt     instant
	tips      int // tips sent since the last flush
}

// Track makes key present in topic with meta, an encoded JSON object that must
// not be changed any more, and returns the dot that names the entry from now
// on. The topic must be held (see Acquire) as long as the entry is there.
func (r *Replica) Track(now time.Time, topic, key string, meta []byte) (dot uint64, err error) {
	r.step(now)
	t := r.topic(topic)
	if t.own == nil {
		t.own = &ownPart{Owner: *crdt.NewOwner[string, value](r.counter, removalLog)}
	}
	if t.own.Len() >= r.cfg.MaxTopicPresences {
		return 0, fmt.Errorf("%w: topic %q has %d from this replica, the limit", ErrTooManyPresences, topic, t.own.Len())
	}
	r.makeRoom(t, entrySize(key, meta))
	e := t.own.Add(r.nextNumber(), key, value{meta: meta})
	r.changed(t, changes{Added: []entry{e}})
	return e.Dot, nil
}

// Update replaces the meta of the entry named by dot, in one step, and returns
// the entry's new dot. It reports false when there is no such entry.
func (r *Replica) Update(now time.Time, topic string, dot uint64, meta []byte) (uint64, bool) {
	r.step(now)
	t := r.topics[topic]
	if t == nil || t.own == nil {
		return 0, false
	}
	old, held := t.own.Get(dot)
	if !held {
		return 0, false
	}
	v := value{prev: dot, meta: meta}
	if Hidden(old.Value.meta) != Hidden(meta) {
		v.prev = 0 // clients that were not shown the old value do not learn of it
	}
	r.makeRoom(t, dotSize+entrySize(old.Key, meta))
	added, removed, _ := t.own.Replace(r.nextNumber(), dot, v)
	r.changed(t, changes{Added: []entry{added}, Removed: []entry{removed}})
	return added.Dot, true
}

// Untrack ends the entry named by dot, and reports false when there is none.
func (r *Replica) Untrack(now time.Time, topic string, dot uint64) bool {
	r.step(now)
	t := r.topics[topic]
	if t == nil || t.own == nil {
		return false
	}
	if _, held := t.own.Get(dot); !held {
		return false
	}
	r.makeRoom(t, dotSize)
	removed, _ := t.own.Remove(r.nextNumber(), dot)
	r.changed(t, changes{Removed: []entry{removed}})
	return true
}

// Entry returns the meta and ref of one of our own entries.
func (r *Replica) Entry(topic string, dot uint64) (Meta, bool) {
	t := r.topics[topic]
	if t == nil || t.own == nil {
		return Meta{}, false
	}
	e, ok := t.own.Get(dot)
	return Row{r.birth, &e}.meta(), ok
}

// Ref is the ref of our own entry named by dot.
func (r *Replica) Ref(dot uint64) string { return makeRef(r.birth, dot) }

// changed makes our own change visible here and schedules its delta.
func (r *Replica) changed(t *topic, ch changes) {
	r.change(t, r.birth, ch)
	own := t.own
	own.hash ^= hashChanges(ch)
	r.ownEntries += len(ch.Added) - len(ch.Removed)
	own.pending += dotSize * len(ch.Removed)
	for _, e := range ch.Added {
		own.pending += entrySize(e.Key, e.Value.meta)
	}
	// A quiet topic's change goes at once; in a busy one it waits for others.
	due := r.now
	if own.flushedAt != 0 && own.pending < flushBytes {
		due = max(due, own.flushedAt+instant(r.cfg.FlushInterval))
	}
	if own.flushAt == 0 || due < own.flushAt {
		own.flushAt = due
		r.timers.push(timer{at: due, kind: timerFlush, of: t})
	}
}

// makeRoom flushes t before a change that its delta has no room for: so many bytes
// of it, and what waits already, would be too much for one message. Only between two
// changes is there a number that a view may stand at.
func (r *Replica) makeRoom(t *topic, size int) {
	if waits := t.own.pending; waits > 0 && waits+size > r.room()-besidePart-len(t.name) {
		r.flush(t)
	}
}

// flush publishes what changed in t since the last time.
func (r *Replica) flush(t *topic) {
	if t.own == nil {
		return
	}
	t.own.flushAt, t.own.pending = 0, 0
	d, ok := t.own.Flush()
	if !ok {
		return
	}
	t.own.flushedAt = r.now
	r.stats.Flushed++
	b := appendText(r.header(kindDelta), t.name)
	r.op(OpPublish, bus.TopicDest(t.name), pack(appendDelta(b, d)))
	t.own.tips = 0
	r.setTip(t, tipFirst)
}

func (r *Replica) setTip(t *topic, d time.Duration) {
	t.own.tipAt = r.after(d)
	r.timers.push(timer{at: t.own.tipAt, kind: timerTip, of: t})
}

// tip repeats where the topic stands, so that a lost last delta is noticed.
// After the second one an empty topic is forgotten: receivers drop an empty
// view later than that.
func (r *Replica) tip(t *topic) {
	t.own.tipAt = 0
	r.flush(t)
	if t.own.tipAt != 0 { // there was something after it
		return
	}
	b := appendText(r.header(kindTip), t.name)
	b = binary.AppendUvarint(b, t.own.Seq())
	b = binary.AppendUvarint(b, r.counter)
	b = binary.AppendUvarint(b, uint64(t.own.Len()))
	b = binary.BigEndian.AppendUint64(b, t.own.hash)
	r.op(OpPublish, bus.TopicDest(t.name), b)
	if t.own.tips++; t.own.tips < 2 {
		r.setTip(t, tipSecond-tipFirst)
		return
	}
	if t.own.Len() == 0 {
		t.own = nil
		r.release(t)
	}
}
