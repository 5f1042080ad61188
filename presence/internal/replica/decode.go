package replica

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
	"unsafe"

	"github.com/klauspost/compress/s2"
)

// errMalformed is what decode answers for anything that no version of this
// package sent.
var errMalformed = errors.New("presence: malformed message")

// decode reads a message. It never panics, allocates no more than the input
// can justify, and keeps no reference to it. newest is the highest version that
// is read; a message that needs a later one is an *outdatedError.
func decode(data []byte, newest byte) (message, error) {
	if len(data) < wirePrefix || data[0] != wireMagic {
		return message{}, errMalformed
	}
	if data[2] > newest {
		return message{}, &outdatedError{needs: data[2], reads: newest}
	}
	rest, err := unpack(data)
	if err != nil {
		return message{}, err
	}
	r := reader{rest: rest}
	m := message{kind: kind(data[3])}
	m.name = r.name()
	m.epoch = r.fixed()
	above := r.uvarint()
	if above > m.epoch {
		return message{}, errMalformed
	}
	m.birth = m.epoch - above
	switch m.kind {
	case kindProbe, kindAlive, kindLeave:
	case kindHeartbeat:
		m.beat, m.fingerprint = r.uvarint(), r.uvarint()
		m.oldest, m.newest = 1, 1 // version 1 does not say
		if len(r.rest) > 0 && newest >= jointVersion {
			m.oldest, m.newest = r.uvarint(), r.uvarint()
		}
	case kindNack:
		m.max, m.silent = r.uvarint(), r.uvarint()
	case kindDelta:
		m.parts = []topicPart{{topic: r.name(), delta: r.delta()}}
	case kindTip:
		m.parts = []topicPart{{topic: r.name(), seq: r.uvarint(), at: r.uvarint(), count: r.uvarint(), hash: r.fixed()}}
	case kindSync:
		for n := r.count(4); n > 0 && !r.bad; n-- {
			m.parts = append(m.parts, topicPart{topic: r.name(), seq: r.uvarint(), nonce: r.uvarint()})
		}
	case kindReply:
		m.parts = r.parts(data[2])
	case kindSyncAll:
		m.page.nonce, m.page.since = r.uvarint(), r.uvarint()
		m.page.first, m.page.end = r.slices()
	case kindPage:
		m.page.nonce = r.uvarint()
		m.page.first, m.page.end = r.slices()
		m.page.at, m.page.index, m.page.of = r.uvarint(), r.uvarint(), r.uvarint()
		if m.page.index >= m.page.of || m.page.of > maxChunks {
			r.bad = true
		}
		m.parts = r.parts(data[2])
	default:
		return message{}, errMalformed
	}
	if r.bad || m.epoch == 0 {
		return message{}, errMalformed
	}
	return m, nil
}

// unpack undoes pack: it returns what follows the flags.
func unpack(data []byte) ([]byte, error) {
	flags, rest := data[wirePrefix-1], data[wirePrefix:]
	switch {
	case flags&^flagS2 != 0:
		return nil, errMalformed
	case flags&flagS2 == 0:
		return rest, nil
	}
	n, err := s2.DecodedLen(rest) // what it claims
	if err != nil || n > MaxPlain {
		return nil, errMalformed
	}
	rest, err = s2.Decode(nil, rest)
	if err != nil {
		return nil, errMalformed
	}
	return rest, nil
}

// reader takes a message apart. After the first fault it is bad and yields
// zeroes.
type reader struct {
	rest []byte
	bad  bool
}

func (r *reader) need(n int) bool {
	if r.bad || len(r.rest) < n {
		r.bad = true
	}
	return !r.bad
}

func (r *reader) uvarint() uint64 {
	if r.bad {
		return 0
	}
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// fixed reads eight bytes.
func (r *reader) fixed() uint64 {
	if !r.need(8) {
		return 0
	}
	v := binary.BigEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return v
}

// count reads how many items follow, each of at least size bytes.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.rest)/size) {
		r.bad = true
		return 0
	}
	return int(n)
}

// bytes reads a length and returns that many bytes of the input.
func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.bad = true
	}
	if r.bad {
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// name reads a replica's name, a topic or a key.
func (r *reader) name() string {
	b := r.bytes()
	if len(b) == 0 || len(b) > MaxName || !utf8.Valid(b) {
		r.bad = true
		return ""
	}
	return string(b)
}

// keyAndMeta reads a key and a meta into memory of their own: the rest of the
// message must not live as long as they do. They share one allocation, which
// nothing ever changes; that saves a tenth of what a presence costs.
func (r *reader) keyAndMeta() (string, []byte) {
	key, meta := r.bytes(), r.bytes()
	if len(key) == 0 || len(key) > MaxName || !utf8.Valid(key) {
		r.bad = true
	}
	if r.bad {
		return "", nil
	}
	both := make([]byte, 0, len(key)+len(meta))
	both = append(append(both, key...), meta...)
	return unsafe.String(&both[0], len(key)), both[len(key):]
}

// nonces reads which questions a reply of some version answers.
func (r *reader) nonces(version byte) (first uint64, others []uint64) {
	n := 1
	if version >= jointVersion {
		n = r.count(1)
	}
	if n == 0 {
		r.bad = true
	}
	first = r.uvarint()
	for ; n > 1 && !r.bad; n-- {
		others = append(others, r.uvarint())
	}
	return first, others
}

// parts reads the topics of an answer of some version.
func (r *reader) parts(version byte) (list []topicPart) {
	for n := r.count(19); n > 0 && !r.bad; n-- {
		part := topicPart{topic: r.name()}
		part.nonce, part.others = r.nonces(version)
		part.hash, part.chunk, part.chunks, part.delta = r.fixed(), r.uvarint(), r.uvarint(), r.delta()
		if part.chunk >= part.chunks || part.chunks > maxChunks {
			r.bad = true
		}
		list = append(list, part)
	}
	return list
}

// slices reads which slices of the topics a message is about, at least one.
func (r *reader) slices() (first, end uint8) {
	if !r.need(2) {
		return 0, 0
	}
	first, end = r.rest[0], r.rest[1]
	r.rest = r.rest[2:]
	if first >= end || end > sliceCount {
		r.bad = true
	}
	return first, end
}

// leastEntry is the least that an entry takes on the wire.
const leastEntry = 7

func (r *reader) delta() delta {
	d := delta{From: r.uvarint(), Base: r.uvarint(), To: r.uvarint()}
	if d.Base > d.From || d.From > d.To {
		r.bad = true
	}
	last := uint64(0)
	n := r.count(leastEntry)
	if n > 0 {
		d.Adds = make([]entry, 0, min(n, maxAhead))
	}
	for ; n > 0 && !r.bad; n-- {
		var e entry
		e.Dot = last + r.step()
		back := r.uvarint()
		e.Origin = e.Dot - back
		if back > 0 {
			e.Value.prev = e.Dot - r.uvarint()
		}
		if e.Dot <= last || e.Dot > d.To || e.Origin == 0 || e.Origin > e.Dot || e.Value.prev > e.Dot {
			r.bad = true
		}
		last = e.Dot
		e.Key, e.Value.meta = r.keyAndMeta()
		if m := e.Value.meta; len(m) < 2 || m[0] != '{' || m[len(m)-1] != '}' {
			r.bad = true
		}
		d.Adds = append(d.Adds, e)
	}
	d.Rems, d.Keep = r.dots(), r.dots()
	return d
}

// step reads the distance to the next dot, which is not 0.
func (r *reader) step() uint64 {
	n := r.uvarint()
	if n == 0 {
		r.bad = true
	}
	return n
}

func (r *reader) dots() []uint64 {
	n := r.count(1)
	if n == 0 {
		return nil
	}
	dots := make([]uint64, 0, min(n, maxAhead))
	last := uint64(0)
	for ; n > 0 && !r.bad; n-- {
		dot := last + r.step()
		if dot <= last {
			r.bad = true
		}
		dots = append(dots, dot)
		last = dot
	}
	return dots
}
