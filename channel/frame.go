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
	// Patient is set in what a room tells all its clients of who is present, diffs
	// and counts: it has waited for others already, to be merged with them. A
	// transport may send it after frames of other connections that are not patient
	// and came later, but within a connection in the order of Send, as all frames,
	// and in bounded time. One that sends all as they come may ignore it.
	Patient bool
	// Sent is what a [Gatherer] calls, once, when the frame is written: given to the
	// kernel, if not yet read by the client. Nil where nobody wants to know. It does
	// not block, and must not be called by Send, nor with a lock held that Send takes.
	// Of a frame that is dropped it need not be called.
	Sent func()

	insert *insert // nil in most, and in all that a serializer of the application makes

	prepare  sync.Once
	prepared any
}

// An insert is what a frame has in common with others, who have a join_ref of their
// own before it.
type insert struct {
	at   int // where it stands in Data
	body []byte
}

// insertFrom is the size of a payload from which on it is not copied into each of
// the frames that carry it, where the client's link can do with pieces. Below it,
// gathering pieces costs more than copying them.
const insertFrom = 4 << 10

// A Gatherer is a [Link] that takes frames in pieces. The state that those who join
// a room are sent is then not copied for each of them (10,000 who come into one room
// are sent 5.6 GiB), and the next join begins when it is written, so that no more of
// it waits than can be written. Other links are given no such frame, and need not
// know more of one than Data.
type Gatherer interface {
	Link
	// Gathers tells whether Send takes frames in pieces, and the link calls their Sent:
	// always the same on one link.
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

func (f *Frame) inPieces() bool { return f.insert != nil }

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
