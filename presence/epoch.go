package presence

import (
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"strings"
	"time"
)

// epochRandomBits is how many low bits of an epoch are random.
const epochRandomBits = 22

// newEpoch makes the epoch of a replica that starts at the wall-clock time
// wall: Unix milliseconds above 22 random bits, so that a later start has the
// higher epoch and two starts never share one. It is above floor, with fresh
// random bits even then: floor + 1 would be reused by whoever else is told of
// the same floor.
func newEpoch(wall time.Time, random, floor uint64) uint64 {
	ms := uint64(max(wall.UnixMilli(), 1))
	ms = max(ms, floor>>epochRandomBits+1)
	return ms<<epochRandomBits | random&(1<<epochRandomBits-1)
}

// makeRef is the phx_ref of the entry that the process born with the epoch
// birth named n: unique in the cluster, at most 20 characters. It keeps when
// the replica goes on under a fresh epoch, and it names no replica.
func makeRef(birth, n uint64) string {
	return string(appendNumber(appendBirth(make([]byte, 0, maxRef), birth), n))
}

const (
	birthLen = 11            // characters of a ref that are its birth
	maxRef   = birthLen + 11 // of a number of 64 bits; those that are issued have fewer
)

func appendBirth(b []byte, birth uint64) []byte {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], birth)
	return base64.RawURLEncoding.AppendEncode(b, raw[:])
}

func appendNumber(b []byte, n uint64) []byte {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], n)
	return base64.RawURLEncoding.AppendEncode(b, raw[8-bytesOf(n):])
}

// bytesOf is how many bytes n has without leading zeros, at least one.
func bytesOf(n uint64) int { return (bits.Len64(n|1) + 7) / 8 }

// refWriter makes many refs in one piece of memory, which stays as long as any of
// them.
type refWriter struct {
	text  strings.Builder
	begin [birthLen]byte // birth's text
	birth uint64         // of the last ref
}

// grow makes room for the refs of entries.
func (w *refWriter) grow(entries []shown) {
	size := 0
	for _, v := range entries {
		size += birthLen + (bytesOf(v.Dot)*8+5)/6
		if prev := v.Value.prev; prev != 0 {
			size += birthLen + (bytesOf(prev)*8+5)/6
		}
	}
	w.text.Grow(size)
}

// ref is makeRef.
func (w *refWriter) ref(birth, n uint64) string {
	if birth != w.birth || w.text.Len() == 0 {
		w.birth = birth
		appendBirth(w.begin[:0], birth)
	}
	var number [maxRef - birthLen]byte
	start := w.text.Len()
	w.text.Write(w.begin[:])
	w.text.Write(appendNumber(number[:0], n))
	return w.text.String()[start:]
}

// encodeEpoch is an epoch's text in an address.
func encodeEpoch(epoch uint64) string {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], epoch)
	return base64.RawURLEncoding.EncodeToString(raw[:])
}
