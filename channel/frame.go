package channel

import "sync"

// A Frame is one encoded message. It is immutable; its bytes must not be changed.
type Frame struct {
	Binary bool
	// Data is the whole frame, but of one with an insert: see Pieces.
	Data []byte
	// Shared is set in the frame of a broadcast: every connection is sent this
	// same *Frame, so what Prepared caches in it pays off.
	Shared bool
	// Patient marks low-priority frames: presence diffs and counts, which have waited
	// to be merged already. A transport may send frames of other connections first,
	// also later ones, in bounded time; within a connection frames go out in the order
	// of Send. A transport that sends all frames as they come may ignore it.
	Patient bool

	insert *insert // nil in most, and in all that a serializer of the application makes

	prepare  sync.Once
	prepared any
}

// An insert is the part of a frame that it shares with frames to other clients, which
// differ in the join_ref before it.
type insert struct {
	at   int // where it stands in Data
	body []byte
}

// insertFrom is the size in bytes from which a payload is not copied into each frame
// that carries it, on a link that gathers. Below it, gathering pieces costs more than
// copying them.
const insertFrom = 4 << 10

// A Gatherer is a [Link] that takes frames in pieces. The state of a large room is
// then not copied for each client that joins it: 10,000 clients that join one room are
// sent 5.6 GiB. Other links are given no such frame, and need not know more of one
// than Data.
type Gatherer interface {
	Link
	// Gathers reports whether Send takes frames in pieces: always the same on one
	// link.
	Gathers() bool
}

// Pieces are what the frame consists of, one after another: Data, and nothing else,
// but on a link that gathers.
func (f *Frame) Pieces() (head, body, tail []byte) {
	if f.insert == nil {
		return f.Data, nil, nil
	}
	return f.Data[:f.insert.at], f.insert.body, f.Data[f.insert.at:]
}

// Len is the size of the frame in bytes, all pieces together.
func (f *Frame) Len() int {
	if f.insert == nil {
		return len(f.Data)
	}
	return len(f.Data) + len(f.insert.body)
}

// Prepared returns what make returned on the first call: a transport's own
// form of the frame, made once for all connections. All callers must pass the
// same make; transports of different kinds must not share frames' caches, so
// make's result should carry a type of the transport's own.
func (f *Frame) Prepared(make func() any) any {
	f.prepare.Do(func() { f.prepared = make() })
	return f.prepared
}

// A splicer is a serializer that can make a frame around its payload, uncopied.
type splicer interface {
	// splice is [Serializer.Encode] of a payload that is JSON.
	splice(m Message) *Frame
}

// gathers tells whether the link takes frames in pieces, and they can be made.
func (c *Conn) gathers() bool {
	link, ok := c.link.(Gatherer)
	if _, ours := c.dialect.Serializer.(splicer); !ours || !ok {
		return false
	}
	return link.Gathers()
}

// encodeShared encodes a message whose payload others are sent, too.
func (c *Conn) encodeShared(m Message) (*Frame, error) {
	if len(m.Payload.data) >= insertFrom && c.gathers() {
		return c.dialect.Serializer.(splicer).splice(m), nil
	}
	return c.dialect.Encode(m)
}
