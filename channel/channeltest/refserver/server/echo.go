package server

import (
	"context"
	"errors"
	"time"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// echo does what the event asks for.
type echo struct{}

func (echo) Join(_ context.Context, s *channel.Socket, params channel.Payload) (any, error) {
	if params.IsBinary() {
		return map[string]any{"topic": s.Topic(), "bytes": len(params.Bytes())}, nil
	}
	var p struct{ Deny, Crash, Bare bool }
	if params.Decode(&p) != nil { // not an object of these: nothing is asked for
		p.Deny, p.Crash, p.Bare = false, false, false
	}
	switch {
	case p.Deny:
		return nil, channel.Refuse("denied")
	case p.Crash:
		panic("crash in join")
	case p.Bare:
		return nil, nil
	}
	return map[string]any{"topic": s.Topic(), "echo": params}, nil
}

// asyncDelay is when async replies that is not told when.
const asyncDelay = 50 * time.Millisecond

func (echo) HandleIn(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	switch event {
	case "ping", "binary":
		return channel.OK(payload)
	case "ok_only":
		return channel.OK(nil)
	case "fail":
		return channel.Error(map[string]any{"reason": "failed"})
	case "fail_only":
		return channel.Error(nil)
	case "custom_status":
		return channel.Reply("teapot", payload)
	case "noreply":
	case "shout":
		must(s.Broadcast("shout", payload))
	case "shout_from":
		must(s.BroadcastFrom("shout_from", payload))
	case "shout_reply":
		must(s.Broadcast("shout", payload))
		must(s.Push("pushed", payload))
		return channel.OK(payload)
	case "push_me":
		must(s.Push("pushed", payload))
	case "async":
		replyLater(s, payload)
	case "exit":
		return channel.Crash(errors.New("boom"))
	case "stop":
		return channel.Stop(wire.ReasonNormal)
	case "stop_shutdown":
		return channel.Stop(wire.ReasonShutdown)
	case "stop_shutdown_tuple":
		return channel.Stop(channel.Reason{Name: "shutdown: bye"})
	case "stop_other":
		return channel.Crash(errors.New("other"))
	case "stop_reply":
		return channel.StopReply(wire.ReasonNormal, "ok", payload)
	case "binary_push":
		must(s.Push("bin_pushed", payload))
	case "binary_shout":
		must(s.Broadcast("bin_shout", payload))
	case "tell_secret":
		must(s.Broadcast("secret", payload))
	case "disconnect_user":
		var p struct{ User string }
		must(payload.Decode(&p))
		must(s.Endpoint().Broadcast("users:"+p.User, "disconnect", nil))
	default: // crash, too
		panic("no clause for " + event)
	}
	return channel.NoReply()
}

// replyLater keeps the reference of the message. The reply is sent also when
// the channel has ended, while the connection lives.
func replyLater(s *channel.Socket, payload channel.Payload) {
	var p struct{ After *int }
	must(payload.Decode(&p))
	ref, ok := s.Ref()
	if !ok {
		panic("no ref to reply to")
	}
	delay := asyncDelay
	if p.After != nil {
		delay = time.Duration(*p.After) * time.Millisecond
	}
	time.AfterFunc(delay, func() { _ = ref.Reply("ok", payload) })
}

func (echo) Intercept() []string { return []string{"secret"} }

func (echo) HandleOut(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	var p map[string]any
	must(payload.Decode(&p))
	if p["skip"] == user(s) {
		return channel.NoReply()
	}
	p["for"] = user(s)
	must(s.Push(event, p))
	return channel.NoReply()
}

// bench is for measuring.
type bench struct{}

func (bench) Join(context.Context, *channel.Socket, channel.Payload) (any, error) { return nil, nil }

func (bench) HandleIn(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	switch event {
	case "msg":
		must(s.Broadcast("msg", payload))
		return channel.NoReply()
	case "ping":
		return channel.OK(payload)
	}
	panic("no clause for " + event)
}
