package crdt

import (
	"iter"
	"slices"
)

// chunkSize is the most entries of a chunk: large enough that the directory
// stays short, small enough that moving half a chunk costs about as much as a
// map operation.
const chunkSize = 64

// store holds entries in the order of their dots: a sorted list cut into
// chunks, which is a B+ tree of height two. Dots come in ascending order, so
// nearly every insertion is an append. Against a Go map it gives ranges and
// order for free, and half the memory. The zero value is empty.
type store[K comparable, V any] struct {
	chunks [][]Entry[K, V] // none is empty; ascending
	firsts []uint64        // the first dot of each chunk: what is searched, close together
	n      int
}

func (s *store[K, V]) len() int { return s.n }

// last is the highest dot. The store must not be empty.
func (s *store[K, V]) last() uint64 {
	chunk := s.chunks[len(s.chunks)-1]
	return chunk[len(chunk)-1].Dot
}

// find returns where dot is, or where it would have to go: chunk c, index i.
// c is len(chunks) only in an empty store.
func (s *store[K, V]) find(dot uint64) (c, i int, ok bool) {
	if len(s.chunks) == 0 {
		return 0, 0, false
	}
	// The last chunk that begins at or below dot, or the first.
	c, exact := slices.BinarySearch(s.firsts, dot)
	if exact {
		return c, 0, true
	}
	if c > 0 {
		c--
	}
	chunk := s.chunks[c]
	low, high := 0, len(chunk)
	for low < high {
		if mid := (low + high) / 2; chunk[mid].Dot < dot {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return c, low, low < len(chunk) && chunk[low].Dot == dot
}

func (s *store[K, V]) get(dot uint64) (Entry[K, V], bool) {
	c, i, ok := s.find(dot)
	if !ok {
		return Entry[K, V]{}, false
	}
	return s.chunks[c][i], true
}

// put inserts e and tells whether its dot was new; a dot that is held already
// names the same entry, which stays.
func (s *store[K, V]) put(e Entry[K, V]) bool {
	c, i, ok := s.find(e.Dot)
	if ok {
		return false
	}
	s.n++
	switch {
	case len(s.chunks) == 0:
		s.insertChunk(0, []Entry[K, V]{e})
		return true
	case len(s.chunks[c]) < chunkSize:
	case i == chunkSize && c == len(s.chunks)-1:
		// Appending: the full chunk stays full.
		s.insertChunk(c+1, append(make([]Entry[K, V], 0, chunkSize/4), e))
		return true
	default:
		upper := slices.Clone(s.chunks[c][chunkSize/2:])
		clear(s.chunks[c][chunkSize/2:])
		s.chunks[c] = s.chunks[c][:chunkSize/2]
		s.insertChunk(c+1, upper)
		if i > chunkSize/2 {
			c, i = c+1, i-chunkSize/2
		}
	}
	s.chunks[c] = slices.Insert(s.chunks[c], i, e)
	s.firsts[c] = s.chunks[c][0].Dot
	return true
}

// fill puts ascending entries into an empty store, in full chunks.
func (s *store[K, V]) fill(entries []Entry[K, V]) {
	for chunk := range slices.Chunk(entries, chunkSize) {
		s.insertChunk(len(s.chunks), slices.Clone(chunk))
	}
	s.n = len(entries)
}

func (s *store[K, V]) insertChunk(c int, chunk []Entry[K, V]) {
	s.chunks = slices.Insert(s.chunks, c, chunk)
	s.firsts = slices.Insert(s.firsts, c, chunk[0].Dot)
}

func (s *store[K, V]) deleteChunk(c int) {
	s.chunks = slices.Delete(s.chunks, c, c+1)
	s.firsts = slices.Delete(s.firsts, c, c+1)
	if len(s.chunks) == 0 {
		s.chunks, s.firsts = nil, nil
	}
}

// remove takes dot out and returns its entry.
func (s *store[K, V]) remove(dot uint64) (Entry[K, V], bool) {
	c, i, ok := s.find(dot)
	if !ok {
		return Entry[K, V]{}, false
	}
	e := s.chunks[c][i]
	s.removeAt(c, i)
	return e, true
}

func (s *store[K, V]) removeAt(c, i int) {
	s.n--
	s.chunks[c] = slices.Delete(s.chunks[c], i, i+1)
	// Neighbours that fit into three quarters of a chunk become one, so that
	// removals in any order leave no trail of nearly empty chunks.
	const fits = chunkSize * 3 / 4
	left := s.chunks[c]
	switch {
	case len(left) == 0:
		s.deleteChunk(c)
		return
	case c+1 < len(s.chunks) && len(left)+len(s.chunks[c+1]) <= fits:
		s.chunks[c] = append(left, s.chunks[c+1]...)
		s.deleteChunk(c + 1)
	case c > 0 && len(s.chunks[c-1])+len(left) <= fits:
		s.chunks[c-1] = append(s.chunks[c-1], left...)
		s.deleteChunk(c)
		return
	}
	s.firsts[c] = s.chunks[c][0].Dot
}

// ascend yields the entries with a dot above low, in order. The store must not
// be changed meanwhile.
func (s *store[K, V]) ascend(low uint64) iter.Seq[Entry[K, V]] {
	return func(yield func(Entry[K, V]) bool) {
		if len(s.chunks) == 0 {
			return
		}
		c, i, ok := s.find(low)
		if ok {
			i++
		}
		for ; c < len(s.chunks); c, i = c+1, 0 {
			for ; i < len(s.chunks[c]); i++ {
				if !yield(s.chunks[c][i]) {
					return
				}
			}
		}
	}
}
