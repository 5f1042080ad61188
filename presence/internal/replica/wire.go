package replica

import (
	"encoding/binary"
	"errors"
	"unicode/utf8"
	"unsafe"

	"github.com/klauspost/compress/s2"

	"github.com/rollcall-go/rollcall/crdt"
)

// The wire format. All integers are unsigned varints unless said; a string is
// its length and its bytes.
//
//	byte 0     wireMagic
//	byte 1     version of this message
//	byte 2     lowest version that can read it (see version.go)
//	byte 3     kind
//	byte 4     flags: flagS2
//	string     the sender's name
//	8 bytes    the sender's epoch, big endian
//	varint     how far the epoch is above the sender's first one (its birth)
//	...        the body, by kind
//
// With flagS2 everything behind the flags is compressed (s2 block format). What
// follows a body that this version knows is from a later one, and is skipped; a
// change that an older reader must not skip raises byte 2, and an unknown flag
// is refused.
const (
	wireMagic  = 0xA7
	wirePrefix = 5 // bytes before what may be compressed

	flagS2 = 1 << 0

	// compressFrom is the least size that is worth compressing.
	compressFrom = 1 << 10
	// maxAhead is for how many entries, or dots, room is made before one of them
	// was read: a message may claim more than it holds.
	maxAhead = 1 << 10
	// maxChunks bounds the chunks of one answer.
	maxChunks = 1 << 12
)

type kind uint8

const (
	kindDelta     kind = 1  // topic, delta
	kindTip       kind = 2  // topic, seq, at, entries, hash
	kindHeartbeat kind = 3  // beat, fingerprint; from version 2: the versions that the sender reads
	kindSync      kind = 4  // count, then topic, seq, nonce of each
	kindReply     kind = 5  // count, then topic, nonce (in version 2: their count, and each), hash, chunk, chunks, delta of each
	kindProbe     kind = 6  // nothing
	kindAlive     kind = 7  // nothing: the answer to a probe
	kindNack      kind = 8  // max, silent in milliseconds
	kindLeave     kind = 9  // nothing
	kindSyncAll   kind = 10 // nonce, since, the first slice and the one behind the last
	kindPage      kind = 11 // nonce, the first slice and the one behind the last, at, index, of; count, then as in a reply
)

func (k kind) String() string {
	names := [...]string{"?", "delta", "tip", "heartbeat", "sync", "reply", "probe", "alive", "nack", "leave", "syncall", "page"}
	if int(k) < len(names) {
		return names[k]
	}
	return names[0]
}

// Kind says what kind of message data is by its first bytes: "delta",
// "tip", "heartbeat", "sync", "reply", "probe", "alive", "nack", "leave",
// "syncall", "page", or "?".
func Kind(data []byte) string {
	if len(data) < wirePrefix || data[0] != wireMagic {
		return kind(0).String()
	}
	return kind(data[3]).String()
}

// value is what an entry holds besides its key. It is immutable.
type value struct {
	prev uint64 // the dot of the value that this one replaced, 0 without
	meta []byte // a JSON object
}

type (
	entry   = crdt.Entry[string, value]
	delta   = crdt.Delta[string, value]
	changes = crdt.Changes[string, value]
)

// message is a decoded message. Which fields count depends on its kind.
type message struct {
	kind  kind
	name  string
	epoch uint64
	birth uint64

	beat, fingerprint uint64      // heartbeat
	oldest, newest    uint64      // heartbeat: the versions that the sender reads
	parts             []topicPart // delta, tip: one; sync, reply: any number
	max, silent       uint64      // nack; silent in milliseconds
	page              page        // syncall, page
}

// topicPart is what a message says about one topic.
type topicPart struct {
	topic string
	nonce uint64 // sync, reply
	// others are more questions that a reply answers.
	others []uint64
	seq    uint64 // sync, tip
	at     uint64 // tip: the content is the same at every number in [seq, at]
	count  uint64 // tip: how many entries the topic has
	hash   uint64 // tip, reply: of the owner's content at seq, or at the delta's To
	delta  delta  // delta, reply
	// reply: which part of how many this is. All have the same numbers, and
	// count only together.
	chunk, chunks uint64
}

func appendHeader(b []byte, k kind, name string, epoch, birth uint64) []byte {
	b = append(b, wireMagic, OldestVersion, OldestVersion, byte(k), 0)
	b = appendText(b, name)
	b = binary.BigEndian.AppendUint64(b, epoch)
	return binary.AppendUvarint(b, epoch-birth)
}

// pack compresses a message that is large enough for it.
func pack(b []byte) []byte {
	if len(b) < compressFrom {
		return b
	}
	packed := make([]byte, wirePrefix+s2.MaxEncodedLen(len(b)-wirePrefix))
	n := len(s2.Encode(packed[wirePrefix:], b[wirePrefix:]))
	if wirePrefix+n >= len(b) {
		return b
	}
	copy(packed, b[:wirePrefix])
	packed[wirePrefix-1] |= flagS2
	return packed[:wirePrefix+n]
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

func appendText(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// appendDelta writes a delta. Dots are written as distances from the dot
// before: they are ascending, and mostly close together.
func appendDelta(b []byte, d delta) []byte {
	b = binary.AppendUvarint(b, d.From)
	b = binary.AppendUvarint(b, d.Base)
	b = binary.AppendUvarint(b, d.To)
	b = binary.AppendUvarint(b, uint64(len(d.Adds)))
	last := uint64(0)
	for _, e := range d.Adds {
		b = binary.AppendUvarint(b, e.Dot-last)
		last = e.Dot
		b = binary.AppendUvarint(b, e.Dot-e.Origin)
		if e.Origin != e.Dot {
			b = binary.AppendUvarint(b, e.Dot-e.Value.prev)
		}
		b = appendText(b, e.Key)
		b = binary.AppendUvarint(b, uint64(len(e.Value.meta)))
		b = append(b, e.Value.meta...)
	}
	b = appendDots(b, d.Rems)
	return appendDots(b, d.Keep)
}

func appendDots(b []byte, dots []uint64) []byte {
	b = binary.AppendUvarint(b, uint64(len(dots)))
	last := uint64(0)
	for _, dot := range dots {
		b = binary.AppendUvarint(b, dot-last)
		last = dot
	}
	return b
}

// dotSize is the most that a dot takes on the wire.
const dotSize = binary.MaxVarintLen64

// entrySize is the most that an entry takes on the wire: its three numbers are far
// below 2^49, since one counts a replica's changes.
func entrySize(key string, meta []byte) int { return 30 + len(key) + len(meta) }

// deltaSize is the most that a delta takes on the wire.
func deltaSize(d delta) int {
	size := 40 + dotSize*(len(d.Rems)+len(d.Keep))
	for _, e := range d.Adds {
		size += entrySize(e.Key, e.Value.meta)
	}
	return size
}

// appendPart writes one topic of a reply of some version.
func appendPart(b []byte, p topicPart, version byte) []byte {
	b = appendText(b, p.topic)
	if version >= jointVersion {
		b = binary.AppendUvarint(b, uint64(1+len(p.others)))
	}
	b = binary.AppendUvarint(b, p.nonce)
	for _, nonce := range p.others {
		b = binary.AppendUvarint(b, nonce)
	}
	b = binary.BigEndian.AppendUint64(b, p.hash)
	b = binary.AppendUvarint(b, p.chunk)
	b = binary.AppendUvarint(b, p.chunks)
	return appendDelta(b, p.delta)
}

// appendWholeQuestion writes the body of a question about everything.
func appendWholeQuestion(b []byte, p page) []byte {
	b = binary.AppendUvarint(b, p.nonce)
	b = binary.AppendUvarint(b, p.since)
	return append(b, p.first, p.end)
}

// appendPage begins the body of a message of the answer.
func appendPage(b []byte, p page) []byte {
	b = binary.AppendUvarint(b, p.nonce)
	b = append(b, p.first, p.end)
	for _, n := range []uint64{p.at, p.index, p.of} {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

// What a message has beside what it says, in bytes, at most.
const (
	besideParts = 256 // all of its topics: the header but for the sender's name
	besidePart  = 64  // one topic: its numbers, but not its name
)

// split cuts a delta into pieces of about size bytes on the wire, at least one.
// All have its numbers.
func split(d delta, size int) []delta {
	if deltaSize(d) <= size {
		return []delta{d}
	}
	var pieces []delta
	piece := delta{From: d.From, Base: d.Base, To: d.To}
	room := size - deltaSize(piece)
	take := func(cost int) *delta {
		if room -= cost; room < 0 {
			pieces = append(pieces, piece)
			piece = delta{From: d.From, Base: d.Base, To: d.To}
			room = size - deltaSize(piece) - cost
		}
		return &piece
	}
	for _, e := range d.Adds {
		p := take(entrySize(e.Key, e.Value.meta))
		p.Adds = append(p.Adds, e)
	}
	for _, dot := range d.Rems {
		p := take(dotSize)
		p.Rems = append(p.Rems, dot)
	}
	for _, dot := range d.Keep {
		p := take(dotSize)
		p.Keep = append(p.Keep, dot)
	}
	return append(pieces, piece)
}

// errMalformed is what decode answers for anything that no version of this
// package sent.
var errMalformed = errors.New("presence: malformed message")

// IsEcho reports whether a message says that it is from self, and is not worth
// decoding for that: all but heartbeats are not. It looks at no compressed one.
func IsEcho(data []byte, self string) bool {
	if len(data) < wirePrefix || data[0] != wireMagic || kind(data[3]) == kindHeartbeat || data[wirePrefix-1] != 0 {
		return false
	}
	r := reader{rest: data[wirePrefix:]}
	return string(r.bytes()) == self && !r.bad
}

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
		p := topicPart{topic: r.name()}
		p.nonce, p.others = r.nonces(version)
		p.hash, p.chunk, p.chunks, p.delta = r.fixed(), r.uvarint(), r.uvarint(), r.delta()
		if p.chunk >= p.chunks || p.chunks > maxChunks {
			r.bad = true
		}
		list = append(list, p)
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
