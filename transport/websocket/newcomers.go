package websocket

import (
	"runtime"
	"sync"
)

// newcomers are the connections that have not been heard yet. When thousands come
// at once their first messages, joins mostly, come at once too, and each would have
// a reader: thousands that can run, for which all others have to wait. So only a
// few are read at a time, in the order in which they were heard; who has been heard
// once is read at once, always.
//
// A newcomer's turn is over when what it sent is dealt with, or the rest of it has
// to be waited for: nobody can hold one by sending slowly.
type newcomers struct {
	most int // static: at a time

	mu sync.Mutex
	// Guarded by mu.
	turns       int   // that are taken
	first, last *conn // the line
}

// perProcessor is how many newcomers are read at a time for each processor: one
// that computes, and one that the processor can turn to when that one cannot go on.
const perProcessor = 2

func newNewcomers() *newcomers { return &newcomers{most: perProcessor * runtime.GOMAXPROCS(0)} }

// A standing is what a connection is to the newcomers.
type standing uint8

const (
	isNew   standing = iota // has not been heard
	hasTurn                 // is being heard
	isKnown                 // has been
)

// enter tells whether c may be read now. Otherwise it is in line, and belongs to
// whoever ends the turn before its own. It is called by who owns c.
func (n *newcomers) enter(c *conn) bool {
	if c.standing == isKnown {
		return true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.turns < n.most {
		n.turns++
		c.standing = hasTurn
		return true
	}
	if n.last == nil {
		n.first = c
	} else {
		n.last.behind = c
	}
	n.last = c
	return false
}

// leave ends c's turn, if it has one, and returns whose turn it is next, if anybody
// is in line. One that was not heard in its turn is a newcomer again. It is called
// by c's reader.
func (n *newcomers) leave(c *conn, heard bool) (next *conn) {
	if c.standing != hasTurn {
		return nil
	}
	c.standing = isNew
	if heard {
		c.standing = isKnown
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if next = n.first; next == nil {
		n.turns--
		return nil
	}
	if n.first = next.behind; n.first == nil {
		n.last = nil
	}
	next.behind = nil
	next.standing = hasTurn
	return next
}
