package replica

import (
	"cmp"
	"encoding/json"
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
