package wire

// Close codes of a connection, as Phoenix uses them. None is 1000: some
// clients stay away after it.
const (
	// CloseGoingAway: disconnected by id (channel.Conn.SetID).
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

// A Close asks a transport to close its connection: channel.Conn.Receive returns one
// instead of nil.
type Close struct {
	Code   int    // one of the Close constants
	Reason string // at most 123 bytes; the client sees it
}

// A Link is a transport's side of one connection. Both methods may be called concurrently
// and must neither block nor call into the channel.Conn: locks are held that order what
// is sent.
type Link interface {
	// Send queues frames behind those sent before; nothing of the connection goes
	// between them. The slice is not kept. A link that is over its bounds closes itself,
	// with a code that makes the client come back; one that is closed drops the frames.
	Send(frames ...*Frame)
	// Close lets what was sent before go out, then a close frame, then ends the
	// connection, in bounded time. Only the first call counts. The transport calls
	// channel.Conn.Closed when the connection has ended, for whatever reason.
	Close(code int, reason string)
}
