package replica

import (
	"encoding/binary"
	"slices"
	"time"

	"github.com/rollcall-go/rollcall/bus"
)

// This file is the asking side of repairs: when a view asks its owner for what it
// lacks, and what it makes of the answer.

const (
	syncBatch    = 10 * time.Millisecond  // questions wait this long for each other
	askMin       = 50 * time.Millisecond  // jitter of a question
	askMax       = 250 * time.Millisecond // jitter of a question, and the first retry
	askRetryMax  = 5 * time.Second        // retries back off to this
	maxDoublings = 5                      // of askMax: above askRetryMax
	askAgain     = 500 * time.Millisecond // after the first answer of a new interest
	lostPause    = time.Second            // between two comparisons because of dropped messages
)

// syncItem is one topic of a question.
type syncItem struct {
	topic      string
	seq, nonce uint64
}

func (r *Replica) setAsk(v *view, in time.Duration) {
	v.askAt = r.after(in)
	r.timers.push(timer{at: v.askAt, kind: timerAsk, of: v})
}

// askSoon asks after a short random time, unless a question is on its way, or
// there is nothing to ask.
func (r *Replica) askSoon(v *view) {
	if v.askAt == 0 && v.wants() {
		r.setAsk(v, r.jitter(askMin, askMax))
	}
}

// ask questions the owner, and goes on until the view wants nothing.
func (r *Replica) ask(v *view) {
	v.askAt = 0
	if !v.peer.up || !v.wants() || v.peer.answersAll(v) {
		return
	}
	item := syncItem{topic: v.t.name, nonce: v.nonce}
	if v.synced {
		item.seq, item.nonce = v.state.Seq(), v.recon
	}
	r.queueSync(v.peer, item)
	backoff := min(askMax<<v.asked, askRetryMax)
	v.asked = min(v.asked+1, maxDoublings)
	r.setAsk(v, r.jitter(backoff, backoff+backoff/2))
}

// again asks once more some time after the first answer of a new interest:
// across gateways a question can overtake the subscription that it relies on.
func (r *Replica) again(v *view) {
	v.againAt = 0
	v.recon = r.freshNonce()
	r.ask(v)
}

func (r *Replica) queueSync(p *peer, item syncItem) {
	p.syncs = append(p.syncs, item)
	if p.syncAt == 0 { // one timer is enough
		p.syncAt = max(r.now, p.lastSync+instant(syncBatch))
		r.timers.push(timer{at: p.syncAt, kind: timerSync, of: p})
	}
}

func (r *Replica) sendSync(p *peer) {
	p.syncAt, p.lastSync = 0, r.now
	r.sendSyncItems(r.address(p.name, p.epoch), p.syncs)
	p.syncs = nil
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
	r.sendSyncItems(bus.DestAll, r.syncAll)
	r.syncAll = nil
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

// receiveReply takes the answer to a sync, or a chunk of one.
func (r *Replica) receiveReply(t *topic, p *peer, part topicPart) {
	v := p.views[t]
	if v == nil && part.chunks > 1 {
		// There is nothing to put it together in; that there is so much is enough
		// to ask again.
		r.ask(r.newView(t, p, true))
		return
	}
	d := part.delta
	if v != nil {
		if !v.synced && !part.answers(v.nonce) {
			return // to an earlier question: it must not disturb the answer's chunks
		}
		var whole bool
		if d, whole = v.assemble(part); !whole {
			return
		}
	}
	r.receiveDelta(t, p, d, false, part.questionOf(v))
	if v := p.views[t]; v != nil {
		r.audit(v, part.delta.To, part.delta.To, part.hash)
	}
}

// answers reports whether a reply is to the question that nonce names.
func (part topicPart) answers(nonce uint64) bool {
	return part.nonce == nonce || slices.Contains(part.others, nonce)
}

// questionOf is the question of v, which may be nil, that a reply is to: of those
// that it answers, and be it none of v's.
func (part topicPart) questionOf(v *view) uint64 {
	if v == nil {
		return part.nonce
	}
	own := v.nonce
	if v.synced {
		own = v.recon
	}
	if part.answers(own) {
		return own
	}
	return part.nonce
}

// Lost takes word that messages may have been dropped on the way to us.
func (r *Replica) Lost(now time.Time) {
	r.step(now)
	r.stats.Lost++
	if r.lostAt == 0 { // one timer is enough
		r.lostAt = max(r.now, r.nextLost)
		r.timers.push(timer{at: r.lostAt, kind: timerLost})
	}
}

// reconcileAll compares all topics with all peers. It is done at most once in lostPause:
// a bus that drops messages all the time neither puts the questions off for ever nor
// makes ever more of them.
func (r *Replica) reconcileAll() {
	r.lostAt, r.nextLost = 0, r.after(lostPause)
	for _, p := range r.byName {
		r.reconcile(p)
	}
}

// reconcile compares everything with p, because something may have been lost: a
// state that lasts until it was answered, not one message.
func (r *Replica) reconcile(p *peer) {
	if p.full != nil {
		r.askFullSync(p, 0, sliceCount)
		return
	}
	for _, t := range r.sortedTopics() {
		if !t.interested {
			continue
		}
		v := p.views[t]
		if v == nil {
			v = r.newView(t, p, true)
			r.ask(v)
			continue
		}
		// Also for an unsynced view: the answer that it waits for may be older
		// than the loss.
		v.recon = r.freshNonce()
		v.askAt = 0
		r.askSoon(v)
	}
}

// backgroundSync compares a part of the interested topics with one peer: what
// everything else missed is found within some minutes.
func (r *Replica) backgroundSync() {
	slice := r.compared % sliceCount
	var up []*peer
	for _, p := range r.byName {
		if p.up {
			up = append(up, p)
		}
	}
	if len(up) > 0 {
		p := up[r.compared/sliceCount%len(up)]
		if full := p.full; full != nil {
			if full.nonce == 0 {
				r.askFullSync(p, uint8(slice), uint8(slice)+1)
			}
			r.compared++
			return
		}
		for _, t := range r.slices[slice] {
			if !t.interested {
				continue
			}
			item := syncItem{topic: t.name}
			if v := p.views[t]; v != nil {
				if !v.synced {
					continue // it is asked for anyway
				}
				item.seq = v.state.Seq()
			}
			r.queueSync(p, item)
		}
	}
	r.compared++
}
