package channeltest

import (
	"context"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// observe returns the handler with channels that report why they end, and with the
// client's own form of version 2.
func (c *Client) observe(h *channel.Handler) (*channel.Handler, error) {
	observed := channel.Handler{
		Name: h.Name, Log: h.Log, Connect: h.Connect,
		Protocols: map[string]wire.Protocol{"2.0": c.native},
	}
	for _, route := range h.Routes {
		inner := route.New
		if inner != nil {
			route.New = func() channel.Channel { return c.wrap(inner()) }
		}
		observed.Routes = append(observed.Routes, route)
	}
	return channel.NewHandler(observed)
}

// wrap keeps which optional callbacks a channel has.
func (c *Client) wrap(inner channel.Channel) channel.Channel {
	w := wrapped{inner, c}
	out, intercepts := inner.(channel.Interceptor)
	info, informed := inner.(channel.InfoHandler)
	switch {
	case intercepts && informed:
		return struct {
			wrapped
			channel.Interceptor
			channel.InfoHandler
		}{w, out, info}
	case intercepts:
		return struct {
			wrapped
			channel.Interceptor
		}{w, out}
	case informed:
		return struct {
			wrapped
			channel.InfoHandler
		}{w, info}
	}
	return w
}

type wrapped struct {
	channel.Channel
	client *Client
}

func (w wrapped) Terminate(ctx context.Context, s *channel.Socket, reason channel.Reason) {
	defer w.client.change(func() { w.client.ends[s.JoinRef()] = reason })
	if t, ok := w.Channel.(channel.Terminator); ok {
		t.Terminate(ctx, s, reason)
	}
}
