// Package queue is a first-in, first-out queue.
//
// A Queue is 32 bytes, and an empty one that is cleared holds no memory: there is
// one in each of a million mailboxes. Libraries of queues start at twice the size
// and with room for 16 elements. A queue has no lock of its own.
package queue

// A Queue returns elements in the order in which they were pushed. The zero Queue
// is empty.
type Queue[T any] struct {
	items []T // items[head:] wait
	head  int
}

// keep is the largest capacity that an empty queue keeps.
const keep = 1024

// Len returns the number of elements.
func (q *Queue[T]) Len() int { return len(q.items) - q.head }

// Push appends an element.
func (q *Queue[T]) Push(v T) {
	if len(q.items) == cap(q.items) && q.head > len(q.items)/2 { // what is moved is less than what was popped
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	q.items = append(q.items, v)
}

// Pop removes and returns the first element; ok is false if there is none.
func (q *Queue[T]) Pop() (v T, ok bool) {
	if q.Len() == 0 {
		return v, false
	}
	var zero T
	v, q.items[q.head] = q.items[q.head], zero
	q.head++
	switch {
	case q.Len() > 0:
	case cap(q.items) > keep:
		q.Clear()
	default:
		q.items, q.head = q.items[:0], 0
	}
	return v, true
}

// Clear removes all elements and frees the queue's memory.
func (q *Queue[T]) Clear() { *q = Queue[T]{} }
