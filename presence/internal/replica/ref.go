package replica

import (
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"strings"
)

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
func (w *refWriter) grow(entries []Row) {
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

// meta is the meta of v, with refs in w's memory.
func (w *refWriter) meta(v Row) Meta {
	m := Meta{Ref: w.ref(v.birth, v.Dot), Data: v.Value.meta}
	if v.Value.prev != 0 {
		m.PrevRef = w.ref(v.birth, v.Value.prev)
	}
	return m
}
