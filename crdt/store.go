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
// order for free, and half the memory. While one chunk is enough it is all there
// is. The zero value is empty.
type store[K comparable, V any] struct {
	one []Entry[K, V]    // the only chunk, where there is no directory
	dir *directory[K, V] // two chunks or more, or nil
	n   int
}

// directory lists the chunks of a large store. None is empty.
type directory[K comparable, V any] struct {
	chunks [][]Entry[K, V] // ascending
	firsts []uint64        // the first dot of each chunk: what is searched, close together
}

func (s *store[K, V]) len() int { return s.n }

// last is the highest dot. The store must not be empty.
func (s *store[K, V]) last() uint64 {
	chunk := s.one
	if s.dir != nil {
		chunk = s.dir.chunks[len(s.dir.chunks)-1]
	}
	return chunk[len(chunk)-1].Dot
}

// find returns where dot is, or where it would have to go: chunk c, index i.
func (s *store[K, V]) find(dot uint64) (c, i int, ok bool) {
	chunk := s.one
	if s.dir != nil {
		// The last chunk that begins at or below dot, or the first.
		c, ok = slices.BinarySearch(s.dir.firsts, dot)
		if ok {
			return c, 0, true
		}
		c = max(c-1, 0)
		chunk = s.dir.chunks[c]
	}
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

// chunk returns the c-th chunk.
func (s *store[K, V]) chunk(c int) []Entry[K, V] {
	if s.dir == nil {
		return s.one
	}
	return s.dir.chunks[c]
}

// setChunk puts chunk, which is not empty, in the place of the c-th.
func (s *store[K, V]) setChunk(c int, chunk []Entry[K, V]) {
	if s.dir == nil {
		s.one = chunk
		return
	}
	s.dir.chunks[c], s.dir.firsts[c] = chunk, chunk[0].Dot
}

func (s *store[K, V]) insertChunk(c int, chunk []Entry[K, V]) {
	if s.dir == nil {
		if s.one == nil {
			s.one = chunk
			return
		}
		s.dir = &directory[K, V]{chunks: [][]Entry[K, V]{s.one}, firsts: []uint64{s.one[0].Dot}}
		s.one = nil
	}
	s.dir.chunks = slices.Insert(s.dir.chunks, c, chunk)
	s.dir.firsts = slices.Insert(s.dir.firsts, c, chunk[0].Dot)
}

func (s *store[K, V]) deleteChunk(c int) {
	if s.dir == nil {
		s.one = nil
		return
	}
	s.dir.chunks = slices.Delete(s.dir.chunks, c, c+1)
	s.dir.firsts = slices.Delete(s.dir.firsts, c, c+1)
	if len(s.dir.chunks) == 1 {
		s.one, s.dir = s.dir.chunks[0], nil
	}
}

// count is how many chunks there are.
func (s *store[K, V]) count() int {
	switch {
	case s.dir != nil:
		return len(s.dir.chunks)
	case s.one != nil:
		return 1
	}
	return 0
}

func (s *store[K, V]) get(dot uint64) (Entry[K, V], bool) {
	c, i, ok := s.find(dot)
	if !ok {
		return Entry[K, V]{}, false
	}
	return s.chunk(c)[i], true
}

// put inserts e and tells whether its dot was new; a dot that is held already
// names the same entry, which stays.
func (s *store[K, V]) put(e Entry[K, V]) bool {
	c, i, ok := s.find(e.Dot)
	if ok {
		return false
	}
	s.n++
	switch chunk := s.chunk(c); {
	case len(chunk) < chunkSize:
	case i == chunkSize && c == s.count()-1:
		// Appending: the full chunk stays full.
		s.insertChunk(c+1, append(make([]Entry[K, V], 0, chunkSize/4), e))
		return true
	default:
		upper := slices.Clone(chunk[chunkSize/2:])
		clear(chunk[chunkSize/2:])
		s.setChunk(c, chunk[:chunkSize/2])
		s.insertChunk(c+1, upper)
		if i > chunkSize/2 {
			c, i = c+1, i-chunkSize/2
		}
	}
	s.setChunk(c, slices.Insert(s.chunk(c), i, e))
	return true
}

// fill puts ascending entries into an empty store, in full chunks.
func (s *store[K, V]) fill(entries []Entry[K, V]) {
	for chunk := range slices.Chunk(entries, chunkSize) {
		s.insertChunk(s.count(), slices.Clone(chunk))
	}
	s.n = len(entries)
}

// remove takes dot out and returns its entry.
func (s *store[K, V]) remove(dot uint64) (Entry[K, V], bool) {
	c, i, ok := s.find(dot)
	if !ok {
		return Entry[K, V]{}, false
	}
	e := s.chunk(c)[i]
	s.n--
	rest := slices.Delete(s.chunk(c), i, i+1)
	// Neighbours that fit into three quarters of a chunk become one, so that
	// removals in any order leave no trail of nearly empty chunks.
	const fits = chunkSize * 3 / 4
	switch {
	case len(rest) == 0:
		s.deleteChunk(c)
	case c+1 < s.count() && len(rest)+len(s.chunk(c+1)) <= fits:
		s.setChunk(c, append(rest, s.chunk(c+1)...))
		s.deleteChunk(c + 1)
	case c > 0 && len(s.chunk(c-1))+len(rest) <= fits:
		s.setChunk(c-1, append(s.chunk(c-1), rest...))
		s.deleteChunk(c)
	default:
		s.setChunk(c, rest)
	}
	return e, true
}

// ascend yields the entries with a dot above low, in order. The store must not
// be changed meanwhile.
func (s *store[K, V]) ascend(low uint64) iter.Seq[Entry[K, V]] {
	return func(yield func(Entry[K, V]) bool) {
		c, i, ok := s.find(low)
		if ok {
			i++
		}
		for ; c < s.count(); c, i = c+1, 0 {
			for chunk := s.chunk(c); i < len(chunk); i++ {
				if !yield(chunk[i]) {
					return
				}
			}
		}
	}
}

// runs yields the chunks. The store must not be changed meanwhile.
func (s *store[K, V]) runs() iter.Seq[[]Entry[K, V]] {
	return func(yield func([]Entry[K, V]) bool) {
		for c := range s.count() {
			if !yield(s.chunk(c)) {
				return
			}
		}
	}
}

// above returns the entries with a dot above low, in order, in memory of their
// own; nil when there are none.
func (s *store[K, V]) above(low uint64) []Entry[K, V] {
	first, i, ok := s.find(low)
	if ok {
		i++
	}
	n := -i
	for c := first; c < s.count(); c++ {
		n += len(s.chunk(c))
	}
	if n <= 0 {
		return nil
	}
	list := make([]Entry[K, V], 0, n)
	for c := first; c < s.count(); c, i = c+1, 0 {
		list = append(list, s.chunk(c)[i:]...)
	}
	return list
}
