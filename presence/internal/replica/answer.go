package replica

import (
	"encoding/binary"
	"time"

	"github.com/rollcall-go/rollcall/bus"
)

// This file is the answering side of repairs. Answers go out at a bounded rate, so
// that they leave room for what happens now, and once where many ask for the same,
// as they do when everything comes back from an outage.

const (
	answerPause  = 10 * time.Millisecond // questions that come meanwhile are answered together
	manyAsk      = 3                     // so many get one answer, on the topic's subject
	maxQuestions = 1 << 18               // that wait; a replica that is not answered asks again
)

// question is one topic of a sync. It waits for the next answer.
type question struct {
	what  asked
	asker string // its address
	nonce uint64
	crowd bool // may be answered together with others
	all   page // instead of what: a question about everything, where its end is not 0
}

// asked is what is asked for. One answer fits all questions with the same value.
type asked struct {
	topic string
	seq   uint64 // that the asker holds
}

// receiveSync takes the questions of a sync. The first in a while are answered
// at once.
func (r *Replica) receiveSync(m message) {
	asker := r.address(m.name, m.epoch)
	known := r.peers[m.name]
	crowd := known != nil && known.epoch == m.epoch // then we know what it can read
	for _, part := range m.parts {
		if len(r.questions) == maxQuestions {
			r.stats.Unheard++
			continue
		}
		r.questions = append(r.questions, question{what: asked{part.topic, part.seq}, asker: asker, nonce: part.nonce, crowd: crowd})
	}
	r.answerSoon()
}

// receiveSyncAll takes a question about everything.
func (r *Replica) receiveSyncAll(m message) {
	if len(r.questions) == maxQuestions {
		r.stats.Unheard++
		return
	}
	r.questions = append(r.questions, question{asker: r.address(m.name, m.epoch), all: m.page})
	r.answerSoon()
}

// answerSoon answers as soon as the pace allows.
func (r *Replica) answerSoon() {
	if r.answerAt == 0 && len(r.questions) > 0 { // one timer is enough
		r.answerAt = max(r.now, r.nextAnswer)
		r.timers.push(timer{at: r.answerAt, kind: timerAnswer})
	}
}

// answer replies to what was asked, as far as the pace allows: what each asker
// lacks in each topic. What does not fit into one message goes in chunks, which
// count only together.
func (r *Replica) answer() {
	r.answerAt = 0
	budget := r.cfg.RepairRate / int(time.Second/answerPause)
	crowds := r.crowds()
	out := replies{r: r, byDest: map[string]*reply{}}
	rest := r.questions
	for len(rest) > 0 && out.size < budget {
		q := rest[0]
		rest = rest[1:]
		if q.all.end > 0 {
			out.size += r.answerFullSync(q.asker, q.all)
			continue
		}
		nonces, dest, version := []uint64{q.nonce}, q.asker, byte(OldestVersion)
		if c := crowds[q.what]; q.crowd && len(c) >= manyAsk {
			nonces, dest, version = c, bus.TopicDest(q.what.topic), jointVersion
			crowds[q.what] = c[:0] // answered, of the others too
			r.stats.Joint++
		} else if q.crowd && c != nil && len(c) == 0 {
			continue
		}
		out.add(dest, version, q.what, nonces)
	}
	out.send()
	// A joint answer was also for questions that still wait.
	kept := r.questions[:0]
	for _, q := range rest {
		if c := crowds[q.what]; q.crowd && c != nil && len(c) == 0 {
			continue
		}
		kept = append(kept, q)
	}
	clear(r.questions[len(kept):])
	if r.questions = kept; len(kept) == 0 {
		r.questions = nil
	}
	pause := time.Duration(out.size) * time.Second / time.Duration(r.cfg.RepairRate)
	r.nextAnswer = r.after(max(answerPause, pause))
	r.answerSoon()
}

// crowds returns the nonces under which many ask for the same, if every peer can read
// an answer to all of them.
func (r *Replica) crowds() map[asked][]uint64 {
	if len(r.questions) < manyAsk || r.readByAll() < jointVersion {
		return nil
	}
	most := r.room() / 2 / binary.MaxVarintLen64
	crowds := map[asked][]uint64{}
	for i := range r.questions {
		q := &r.questions[i]
		if q.crowd = q.crowd && len(crowds[q.what]) < most; q.crowd {
			crowds[q.what] = append(crowds[q.what], q.nonce)
		}
	}
	return crowds
}

// replies gathers answers into messages, one at a time for each destination.
type replies struct {
	r      *Replica
	order  []*reply // as they were begun
	byDest map[string]*reply
	size   int // bytes of all, before compression
}

// reply is a message in the making.
type reply struct {
	dest    string
	version byte
	parts   []byte
	n       int
}

func (o *replies) add(dest string, version byte, what asked, nonces []uint64) {
	r := o.r
	to := o.byDest[dest]
	if to == nil {
		to = &reply{dest: dest, version: version}
		o.byDest[dest] = to
		o.order = append(o.order, to)
	}
	part := topicPart{topic: what.topic, nonce: nonces[0], others: nonces[1:]}
	d := delta{To: r.counter}
	if t := r.topics[what.topic]; t != nil && t.own != nil {
		d, part.hash = t.own.Since(what.seq, r.counter), t.own.hash
	}
	r.stats.count(d)
	limit := r.room()
	frame := besidePart + len(part.topic) + binary.MaxVarintLen64*len(part.others)
	pieces := split(d, limit-frame)
	part.chunks = uint64(len(pieces))
	for i, piece := range pieces {
		part.chunk, part.delta = uint64(i), piece
		if to.n > 0 && len(to.parts)+frame+deltaSize(piece) > limit {
			o.post(to)
		}
		before := len(to.parts)
		to.parts = appendPart(to.parts, part, version)
		to.n++
		o.size += len(to.parts) - before
	}
}

func (o *replies) send() {
	for _, to := range o.order {
		o.post(to)
	}
}

func (o *replies) post(to *reply) {
	b := o.r.header(kindReply)
	setVersion(b, to.version)
	b = binary.AppendUvarint(b, uint64(to.n))
	o.r.op(OpPublish, to.dest, pack(append(b, to.parts...)))
	to.parts, to.n = nil, 0
}

// answerAll answers a question about everything: with what we have in as many of
// the slices that are asked for as make a page of about pageBytes, at least one.
// It returns how large that is, before compression.
func (r *Replica) answerFullSync(asker string, pg page) (bytes int) {
	limit := r.room() - besidePart
	var bodies [][]byte
	var counts []uint64
	size, room := 0, 0
	end := pg.first
	for ; end < pg.end && size < pageBytes; end++ {
		for _, t := range r.slices[end] {
			if t.own == nil {
				continue
			}
			if t.own.Len() == 0 {
				continue // it is one of the rest
			}
			d := t.own.Since(pg.since, r.counter)
			if len(d.Adds) == t.own.Len() {
				d = delta{To: d.To, Adds: d.Adds} // a snapshot is also right for a view that holds nothing
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
	pg.end, pg.at, pg.of = end, r.counter, uint64(len(bodies))
	for i, body := range bodies {
		pg.index = uint64(i)
		b := binary.AppendUvarint(appendPage(r.header(kindPage), pg), counts[i])
		r.op(OpPublish, asker, pack(append(b, body...)))
	}
	return size
}
