package main

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// timeout is for whatever has to happen soon.
const timeout = 20 * time.Second

// newEndpoint is a replica without a network around it.
func newEndpoint(t testing.TB, bus *membus.Bus, name string) *channel.Endpoint {
	tracker, err := presence.Start(context.Background(), presence.Config{Name: name, Bus: bus})
	require.NoError(t, err)
	endpoint, err := channel.New(channel.Config{Bus: bus, Presence: tracker})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		require.NoError(t, endpoint.Close(ctx))
		require.NoError(t, tracker.Close(ctx))
	})
	return endpoint
}

// message is a frame of protocol V2.
type message struct {
	joinRef, ref *string
	topic, event string
	payload      json.RawMessage
}

func parseMessage(data []byte) (m message, err error) {
	parts := []any{&m.joinRef, &m.ref, &m.topic, &m.event, &m.payload}
	return m, json.Unmarshal(data, &parts)
}

func (m message) String() string { return fmt.Sprintf("%s %s %s", m.topic, m.event, m.payload) }

// reply is the payload of phx_reply.
type reply struct {
	Status   string          `json:"status"`
	Response json.RawMessage `json:"response"`
}

// reason is the reason of a reply that refuses.
func (r reply) reason() string {
	var v struct {
		Reason string `json:"reason"`
	}
	_ = json.Unmarshal(r.Response, &v)
	return v.Reason
}

// client speaks the protocol to an endpoint, over whatever send does.
type client struct {
	t        testing.TB
	send     func(text string)
	messages chan message
	refs     int
}

// connect is a client of an endpoint in this process.
func connect(t testing.TB, endpoint *channel.Endpoint) *client {
	handler, err := channel.NewHandler(newService(nil).handler())
	require.NoError(t, err)
	conn, err := endpoint.Connect(context.Background(), handler, wire.ConnectInfo{Vsn: "2.0.0"})
	require.NoError(t, err)
	c := &client{t: t, messages: make(chan message, 1000)}
	c.send = func(text string) {
		if err := conn.Receive(false, []byte(text)); err != nil {
			t.Errorf("%s ends the connection: %v", text, err)
		}
	}
	conn.Start(fakeLink{c})
	t.Cleanup(func() { conn.Closed(wire.ReasonClosed) })
	return c
}

type fakeLink struct{ client *client }

func (l fakeLink) Close(int, string) {}
func (l fakeLink) Send(frames ...*wire.Frame) {
	for _, f := range frames {
		m, err := parseMessage(f.Data)
		if err != nil {
			l.client.t.Errorf("%s: %v", f.Data, err)
		}
		l.client.messages <- m
	}
}

// push sends an event and returns its ref. The join_ref is always "1".
func (c *client) push(topic, event, payload string) (ref string) {
	c.refs++
	ref = fmt.Sprint(c.refs)
	c.send(fmt.Sprintf(`["1",%q,%q,%q,%s]`, ref, topic, event, payload))
	return ref
}

// next is the next message.
func (c *client) next() message {
	c.t.Helper()
	select {
	case m := <-c.messages:
		return m
	case <-time.After(timeout):
		c.t.Fatal("no message")
		return message{}
	}
}

// await drops messages until one of an event comes, and returns its payload.
func (c *client) await(event string) string {
	c.t.Helper()
	for {
		if m := c.next(); m.event == event {
			return string(m.payload)
		}
	}
}

// ask pushes an event and returns the reply; other messages are dropped.
func (c *client) ask(topic, event, payload string) reply {
	c.t.Helper()
	ref := c.push(topic, event, payload)
	for {
		m := c.next()
		if m.event == "phx_reply" && *m.ref == ref {
			var r reply
			require.NoError(c.t, json.Unmarshal(m.payload, &r))
			return r
		}
	}
}

// join joins a room and waits until the client sees itself there: in a diff, or
// in the state where that had to wait for a replica that has just started.
func (c *client) join(topic, payload string) {
	c.t.Helper()
	var p struct{ Key string }
	require.NoError(c.t, json.Unmarshal([]byte(payload), &p))
	r := c.ask(topic, "phx_join", payload)
	require.Equal(c.t, "ok", r.Status, "%s", r.Response)
	for {
		m := c.next()
		var state map[string]json.RawMessage
		if m.event == "presence_diff" {
			var diff struct{ Joins json.RawMessage }
			require.NoError(c.t, json.Unmarshal(m.payload, &diff))
			m.payload = diff.Joins
		}
		require.NoError(c.t, json.Unmarshal(m.payload, &state))
		if _, ok := state[p.Key]; ok {
			return
		}
	}
}

// people reads the keys of a list, with the metas without refs.
func people(t testing.TB, list string) map[string][]map[string]any {
	var all map[string]struct {
		Metas []map[string]any `json:"metas"`
	}
	require.NoError(t, json.Unmarshal([]byte(list), &all), list)
	out := map[string][]map[string]any{}
	for key, p := range all {
		for _, meta := range p.Metas {
			require.NotEmpty(t, meta["phx_ref"])
			delete(meta, "phx_ref")
			delete(meta, "phx_ref_prev")
			out[key] = append(out[key], meta)
		}
	}
	return out
}
