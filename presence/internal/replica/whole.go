package replica

import (
	"encoding/binary"
	"hash/fnv"
)

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
type whole struct {
	at       [sliceCount]uint64 // our views of a slice are the member's history at this number or later ones
	answered uint64             // a bit for each slice that was answered since the member was admitted
	synced   bool               // all were: nothing that the member had is unknown

	nonce     uint64 // names the question that is due, 0 without one
	next, end uint8  // the slices that it is still about: [next, end)
	asked     uint8  // times since the last page
	page      *assembledPage

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
type assembledPage struct {
	page
	parts   [][]topicPart
	missing int
}

// knows tells whether what the member has in t has been told since it was
// admitted, or has views of its own that tell.
func (m *member) knows(t *topic) bool {
	return m.whole == nil || t.direct || m.whole.answered&(1<<t.slice) != 0
}

// answersAll tells whether the question that is due was asked for everything
// that view v waits for, so that v needs to ask nothing itself.
func (m *member) answersAll(v *view) bool {
	w := m.whole
	return w != nil && !v.synced && notBefore(w.nonce, v.nonce) && w.answered&(1<<v.t.slice) == 0
}

// notBefore tells whether the nonce a was drawn after b, or is b.
func notBefore(a, b uint64) bool { return int64(a-b) >= 0 }

// startWhole begins to ask m for all that it has.
func (r *Replica) startWhole(m *member) {
	m.whole = &whole{again: true}
	r.askWhole(m, 0, sliceCount)
}

// askWhole asks for all that m has in the slices [first, end), until it is told.
func (r *Replica) askWhole(m *member, first, end uint8) {
	w := m.whole
	w.nonce, w.next, w.end, w.asked, w.page = r.freshNonce(), first, end, 0, nil
	r.sendWhole(m)
}

// sendWhole sends the question that is due, and again if there is no answer.
func (r *Replica) sendWhole(m *member) {
	w := m.whole
	w.askAt = 0
	if !m.up {
		return // who comes back is asked anew
	}
	last, since := w.alike()
	r.op(OpPublish, r.address(m.name, m.epoch), appendWholeQuestion(r.header(kindSyncAll), page{nonce: w.nonce, since: since, first: w.next, end: last}))
	r.stats.Asked++
	backoff := min(askMax<<w.asked, askRetryMax)
	w.asked = min(w.asked+1, maxBackoff)
	w.askAt = r.after(r.jitter(backoff, backoff+backoff/2))
	r.timers.push(timer{at: w.askAt, kind: timerWhole, of: m})
}

// alike returns the end of the slices from next on that can be asked for
// together, and up to which number all of them are known: one that is not known
// would have all be sent again.
func (w *whole) alike() (last uint8, since uint64) {
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
func (r *Replica) lateView(t *topic, m *member) *view {
	v := r.newView(t, m, false)
	v.again, v.nonce = false, m.whole.nonce
	return v
}

// receivePage takes a message of the answer to a question about everything.
func (r *Replica) receivePage(m *member, msg message) {
	w := m.whole
	p := msg.page
	if w == nil || p.nonce != w.nonce || p.first != w.next {
		return // to an earlier question, or a page that we have
	}
	a := w.page
	if a == nil || a.at != p.at || a.of != p.of {
		a = &assembledPage{page: p, parts: make([][]topicPart, p.of), missing: int(p.of)}
		w.page = a
	}
	if a.parts[p.index] == nil {
		a.parts[p.index] = append([]topicPart{}, msg.parts...)
		a.missing--
	}
	if a.missing > 0 {
		return
	}
	w.page = nil
	r.applyPage(m, a)
	if w.next = a.end; w.next < w.end {
		w.asked = 0
		r.sendWhole(m)
		return
	}
	// The first question is about all slices, and so is each until it is answered.
	w.nonce, w.askAt, w.synced = 0, 0, true
	if w.again {
		w.again = false
		w.againAt = r.after(askAgain)
		r.timers.push(timer{at: w.againAt, kind: timerWholeAgain, of: m})
	}
}

// applyPage takes a whole page: each topic in it as if it had been asked for
// alone, and the rest of its slices as empty.
func (r *Replica) applyPage(m *member, a *assembledPage) {
	w := m.whole
	named := map[*topic]bool{}
	pieces := map[string]*assembly{}
	for _, parts := range a.parts {
		for _, p := range parts {
			d := p.delta
			if p.chunks > 1 {
				x := pieces[p.topic]
				if !x.takes(p) {
					x = newAssembly(p)
					pieces[p.topic] = x
				}
				var whole bool
				if d, whole = x.put(p); !whole {
					continue
				}
			}
			t := r.followed(p.topic)
			if t == nil {
				continue // no room
			}
			named[t] = true
			r.told(t, m, d)
			if v := m.views[t]; v != nil {
				r.audit(v, d.To, d.To, p.hash)
			}
		}
	}
	for k := a.first; k < a.end; k++ {
		for _, t := range r.slices[k] {
			if v := m.views[t]; v != nil && !named[t] {
				r.told(t, m, delta{To: a.at})
			}
		}
		w.at[k] = a.at
		w.answered |= 1 << k
	}
	// All that has no view was empty at this number.
	m.water = max(m.water, a.at)
}

// told takes what a page says about t.
func (r *Replica) told(t *topic, m *member, d delta) {
	nonce := m.whole.nonce
	if v := m.views[t]; v != nil && notBefore(nonce, v.nonce) {
		nonce = v.nonce // the later question has an answer to the view's, too
	}
	r.receiveDelta(t, m, d, false, nonce)
	if v := m.views[t]; v != nil {
		r.rest(v) // what this was no answer to is asked for
	}
}

// answerAll answers a question about everything: with what we have in as many of
// the slices that are asked for as make a page of about pageBytes, at least one.
// It returns how large that is, before compression.
func (r *Replica) answerAll(asker string, p page) (bytes int) {
	limit := r.room() - besidePart
	var bodies [][]byte
	var counts []uint64
	size, room := 0, 0
	end := p.first
	for ; end < p.end && size < pageBytes; end++ {
		for _, t := range r.slices[end] {
			if t.own == nil {
				continue
			}
			if t.own.Len() == 0 {
				continue // it is one of the rest
			}
			d := t.own.Since(p.since, r.counter)
			if len(d.Adds) == t.own.Len() {
				d = delta{To: d.To, Adds: d.Adds} // a snapshot fits whoever has nothing, too
			}
			r.stats.count(d)
			pieces := split(d, limit-besidePart-len(t.name))
			part := topicPart{topic: t.name, hash: t.own.hash, chunks: uint64(len(pieces))}
			for i, piece := range pieces {
				part.chunk, part.delta = uint64(i), piece
				cost := len(t.name) + besidePart + deltaSize(piece)
				if room < cost {
					bodies, counts, room = append(bodies, nil), append(counts, 0), limit
				}
				last := len(bodies) - 1
				bodies[last] = appendPart(bodies[last], part, OldestVersion)
				counts[last]++
				room -= cost
				size += cost
			}
		}
	}
	if len(bodies) == 0 {
		bodies, counts = [][]byte{nil}, []uint64{0}
	}
	p.end, p.at, p.of = end, r.counter, uint64(len(bodies))
	for i, body := range bodies {
		p.index = uint64(i)
		b := binary.AppendUvarint(appendPage(r.header(kindPage), p), counts[i])
		r.op(OpPublish, asker, pack(append(b, body...)))
	}
	return size
}
