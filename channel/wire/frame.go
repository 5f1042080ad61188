package wire

import "sync"

// A Frame is one encoded message. It is immutable; its bytes must not be changed.
type Frame struct {
	Binary bool
	// Data is the encoded frame, unless it was made by Splice; see Pieces.
	Data []byte
	// Shared is set in the frame of a broadcast: every connection is sent this
	// same *Frame, so what Prepared caches in it pays off.
	Shared bool
	// LowPriority marks presence diffs and counts, which have waited to be merged
	// already. A transport may send frames of other connections first, also later ones,
	// in bounded time; within a connection frames go out in the order of Send. A
	// transport that sends all frames as they come may ignore it.
	LowPriority bool

	insert *insert // nil in most

	prepare  sync.Once
	prepared any
}

// An insert is the part of a frame that it shares with frames to other clients, which
// differ in the join_ref before it.
type insert struct {
	at   int // where it stands in Data
	body []byte
}

// SpliceFrom is the size in bytes from which a payload is not copied into each frame
// that carries it, on a link that gathers. Below it, gathering pieces costs more than
// copying them.
const SpliceFrom = 4 << 10

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

// Splice returns the text frame of data with body inserted at the given place, which is
// not copied.
func Splice(data []byte, at int, body []byte) *Frame {
	return &Frame{Data: data, insert: &insert{at, body}}
}
