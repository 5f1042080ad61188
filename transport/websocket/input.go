package websocket

import (
	"bufio"
	"sync"
)

// An input is what reading takes. A connection has one from when bytes arrive
// until all that arrived are dealt with: idle connections have none.
type input struct {
	ahead  []byte // what was read and not yet asked for; part of buf
	buf    [readAhead]byte
	reader bufio.Reader // its buffer is lent to the connection's reader

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
	in := &input{reader: *bufio.NewReaderSize(nil, readBuffer)}
	in.try = in.tryRead
	return in
}}

// newInput is one that has nothing.
func newInput() *input {
	in := inputs.Get().(*input)
	in.ahead, in.fault = nil, nil
	return in
}

// attach readies gorilla's reader to read what the wire has read ahead. A
// bufio.Reader can be given another buffer only by replacing it as a whole;
// gorilla keeps a pointer to it, and nothing else of it.
func (c *conn) attach() {
	c.reader = c.wire.input.reader
	c.reader.Reset(&c.wire)
}

// drained tells whether all that was read ahead is dealt with.
func (c *conn) drained() bool { return c.reader.Buffered() == 0 && len(c.wire.input.ahead) == 0 }

// detach gives the input back.
func (c *conn) detach() {
	c.reader = bufio.Reader{}
	inputs.Put(c.wire.input)
	c.wire.input = nil
}
