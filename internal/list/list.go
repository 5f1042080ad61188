// Package list is a doubly linked list whose nodes are fields of its elements.
// Adding and removing an element allocates nothing, and an element is removed
// without a search: container/list allocates a node each time, which connections
// that wait for input would pay for every message.
//
// A list has no lock of its own.
package list

// A List holds elements in the order in which they were pushed. The zero List is
// empty.
type List[T any] struct {
	first, last *Node[T]
	n           int
}

// A Node is an element's place in one list at a time. The zero Node is in none. It
// must not be copied while it is in a list.
type Node[T any] struct {
	element    *T
	in         *List[T]
	prev, next *Node[T]
}

// Len returns the number of elements.
func (l *List[T]) Len() int { return l.n }

// Front returns the element that was pushed first, or nil.
func (l *List[T]) Front() *T {
	if l.first == nil {
		return nil
	}
	return l.first.element
}

// Push appends element. node is a field of it, and in no list.
func (l *List[T]) Push(element *T, node *Node[T]) { l.insert(element, node, l.last, nil) }

// PushFront is Push at the other end.
func (l *List[T]) PushFront(element *T, node *Node[T]) { l.insert(element, node, nil, l.first) }

// insert puts node between two neighbours; nil stands for an end of the list.
func (l *List[T]) insert(element *T, node, prev, next *Node[T]) {
	if node.in != nil {
		panic("list: node is in a list")
	}
	*node = Node[T]{element: element, in: l, prev: prev, next: next}
	if prev != nil {
		prev.next = node
	} else {
		l.first = node
	}
	if next != nil {
		next.prev = node
	} else {
		l.last = node
	}
	l.n++
}

// Pop removes and returns the element that was pushed first, or nil.
func (l *List[T]) Pop() *T {
	element := l.Front()
	if element != nil {
		l.first.Remove()
	}
	return element
}

// In reports whether the node is in l.
func (n *Node[T]) In(l *List[T]) bool { return n.in == l }

// Linked reports whether the node is in a list.
func (n *Node[T]) Linked() bool { return n.in != nil }

// Remove removes the node's element from its list, if it is in one.
func (n *Node[T]) Remove() {
	l := n.in
	if l == nil {
		return
	}
	if n.prev != nil {
		n.prev.next = n.next
	} else {
		l.first = n.next
	}
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		l.last = n.prev
	}
	l.n--
	*n = Node[T]{}
}
