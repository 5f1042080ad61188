package bus

import "errors"

// Errors of every bus, wrapped with what was attempted.
var (
	// ErrLaneOpen: Open of a lane that is open.
	ErrLaneOpen = errors.New("bus: lane already open")
	// ErrHandler: Open without Handler.Message.
	ErrHandler = errors.New("bus: handler has no Message function")
	// ErrClosed: the Conn, or its bus, is closed.
	ErrClosed = errors.New("bus: closed")
	// ErrDest: a destination or class that is empty, longer than MaxDest bytes or not
	// UTF-8.
	ErrDest = errors.New("bus: invalid destination")
	// ErrPayload: a message of more than MaxPayload bytes.
	ErrPayload = errors.New("bus: message too large")
	// ErrDown: Publish or Request while the link is down.
	ErrDown = errors.New("bus: link is down")
)
