package replica

import (
	"iter"
	"slices"
	"time"

	"github.com/rollcall-go/rollcall/crdt"
)

// pruneAfter is how long a view is empty before it is dropped: longer than until the
// owner's last tip.
const pruneAfter = 12 * time.Second

// view is what we hold of one peer's part of one topic. A peer without a
// view in an interested topic is known to have had nothing there at some number
// at or below its watermark; nothing more is known, so a view must never be
// started again at the watermark.
type view struct {
	t     *topic
	peer  *peer
	state crdt.View[string, value]

	hash uint64 // of the state's entries

	// synced: the state is the owner's history at exactly its number. An
	// unsynced view is empty, and counts against the topic's completeness
	// unless it was remade after pruning.
	synced, remade bool
	again          bool   // ask once more after the first answer
	asked          uint8  // questions since the last answer that mattered
	nonce          uint64 // names this view in its first question
	recon          uint64 // a reconciliation is due: names its question; 0 if not
	need           uint64 // the owner is known to be at least here
	extra          *unsettled

	askAt   instant
	againAt instant
	pruneAt instant
}

// unsettled is what few views have, and only for a while.
type unsettled struct {
	reorder []delta   // the reorder buffer: live deltas that came too early
	parts   *assembly // an answer that comes in chunks
	// shown is what an unsynced view shows until it is synced: what it held when
	// an audit failed.
	shown []entry
}

var settled unsettled // read only

// rarely is v.extra for reading.
func (v *view) rarely() *unsettled {
	if v.extra == nil {
		return &settled
	}
	return v.extra
}

// unsettle is v.extra for writing.
func (v *view) unsettle() *unsettled {
	if v.extra == nil {
		v.extra = new(unsettled)
	}
	return v.extra
}

// void makes all timers of a dropped view void.
func (v *view) void() { v.askAt, v.againAt, v.pruneAt = 0, 0, 0 }

// wants reports whether the owner has to be asked.
func (v *view) wants() bool { return !v.synced || v.recon != 0 || v.need > v.state.Seq() }

// restart makes a view know nothing again.
func (v *view) restart(nonce uint64) {
	v.peer.entries -= v.state.Len()
	v.state, v.hash = crdt.View[string, value]{}, 0
	v.synced, v.nonce, v.recon, v.asked = false, nonce, 0, 0
}

// visible yields what the view shows, many entries at a time, in slices that must
// not be changed and are valid until the view changes.
func (v *view) visible() iter.Seq[[]entry] {
	if shown := v.rarely().shown; len(shown) > 0 {
		return slices.Chunk(shown, len(shown))
	}
	return v.state.Runs()
}

// size is how many entries the view shows.
func (v *view) size() int {
	if shown := v.rarely().shown; len(shown) > 0 {
		return len(shown)
	}
	return v.state.Len()
}

// newView starts a view that knows nothing. remade: a pruned view is needed
// again, which does not make the topic incomplete. The caller asks.
func (r *Replica) newView(t *topic, p *peer, remade bool) *view {
	v := &view{t: t, peer: p, remade: remade, again: !remade, nonce: r.freshNonce()}
	i, _ := t.viewIndex(p)
	t.views = slices.Insert(t.views, i, v)
	p.views[t] = v
	r.touch(t)
	return v
}

// receiveDelta takes a live delta (live) or the answer to a sync about topic t
// of peer p. Its epoch is the admitted one.
func (r *Replica) receiveDelta(t *topic, p *peer, d delta, live bool, nonce uint64) {
	v := p.views[t]
	if v == nil && !p.knows(t) {
		v = r.viewOfFullSync(t, p)
	}
	switch {
	case v == nil:
		switch {
		case d.From == 0 && d.To > p.watermark: // what begins at 0 has no Keep
			v = r.newView(t, p, true)
			v.synced = true
			r.apply(v, d)
		case !live && len(d.Adds) == 0:
			return
		default:
			v = r.newView(t, p, true)
			v.hold(d)
			r.ask(v)
			return
		}
	case !v.synced:
		if live {
			v.hold(d)
			break
		}
		if nonce != v.nonce || d.From != 0 || d.Base != 0 {
			return
		}
		if shown := v.rarely().shown; len(shown) > 0 {
			v.extra.shown = nil
			if p.up {
				r.replaceShown(t, p, shown, d.Adds)
			}
		}
		r.apply(v, d)
		v.synced, v.asked = true, 0
		if v.again {
			v.again = false
			v.againAt = r.after(askAgain)
			r.timers.push(timer{at: v.againAt, kind: timerAgain, of: v})
		}
		r.touch(t)
		r.drain(v)
	default:
		if v.recon != 0 && nonce == v.recon {
			v.recon, v.asked = 0, 0
		}
		if d.From > v.state.Seq() {
			r.stats.Gaps++
			v.hold(d)
			break
		}
		r.apply(v, d)
		r.drain(v)
	}
	r.rest(v)
}

// receiveTip takes word of where the owner stands: its last change is p.seq, and
// nothing changed up to p.at.
func (r *Replica) receiveTip(t *topic, p *peer, part topicPart) {
	v := p.views[t]
	if v == nil {
		switch {
		case !p.knows(t):
			r.viewOfFullSync(t, p).need = part.seq // the answer that is due may tell
		case part.count > 0: // else there is as much as we know of
			v = r.newView(t, p, true)
			v.need = part.seq
			r.ask(v)
		}
		return
	}
	v.need = max(v.need, part.seq)
	r.audit(v, part.seq, part.at, part.hash)
	r.rest(v)
}

func (r *Replica) apply(v *view, d delta) {
	if a := v.t.audience; a != nil {
		a.told.keep()
	}
	ch, outcome := v.state.Apply(d)
	if outcome != crdt.Applied {
		return
	}
	r.stats.Applied++
	v.hash ^= hashChanges(ch)
	v.peer.entries += len(ch.Added) - len(ch.Removed)
	if v.peer.up {
		r.change(v.t, v.peer.birth, ch)
	}
}

// rest decides what happens to a view next: it asks for what it lacks, or, when
// it has been empty for long, it goes.
func (r *Replica) rest(v *view) {
	r.askSoon(v)
	if v.state.Len() > 0 {
		v.pruneAt = 0
	} else if v.synced && v.pruneAt == 0 { // since then it is empty
		v.pruneAt = r.after(pruneAfter)
		r.timers.push(timer{at: v.pruneAt, kind: timerPrune, of: v})
	}
}

// prune drops a view that has been empty for so long that its owner has sent
// its last tip. While a view is not empty there is no timer (see rest); while it
// holds something back, it wants something.
func (r *Replica) prune(v *view) {
	v.pruneAt = 0
	if v.wants() {
		r.rest(v)
		return
	}
	v.peer.watermark = max(v.peer.watermark, v.state.Seq())
	i, _ := v.t.viewIndex(v.peer)
	v.t.views = slices.Delete(v.t.views, i, i+1)
	delete(v.peer.views, v.t)
	v.void()
	if !v.t.interested { // a mirror has it no more
		r.touch(v.t)
		r.release(v.t)
	}
}
