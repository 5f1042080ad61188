package channel

import (
	"context"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// What callbacks are given and return is defined in package wire, which documents it.
type (
	// Payload is what a message carries: a JSON value or bytes.
	Payload = wire.Payload
	// Binary is a payload of bytes.
	Binary = wire.Binary
	// Broadcast is an event on a topic.
	Broadcast = wire.Broadcast
	// Reason says why a channel ended: one of wire.ReasonLeft and the like, or the
	// application's own.
	Reason = wire.Reason
)

// A Channel is one client's membership of one topic. Route.New makes one for
// each join, so that its fields are what Phoenix calls its assigns. All its
// methods, the optional ones too, are called one at a time and in the order in
// which their causes came; channels of one connection run side by side. A panic
// in a method ends this channel alone, with phx_error.
type Channel interface {
	// Join decides whether the client may join. A nil reply is {}. A *Refusal
	// refuses with its response; any other error, and a panic, with "join
	// crashed", and is logged.
	//
	// The client has not joined yet: Push, Broadcast and replies fail with
	// ErrNotJoined. Use s.Send(msg) for what is to happen after the join.
	//
	// ctx carries what Connect put in ([ConnectRequest].Context). It ends when Join
	// returns, and before that when the join is given up: its client has left or joined
	// the topic again, or its connection has ended.
	Join(ctx context.Context, s *Socket, params Payload) (reply any, err error)
	// HandleIn handles one message of the client.
	HandleIn(s *Socket, event string, payload Payload) Result
}

// An Interceptor handles broadcasts on its topic before they go to its client.
type Interceptor interface {
	// Intercept names the events. It is called once, before Join.
	Intercept() []string
	// HandleOut is called for each broadcast of one of them, and for the
	// presence_diff of the topic when that is named. The client gets what it
	// pushes, and nothing else.
	HandleOut(s *Socket, event string, payload Payload) Result
}

// An InfoHandler handles what is sent to the channel within the program: the
// values of s.Send, and a [Broadcast] for each topic of s.Subscribe.
type InfoHandler interface {
	HandleInfo(s *Socket, msg any) Result
}

// A Terminator is told of its end, exactly once after every accepted Join. A
// Push in it still reaches the client if the connection lives. Presences of the
// channel end after it. Its context carries what Connect put in and does not end, while
// [Socket.Context] has ended.
type Terminator interface {
	Terminate(ctx context.Context, s *Socket, reason Reason)
}

// A Result is what a callback wants done. The zero Result is NoReply().
type Result struct {
	reply    bool
	status   string
	response any
	stop     bool
	reason   Reason
}

// NoReply does nothing further.
func NoReply() Result { return Result{} }

// Reply answers the client's message, under any status. The response is any
// value that marshals to JSON, or [Binary]; nil means {}. Only HandleIn has a
// message to answer; elsewhere the reply is logged as a mistake and dropped.
func Reply(status string, response any) Result {
	return Result{reply: true, status: status, response: response}
}

// OK is Reply("ok", response).
func OK(response any) Result { return Reply("ok", response) }

// Error is Reply("error", response).
func Error(response any) Result { return Reply("error", response) }

// Stop ends the channel.
func Stop(reason Reason) Result { return Result{stop: true, reason: reason} }

// Crash ends the channel as failed: its client is sent phx_error and rejoins.
func Crash(err error) Result { return Stop(wire.Crashed(err)) }

// StopReply answers the client's message and ends the channel.
func StopReply(reason Reason, status string, response any) Result {
	return Result{reply: true, status: status, response: response, stop: true, reason: reason}
}
