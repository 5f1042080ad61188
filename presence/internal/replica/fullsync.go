package replica

import "hash/fnv"

// sliceCount is how many slices the topics are divided into: by their names, so
// that every replica divides them alike. It is part of the wire format.
const sliceCount = 64

// pageBytes is about the size of an answer to a question about everything: the
// asker asks on when it has it, so that no more than this is on its way.
const pageBytes = 1 << 20

// sliceOf returns the slice that a topic is in.
func sliceOf(topic string) uint8 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(topic))
	return uint8(h.Sum64() % sliceCount)
}

// fullSync is what a mirror knows of all that one peer has. Its question is about
// every topic at once, also those that the mirror never heard of: it asks for slices
// of the topics. The answer, a page, holds what the peer has in them; all other topics
// of the slices are empty.
//
// Until a slice is answered, a topic of it without a view (that is not followed
// on its own) is unsynced: it is as if it had a view that waits for the answer
// under the nonce of the question. From then on it is as in any topic: without
// a view it was empty at some number at or below the peer's watermark, and at
// or above the slice's number here.
type fullSync struct {
	at       [sliceCount]uint64 // our views of a slice are the peer's history at this number or a later one
	answered uint64             // a bit for each slice that was answered since the peer was admitted
	synced   bool               // all were

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
	at         uint64 // answer: the peer's counter
	index, of  uint64 // answer: which message of how many; they count only together
}

// pageAssembly is an answer of which some messages have come.
type pageAssembly struct {
	page
	parts   [][]topicPart
	missing int
}

// knows reports whether the peer has told what it has in t since it was admitted, or
// t has views of its own that tell.
func (p *peer) knows(t *topic) bool {
	return p.full == nil || t.direct || p.full.answered&(1<<t.slice) != 0
}

// answersAll reports whether the full sync that is due answers all that view v waits
// for, so that v asks nothing itself.
func (p *peer) answersAll(v *view) bool {
	full := p.full
	return full != nil && !v.synced && notBefore(full.nonce, v.nonce) && full.answered&(1<<v.t.slice) == 0
}

// notBefore reports whether the nonce a was drawn after b, or is b.
func notBefore(a, b uint64) bool { return int64(a-b) >= 0 }

// startFullSync begins to ask p for all that it has.
func (r *Replica) startFullSync(p *peer) {
	p.full = &fullSync{again: true}
	r.askFullSync(p, 0, sliceCount)
}

// askFullSync asks for all that p has in the slices [first, end), until it is told.
func (r *Replica) askFullSync(p *peer, first, end uint8) {
	full := p.full
	full.nonce, full.next, full.end, full.asked, full.page = r.freshNonce(), first, end, 0, nil
	r.sendFullSync(p)
}

// sendFullSync sends the question that is due, and again if there is no answer.
func (r *Replica) sendFullSync(p *peer) {
	full := p.full
	full.askAt = 0
	if !p.up {
		return // a peer that comes back is asked anew
	}
	last, since := full.alike()
	r.op(OpPublish, r.address(p.name, p.epoch), appendFullSync(r.header(kindSyncAll), page{nonce: full.nonce, since: since, first: full.next, end: last}))
	r.stats.Asked++
	backoff := min(askMax<<full.asked, askRetryMax)
	full.asked = min(full.asked+1, maxDoublings)
	full.askAt = r.after(r.jitter(backoff, backoff+backoff/2))
	r.timers.push(timer{at: full.askAt, kind: timerFullSync, of: p})
}

// alike returns the end of the slices from next on that can be asked for
// together, and up to which number all of them are known: one that is not known
// would have all be sent again.
func (full *fullSync) alike() (last uint8, since uint64) {
	known := func(k uint8) bool { return full.answered&(1<<k) != 0 }
	last, since = full.next+1, full.at[full.next]
	for last < full.end && known(last) == known(full.next) {
		since = min(since, full.at[last])
		last++
	}
	return last, since
}

// viewOfFullSync makes the view of a topic that p's full sync is still to tell of: as
// if it had been there since the question.
func (r *Replica) viewOfFullSync(t *topic, p *peer) *view {
	v := r.newView(t, p, false)
	v.again, v.nonce = false, p.full.nonce
	return v
}

// receivePage takes a message of the answer to a question about everything.
func (r *Replica) receivePage(p *peer, msg message) {
	full := p.full
	pg := msg.page
	if full == nil || pg.nonce != full.nonce || pg.first != full.next {
		return // to an earlier question, or a page that we have
	}
	a := full.page
	if a == nil || a.at != pg.at || a.of != pg.of {
		a = &pageAssembly{page: pg, parts: make([][]topicPart, pg.of), missing: int(pg.of)}
		full.page = a
	}
	if a.parts[pg.index] == nil {
		a.parts[pg.index] = append([]topicPart{}, msg.parts...)
		a.missing--
	}
	if a.missing > 0 {
		return
	}
	full.page = nil
	r.applyPage(p, a)
	if full.next = a.end; full.next < full.end {
		full.asked = 0
		r.sendFullSync(p)
		return
	}
	// The first question is about all slices, and so is each until it is answered.
	full.nonce, full.askAt, full.synced = 0, 0, true
	if full.again {
		full.again = false
		full.againAt = r.after(askAgain)
		r.timers.push(timer{at: full.againAt, kind: timerFullSyncAgain, of: p})
	}
}

// applyPage takes a whole page: each topic in it as if it had been asked for
// alone, and the rest of its slices as empty.
func (r *Replica) applyPage(p *peer, a *pageAssembly) {
	full := p.full
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
		full.at[k] = a.at
		full.answered |= 1 << k
	}
	// All that has no view was empty at this number.
	p.watermark = max(p.watermark, a.at)
}

// tell gives what a page says about t to its view.
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
