package websocket

import "sync"

// An input is what reading takes. A connection has one from when bytes arrive
// until all that arrived are dealt with: idle connections have none.
type input struct {
	framer *framer // nil: not needed yet

	ahead []byte // what was read and not yet asked for; part of buf
	buf   [readAhead]byte

	// What a try to read came to. try is the input's tryRead as a value, which
	// lasts as long as the input: so reading costs no allocation.
	try   func(fd uintptr) bool
	fault error
}

// Sizes in bytes. Larger messages are read past both.
const (
	readAhead  = 4 << 10
	readBuffer = 512 // gorilla takes a reader of ours from 257 on
)

var inputs = sync.Pool{New: func() any {
	in := new(input)
	in.try = in.tryRead
	return in
}}

// newInput is one that has nothing.
func newInput() *input {
	in := inputs.Get().(*input)
	in.ahead, in.fault = nil, nil
	return in
}

// attach readies gorilla to read what the wire has read ahead.
func (c *conn) attach() {
	if c.own != nil {
		return
	}
	in := c.wire.input
	if in.framer == nil {
		in.framer = newFramer()
	}
	in.framer.serve(c)
}

// drained reports whether all that was read ahead is dealt with.
func (c *conn) drained() bool {
	return c.framer().reader.Buffered() == 0 && len(c.wire.input.ahead) == 0
}

// detach gives the input back, at the end of a message.
func (c *conn) detach() {
	if c.own == nil {
		c.wire.input.framer.rest()
	}
	inputs.Put(c.wire.input)
	c.wire.input = nil
}
