package replica

import (
	"cmp"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math/bits"
	"slices"
	"strings"
)

// A Row is an entry as readers and watchers see it. It is part of the replica's
// state, and valid until the next call of a method of the replica other than
// [Replica.Under]; make something of it before (see [Group]).
type Row struct {
	birth uint64 // of the process that made the entry: a part of its ref
	*entry
}

// Meta is one value under a key. Package presence documents the fields.
type Meta struct {
	Ref, PrevRef string
	Data         json.RawMessage
}

// Group makes presences of rows: sorted by key, and under a key by process and
// age. It sorts rows in place. newMeta and newPresence make the caller's types.
func Group[M, P any](rows []Row, newMeta func(Meta) M, newPresence func(key string, metas []M) P) []P {
	if len(rows) == 0 {
		return nil
	}
	slices.SortFunc(rows, Row.compare)
	var refs refWriter
	refs.grow(rows)
	metas := make([]M, len(rows))
	presences := make([]P, 0, len(rows))
	begin := 0 // of the key's rows
	for i, row := range rows {
		metas[i] = newMeta(refs.meta(row))
		if end := i + 1; end == len(rows) || rows[end].Key != row.Key {
			presences = append(presences, newPresence(row.Key, metas[begin:end:end]))
			begin = end
		}
	}
	return presences
}

// row is a Row with an entry of its own.
type row struct {
	birth uint64
	entry
}

func appendRows(list []Row, birth uint64, entries []entry) []Row {
	for i := range entries {
		list = append(list, Row{birth, &entries[i]})
	}
	return list
}

func (row Row) meta() Meta {
	var refs refWriter
	refs.grow([]Row{row})
	return refs.meta(row)
}

// compare orders rows by key, and under a key by process and age.
func (row Row) compare(other Row) int {
	if c := strings.Compare(row.Key, other.Key); c != 0 {
		return c
	}
	return cmp.Or(cmp.Compare(row.birth, other.birth), cmp.Compare(row.Origin, other.Origin))
}

// HiddenMember is the member that makes a meta a hidden one, as JSON.
const HiddenMember = `"phx_hidden":true`

// Hidden reports whether a meta is hidden: whether phx_hidden is its first member.
// No meta that a caller gives begins like that: see package presence.
func Hidden(meta []byte) bool {
	return len(meta) > len(HiddenMember) && string(meta[1:1+len(HiddenMember)]) == HiddenMember
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
