package channel

import (
	"errors"
	"fmt"

	"github.com/rollcall-go/rollcall/channel/internal/pubsub"
)

// Errors of this package. Functions wrap them, and those of package wire (ErrPayload,
// ErrTopic, ErrTooLong, ErrNoBinary), with the operation and what it was about; test
// with errors.Is.
var (
	// ErrClosed: the endpoint, the connection or the channel has ended.
	ErrClosed = errors.New("channel: closed")
	// ErrNotJoined: Push, Broadcast and the like were called in Join.
	ErrNotJoined = errors.New("channel: not joined yet: push, broadcast and reply after Join has returned, for instance from HandleInfo after s.Send(msg) in Join")
	// ErrTooLarge: a broadcast does not fit into one message of the bus. It was
	// delivered on this replica.
	ErrTooLarge = pubsub.ErrTooLarge
	// ErrNoPresence: the endpoint was made without a presence.Tracker.
	ErrNoPresence = errors.New("channel: endpoint has no presence tracker: set Config.Presence")
	// errFetch: Route.Fetch failed, or took longer than Config.FetchTimeout.
	errFetch = errors.New("channel: Fetch failed")
	// errMailboxFull: a channel did not keep up with its mail. It ends the
	// channel, as a crash does.
	errMailboxFull = errors.New("channel: mailbox full")
)

// A ConnectError refuses a connection with an answer of its own. [Handler]'s
// Connect returns one to choose it; any other error refuses with 403 and an
// empty body.
type ConnectError struct {
	Status int    // HTTP status, 0 means 403
	Body   string // text/plain
	Err    error  // for the log, may be nil
}

func (e *ConnectError) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("channel: connection refused with %d: %v", e.Status, e.Err)
	}
	return fmt.Sprintf("channel: connection refused with %d", e.Status)
}

func (e *ConnectError) Unwrap() error { return e.Err }

// A Refusal is the error with which Join refuses a client. Response is what
// the client's receive("error") gets.
type Refusal struct {
	Response any // nil means {}
}

func (e *Refusal) Error() string { return fmt.Sprintf("channel: join refused: %v", e.Response) }

// Refuse is short for a Refusal that gives a reason.
func Refuse(reason string) error {
	return &Refusal{Response: map[string]string{"reason": reason}}
}
