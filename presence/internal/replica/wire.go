package replica

import (
	"encoding/binary"

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
func appendPart(b []byte, part topicPart, version byte) []byte {
	b = appendText(b, part.topic)
	if version >= jointVersion {
		b = binary.AppendUvarint(b, uint64(1+len(part.others)))
	}
	b = binary.AppendUvarint(b, part.nonce)
	for _, nonce := range part.others {
		b = binary.AppendUvarint(b, nonce)
	}
	b = binary.BigEndian.AppendUint64(b, part.hash)
	b = binary.AppendUvarint(b, part.chunk)
	b = binary.AppendUvarint(b, part.chunks)
	return appendDelta(b, part.delta)
}

// appendWholeQuestion writes the body of a question about everything.
func appendFullSync(b []byte, pg page) []byte {
	b = binary.AppendUvarint(b, pg.nonce)
	b = binary.AppendUvarint(b, pg.since)
	return append(b, pg.first, pg.end)
}

// appendPage begins the body of a message of the answer.
func appendPage(b []byte, pg page) []byte {
	b = binary.AppendUvarint(b, pg.nonce)
	b = append(b, pg.first, pg.end)
	for _, n := range []uint64{pg.at, pg.index, pg.of} {
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
