package replica

import "hash/fnv"

// sliceCount is how many slices the topics are divided into: by their names, so
// that every replica divides them alike. It is part of the wire format.
const sliceCount = 64

// pageBytes is about the size of an answer to a question about everything: the
// asker asks on when it has it, so that no more than this is on its way.
const pageBytes = 1 << 20

// sliceOf is the slice that a topic is in.
func sliceOf(topic string) uint8 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(topic))
	return uint8(h.Sum64() % sliceCount)
}

// whole is what a mirror knows of all that one member has. Its question is one
// for every topic at once, also for those that the mirror never heard of: it
// asks for slices of the topics, and the answer, a page, holds what the member
// has in them, "and the rest: nothing".
//
// Until a slice is answered, a topic of it without a view (that is not followed
// on its own) is unsynced: it is as if it had a view that waits for the answer
// under the nonce of the question. From then on it is as in any topic: without
// a view it was empty at some number at or below the member's watermark, and at
// or above the slice's number here.
type fullSync struct {
	at       [sliceCount]uint64 // our views of a slice are the member's history at this number or later ones
	answered uint64             // a bit for each slice that was answered since the member was admitted
	synced   bool               // all were: nothing that the member had is unknown

	nonce     uint64 // names the question that is due, 0 without one
	next, end uint8  // the slices that it is still about: [next, end)
	asked     uint8  // times since the last page
	page      *pageAssembly

	again   bool // ask once more after all was answered, see view.again
	askAt   instant
	againAt instant
}

// page is what a message says beside its topics when it is about all of some
// slices.
type page struct {
	nonce      uint64 // of the question
	since      uint64 // question: all are known up to this number
	first, end uint8  // the slices [first, end)
	at         uint64 // answer: the member's counter
	index, of  uint64 // answer: which message of how many; they count only together
}

// assembledPage is an answer of which some messages have come.
type pageAssembly struct {
	page
	parts   [][]topicPart
	missing int
}

// knows tells whether what the member has in t has been told since it was
// admitted, or has views of its own that tell.
func (p *peer) knows(t *topic) bool {
	return p.full == nil || t.direct || p.full.answered&(1<<t.slice) != 0
}

// answersAll tells whether the question that is due was asked for everything
// that view v waits for, so that v needs to ask nothing itself.
func (p *peer) answersAll(v *view) bool {
	w := p.full
	return w != nil && !v.synced && notBefore(w.nonce, v.nonce) && w.answered&(1<<v.t.slice) == 0
}

// notBefore tells whether the nonce a was drawn after b, or is b.
func notBefore(a, b uint64) bool { return int64(a-b) >= 0 }

// startWhole begins to ask m for all that it has.
func (r *Replica) startFullSync(p *peer) {
	p.full = &fullSync{again: true}
	r.askFullSync(p, 0, sliceCount)
}

// askWhole asks for all that m has in the slices [first, end), until it is told.
func (r *Replica) askFullSync(p *peer, first, end uint8) {
	w := p.full
	w.nonce, w.next, w.end, w.asked, w.page = r.freshNonce(), first, end, 0, nil
	r.sendFullSync(p)
}

// sendWhole sends the question that is due, and again if there is no answer.
func (r *Replica) sendFullSync(p *peer) {
	w := p.full
	w.askAt = 0
	if !p.up {
		return // who comes back is asked anew
	}
	last, since := w.alike()
	r.op(OpPublish, r.address(p.name, p.epoch), appendFullSync(r.header(kindSyncAll), page{nonce: w.nonce, since: since, first: w.next, end: last}))
	r.stats.Asked++
	backoff := min(askMax<<w.asked, askRetryMax)
	w.asked = min(w.asked+1, maxDoublings)
	w.askAt = r.after(r.jitter(backoff, backoff+backoff/2))
	r.timers.push(timer{at: w.askAt, kind: timerFullSync, of: p})
}

// alike returns the end of the slices from next on that can be asked for
// together, and up to which number all of them are known: one that is not known
// would have all be sent again.
func (w *fullSync) alike() (last uint8, since uint64) {
	known := func(k uint8) bool { return w.answered&(1<<k) != 0 }
	last, since = w.next+1, w.at[w.next]
	for last < w.end && known(last) == known(w.next) {
		since = min(since, w.at[last])
		last++
	}
	return last, since
}

// lateView is the view of a topic that m's answer about everything is still to
// tell of: as if it had been there since the question.
func (r *Replica) viewOfFullSync(t *topic, p *peer) *view {
	v := r.newView(t, p, false)
	v.again, v.nonce = false, p.full.nonce
	return v
}

// receivePage takes a message of the answer to a question about everything.
func (r *Replica) receivePage(p *peer, msg message) {
	w := p.full
	pg := msg.page
	if w == nil || pg.nonce != w.nonce || pg.first != w.next {
		return // to an earlier question, or a page that we have
	}
	a := w.page
	if a == nil || a.at != pg.at || a.of != pg.of {
		a = &pageAssembly{page: pg, parts: make([][]topicPart, pg.of), missing: int(pg.of)}
		w.page = a
	}
	if a.parts[pg.index] == nil {
		a.parts[pg.index] = append([]topicPart{}, msg.parts...)
		a.missing--
	}
	if a.missing > 0 {
		return
	}
	w.page = nil
	r.applyPage(p, a)
	if w.next = a.end; w.next < w.end {
		w.asked = 0
		r.sendFullSync(p)
		return
	}
	// The first question is about all slices, and so is each until it is answered.
	w.nonce, w.askAt, w.synced = 0, 0, true
	if w.again {
		w.again = false
		w.againAt = r.after(askAgain)
		r.timers.push(timer{at: w.againAt, kind: timerFullSyncAgain, of: p})
	}
}

// applyPage takes a whole page: each topic in it as if it had been asked for
// alone, and the rest of its slices as empty.
func (r *Replica) applyPage(p *peer, a *pageAssembly) {
	w := p.full
	named := map[*topic]bool{}
	pieces := map[string]*assembly{}
	for _, parts := range a.parts {
		for _, part := range parts {
			d := part.delta
			if part.chunks > 1 {
				x := pieces[part.topic]
				if !x.takes(part) {
					x = newAssembly(part)
					pieces[part.topic] = x
				}
				var whole bool
				if d, whole = x.put(part); !whole {
					continue
				}
			}
			t := r.followed(part.topic)
			if t == nil {
				continue // no room
			}
			named[t] = true
			r.tell(t, p, d)
			if v := p.views[t]; v != nil {
				r.audit(v, d.To, d.To, part.hash)
			}
		}
	}
	for k := a.first; k < a.end; k++ {
		for _, t := range r.slices[k] {
			if v := p.views[t]; v != nil && !named[t] {
				r.tell(t, p, delta{To: a.at})
			}
		}
		w.at[k] = a.at
		w.answered |= 1 << k
	}
	// All that has no view was empty at this number.
	p.watermark = max(p.watermark, a.at)
}

// told takes what a page says about t.
func (r *Replica) tell(t *topic, p *peer, d delta) {
	nonce := p.full.nonce
	if v := p.views[t]; v != nil && notBefore(nonce, v.nonce) {
		nonce = v.nonce // the later question has an answer to the view's, too
	}
	r.receiveDelta(t, p, d, false, nonce)
	if v := p.views[t]; v != nil {
		r.rest(v) // what this was no answer to is asked for
	}
}
