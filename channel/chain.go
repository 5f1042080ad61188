package channel

// chain is a list whose links are part of what is in it, so that nothing is
// allocated to put it there. Its zero value is empty.
type chain[T any] struct {
	first, last *link[T]
	n           int
}

// link is a place in one chain at a time. Its of is set by who has it, once.
type link[T any] struct {
	of         *T
	prev, next *link[T]
}

// front is what is first, or nil.
func (c *chain[T]) front() *T {
	if c.first == nil {
		return nil
	}
	return c.first.of
}

// push puts l, which is in no chain, at the end.
func (c *chain[T]) push(l *link[T]) {
	l.prev = c.last
	if c.last != nil {
		c.last.next = l
	} else {
		c.first = l
	}
	c.last = l
	c.n++
}

// remove takes out l, which is in this chain.
func (c *chain[T]) remove(l *link[T]) {
	if l.prev != nil {
		l.prev.next = l.next
	} else {
		c.first = l.next
	}
	if l.next != nil {
		l.next.prev = l.prev
	} else {
		c.last = l.prev
	}
	l.prev, l.next = nil, nil
	c.n--
}

// shift takes out what is first; nil where there is none.
func (c *chain[T]) shift() *T {
	first := c.first
	if first == nil {
		return nil
	}
	c.remove(first)
	return first.of
}
