package channel

import "sync"

// Close codes of a connection, as Phoenix uses them. None is 1000: some
// clients stay away after it.
const (
	// CloseGoingAway: disconnected by id ([Conn.SetID]).
	CloseGoingAway = 1001
	// CloseProtocol: no data from the client within the heartbeat timeout.
	CloseProtocol = 1002
	// CloseInvalidText: a text frame that is not UTF-8.
	CloseInvalidText = 1007
	// CloseTooBig: a frame above the limit.
	CloseTooBig = 1009
	// CloseInternal: a frame that cannot be decoded, or a fault of ours.
	CloseInternal = 1011
	// CloseRestart: the replica drains; the client should come back.
	CloseRestart = 1012
	// CloseTryLater: the replica is over one of its limits, or the client does
	// not read what it is sent, or sends too much.
	CloseTryLater = 1013
)

// A Link is a transport's side of one connection. Both methods may be called
// by any number of goroutines at once and must neither block nor call into the
// [Conn]: locks are held that order what is sent.
type Link interface {
	// Send queues a frame behind those sent before it. A link that is over its
	// bounds closes itself, with a code that makes the client come back; one
	// that is closed drops the frame.
	Send(f *Frame)
	// Close lets what was sent before go out, then a close frame, then ends the
	// connection. Only the first call counts. The transport calls [Conn.Closed]
	// when the connection has ended, whoever ended it.
	Close(code int, reason string)
}

// A Frame is one encoded message. It is immutable; its Data must not be
// changed.
type Frame struct {
	Binary bool
	Data   []byte
	// Shared is set in the frame of a broadcast: every connection is sent this
	// same *Frame, so what Prepared caches in it pays off.
	Shared bool
	// Patient is set in what a room tells all its clients of who is present, diffs
	// and counts: it has waited for others already, to be merged with them. A
	// transport may send it after frames of other connections that are not patient
	// and came later, but within a connection in the order of Send, as all frames,
	// and in bounded time. One that sends all as they come may ignore it.
	Patient bool

	prepare  sync.Once
	prepared any
}

// Prepared returns what make returned on the first call: a transport's own
// form of the frame, made once for all connections. All callers must pass the
// same make; transports of different kinds must not share frames' caches, so
// make's result should carry a type of the transport's own.
func (f *Frame) Prepared(make func() any) any {
	f.prepare.Do(func() { f.prepared = make() })
	return f.prepared
}
