package replica

import (
	"iter"
	"slices"
	"time"

	"github.com/rollcall-go/rollcall/crdt"
)

// view is what we hold of one member's part of one topic. A member without a
// view in an interested topic is known to have had nothing there at some number
// at or below its watermark; nothing more is known, so a view must never be
// started again at the watermark.
type view struct {
	t     *topic
	m     *member
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
	held  []delta   // live deltas that came too early
	parts *assembly // an answer that comes in chunks
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

// wants tells whether the owner has to be asked.
func (v *view) wants() bool { return !v.synced || v.recon != 0 || v.need > v.state.Seq() }

// restart makes a view know nothing again.
func (v *view) restart(nonce uint64) {
	v.m.entries -= v.state.Len()
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

// assembly is an answer of which some chunks have come. It counts when it is
// whole.
type assembly struct {
	cut     cut
	chunks  []*delta
	missing int
}

// cut is what an answer was cut into chunks by: what differs here was cut at
// other places.
type cut struct {
	nonce, from, base, to uint64
	others                int // questions that it answers as well, which take room in each chunk
	chunks                uint64
}

func cutOf(p topicPart) cut {
	return cut{p.nonce, p.delta.From, p.delta.Base, p.delta.To, len(p.others), p.chunks}
}

// assemble takes one chunk of an answer and returns the whole, when it is. One
// answer is put together at a time: a chunk of another one begins that one.
func (v *view) assemble(p topicPart) (delta, bool) {
	if p.chunks == 1 {
		return p.delta, true // there is nothing to put together
	}
	x := v.unsettle()
	if !x.parts.takes(p) {
		x.parts = newAssembly(p)
	}
	whole, ok := x.parts.put(p)
	if ok {
		x.parts = nil
	}
	return whole, ok
}

// newAssembly begins an answer of which p is a chunk.
func newAssembly(p topicPart) *assembly {
	return &assembly{cut: cutOf(p), chunks: make([]*delta, p.chunks), missing: int(p.chunks)}
}

// takes tells whether p is a chunk of this answer. There may be none yet.
func (a *assembly) takes(p topicPart) bool {
	return a != nil && a.cut == cutOf(p)
}

// put takes a chunk of this answer and returns the whole, when it is.
func (a *assembly) put(p topicPart) (delta, bool) {
	if a.chunks[p.chunk] == nil {
		a.chunks[p.chunk] = &p.delta
		a.missing--
	}
	if a.missing > 0 {
		return delta{}, false
	}
	whole := delta{From: p.delta.From, Base: p.delta.Base, To: p.delta.To}
	for _, d := range a.chunks {
		whole.Adds = append(whole.Adds, d.Adds...)
		whole.Rems = append(whole.Rems, d.Rems...)
		whole.Keep = append(whole.Keep, d.Keep...)
	}
	return whole, true
}

// newView starts a view that knows nothing. remade: a pruned view is needed
// again, which does not make the topic incomplete. The caller asks.
func (r *Replica) newView(t *topic, m *member, remade bool) *view {
	v := &view{t: t, m: m, remade: remade, again: !remade, nonce: r.freshNonce()}
	i, _ := t.viewIndex(m)
	t.views = slices.Insert(t.views, i, v)
	m.views[t] = v
	r.touch(t)
	return v
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
	if !v.m.up || !v.wants() || v.m.answersAll(v) {
		return
	}
	item := syncItem{topic: v.t.name, nonce: v.nonce}
	if v.synced {
		item.seq, item.nonce = v.state.Seq(), v.recon
	}
	r.queueSync(v.m, item)
	backoff := min(askMax<<v.asked, askRetryMax)
	v.asked = min(v.asked+1, maxBackoff)
	r.setAsk(v, r.jitter(backoff, backoff+backoff/2))
}

// again asks once more some time after the first answer of a new interest:
// across gateways a question can overtake the subscription that it relies on.
func (r *Replica) again(v *view) {
	v.againAt = 0
	v.recon = r.freshNonce()
	r.ask(v)
}

// receiveDelta takes a live delta (live) or the answer to a sync about topic t
// of member m. Its epoch is the admitted one.
func (r *Replica) receiveDelta(t *topic, m *member, d delta, live bool, nonce uint64) {
	v := m.views[t]
	if v == nil && !m.knows(t) {
		v = r.lateView(t, m)
	}
	switch {
	case v == nil:
		switch {
		case d.From == 0 && d.To > m.water: // what begins at 0 has no Keep
			v = r.newView(t, m, true)
			v.synced = true
			r.apply(v, d)
		case !live && len(d.Adds) == 0:
			return
		default:
			v = r.newView(t, m, true)
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
			if m.up {
				r.replaceShown(t, m, shown, d.Adds)
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

// hold keeps a delta that came too early, and remembers what it tells of.
func (v *view) hold(d delta) {
	v.need = max(v.need, d.To)
	if x := v.unsettle(); len(x.held) < holdBack {
		x.held = append(x.held, d)
	}
}

// drain applies what was held back, as far as it goes.
func (r *Replica) drain(v *view) {
	x := v.extra
	if x == nil {
		return
	}
	for progress := true; progress; {
		progress = false
		kept := x.held[:0]
		for _, d := range x.held {
			if d.From > v.state.Seq() {
				kept = append(kept, d)
				continue
			}
			r.apply(v, d)
			progress = true
		}
		clear(x.held[len(kept):])
		x.held = kept
	}
	if len(x.held) == 0 && x.parts == nil {
		v.extra = nil
	}
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
	v.m.entries += len(ch.Added) - len(ch.Removed)
	if v.m.up {
		r.change(v.t, v.m.birth, ch)
	}
}

// receiveReply takes the answer to a sync, or a chunk of one.
func (r *Replica) receiveReply(t *topic, m *member, p topicPart) {
	v := m.views[t]
	if v == nil && p.chunks > 1 {
		// There is nothing to put it together in; that there is so much is enough
		// to ask again.
		r.ask(r.newView(t, m, true))
		return
	}
	d := p.delta
	if v != nil {
		if !v.synced && !p.answers(v.nonce) {
			return // to an earlier question: it must not disturb the answer's chunks
		}
		var whole bool
		if d, whole = v.assemble(p); !whole {
			return
		}
	}
	r.receiveDelta(t, m, d, false, p.questionOf(v))
	if v := m.views[t]; v != nil {
		r.audit(v, p.delta.To, p.delta.To, p.hash)
	}
}

// answers tells whether a reply is to the question that nonce names.
func (p topicPart) answers(nonce uint64) bool {
	return p.nonce == nonce || slices.Contains(p.others, nonce)
}

// questionOf is the question of v, which may be nil, that a reply is to: of those
// that it answers, and be it none of v's.
func (p topicPart) questionOf(v *view) uint64 {
	if v == nil {
		return p.nonce
	}
	own := v.nonce
	if v.synced {
		own = v.recon
	}
	if p.answers(own) {
		return own
	}
	return p.nonce
}

// receiveTip takes word of where the owner stands: its last change is p.seq, and
// nothing changed up to p.at.
func (r *Replica) receiveTip(t *topic, m *member, p topicPart) {
	v := m.views[t]
	if v == nil {
		switch {
		case !m.knows(t):
			r.lateView(t, m).need = p.seq // the answer that is due may tell
		case p.count > 0: // else there is as much as we know of
			v = r.newView(t, m, true)
			v.need = p.seq
			r.ask(v)
		}
		return
	}
	v.need = max(v.need, p.seq)
	r.audit(v, p.seq, p.at, p.hash)
	r.rest(v)
}

// reconcile compares everything with m, because something may have been lost: a
// state that lasts until it was answered, not one message.
func (r *Replica) reconcile(m *member) {
	if m.whole != nil {
		r.askWhole(m, 0, sliceCount)
		return
	}
	for _, t := range r.sortedTopics() {
		if !t.interested {
			continue
		}
		v := m.views[t]
		if v == nil {
			v = r.newView(t, m, true)
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

// prune drops a view that has been empty for so long that its owner has sent
// its last tip. While a view is not empty there is no timer (see rest); while it
// holds something back, it wants something.
func (r *Replica) prune(v *view) {
	v.pruneAt = 0
	if v.wants() {
		r.rest(v)
		return
	}
	v.m.water = max(v.m.water, v.state.Seq())
	i, _ := v.t.viewIndex(v.m)
	v.t.views = slices.Delete(v.t.views, i, i+1)
	delete(v.m.views, v.t)
	v.void()
	if !v.t.interested { // a mirror has it no more
		r.touch(v.t)
		r.release(v.t)
	}
}
