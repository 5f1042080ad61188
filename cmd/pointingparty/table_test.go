package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
	"github.com/rollcall-go/rollcall/transport/websocket"
)

// replica is one pointing party program without its HTTP server, in the virtual
// time of a synctest bubble.
type replica struct {
	t        *testing.T
	bus      *membus.Bus
	tracker  *presence.Tracker
	endpoint *channel.Endpoint
	app      *app
}

func testSite() *site { return &site{files: map[string]asset{}} }

func startReplica(t *testing.T, network *membus.Net, name string, deck Deck) *replica {
	r := &replica{t: t, bus: network.Bus()}
	var err error
	r.tracker, err = presence.Start(t.Context(), presence.Config{Name: name, Bus: r.bus})
	require.NoError(t, err)
	r.endpoint, err = channel.New(channel.Config{Bus: r.bus, Presence: r.tracker})
	require.NoError(t, err)
	r.app, err = newApp(r.endpoint, r.tracker, deck, testSite(), websocket.Config{}, nil)
	require.NoError(t, err)
	return r
}

func (r *replica) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	require.NoError(r.t, r.endpoint.Close(ctx))
	require.NoError(r.t, r.app.Close(ctx))
	require.NoError(r.t, r.tracker.Close(ctx))
}

// cluster runs a story on two replicas, whose decks differ.
func cluster(t *testing.T, story func(t *testing.T, a, b *replica)) {
	synctest.Test(t, func(t *testing.T) {
		network := membus.New()
		a := startReplica(t, network, "a", builtinDeck[:3])
		defer a.stop()
		b := startReplica(t, network, "b", builtinDeck[3:6])
		defer b.stop()
		time.Sleep(5 * time.Second) // virtual: they know each other
		story(t, a, b)
	})
}

// settle lets everything happen that is under way, but no period pass.
func settle() {
	time.Sleep(100 * time.Millisecond) // virtual
	synctest.Wait()
}

// frame is what a client was sent.
type frame struct {
	joinRef, ref *string
	topic, event string
	payload      json.RawMessage
}

// client is a browser tab as its replica sees it: a connection that has joined
// one room.
type client struct {
	t       *testing.T
	name    string
	topic   string
	conn    *channel.Conn
	lastRef int

	onFrame func(frame) // unless nil, called for each frame before it is kept

	mu     sync.Mutex
	frames []frame
	closed bool
}

func (c *client) Send(frames ...*wire.Frame) {
	for _, f := range frames {
		var parts [5]json.RawMessage
		if err := json.Unmarshal(f.Data, &parts); err != nil {
			panic(err)
		}
		var got frame
		for i, into := range []any{&got.joinRef, &got.ref, &got.topic, &got.event} {
			if err := json.Unmarshal(parts[i], into); err != nil {
				panic(err)
			}
		}
		got.payload = parts[4]
		if c.onFrame != nil {
			c.onFrame(got)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.frames = append(c.frames, got)
	}
}

func (c *client) Close(int, string) {
	c.mu.Lock()
	already := c.closed
	c.closed = true
	c.mu.Unlock()
	if !already {
		go c.conn.Closed(wire.ReasonClosed)
	}
}

// connect opens a connection that has joined nothing yet.
func (r *replica) connect(room string, params url.Values) *client {
	c := &client{t: r.t, topic: topicPrefix + room}
	if params == nil {
		params = url.Values{}
	}
	params.Set("vsn", "2.0.0")
	var err error
	c.conn, err = r.endpoint.Connect(r.t.Context(), r.app.channels, wire.ConnectInfo{Transport: "test", Params: params})
	require.NoError(r.t, err)
	c.conn.Start(c)
	return c
}

// join opens a tab of a user in the room "x".
func (r *replica) join(name string) *client {
	c := r.connect("x", nil)
	c.name = name
	status, response := c.ask("phx_join", map[string]string{"name": name})
	require.Equal(r.t, "ok", status, "%s", response)
	settle()
	return c
}

// send sends an event and returns its ref. It waits for nothing.
func (c *client) send(event string, payload any) string {
	c.lastRef++
	ref := strconv.Itoa(c.lastRef)
	text, err := json.Marshal([]any{"1", ref, c.topic, event, payload})
	require.NoError(c.t, err)
	require.Nil(c.t, c.conn.Receive(false, text))
	return ref
}

// ask sends an event and waits for its reply.
func (c *client) ask(event string, payload any) (status string, response string) {
	ref := c.send(event, payload)
	synctest.Wait()
	return c.reply(ref)
}

func (c *client) reply(ref string) (status string, response string) {
	for _, f := range c.got("phx_reply") {
		if f.ref != nil && *f.ref == ref {
			var reply struct {
				Status   string
				Response json.RawMessage
			}
			require.NoError(c.t, json.Unmarshal(f.payload, &reply))
			return reply.Status, string(reply.Response)
		}
	}
	return "none", ""
}

// do is ask for what must be granted, and lets it take effect everywhere.
func (c *client) do(event string, payload any) {
	c.t.Helper()
	status, response := c.ask(event, payload)
	require.Equal(c.t, "ok", status, "%s %s: %s", c.name, event, response)
	settle()
}

func (c *client) vote(points int) {
	c.t.Helper()
	c.do("user_estimated", map[string]int{"points": points})
}

// refuses asks for what must be refused.
func (c *client) refused(event string, payload any, reason string) {
	c.t.Helper()
	status, response := c.ask(event, payload)
	require.Equal(c.t, "error", status, response)
	require.Contains(c.t, response, reason)
}

// leave closes the tab.
func (c *client) leave() {
	c.Close(0, "")
	settle()
}

// got lists the frames of these events, all without any.
func (c *client) got(events ...string) []frame {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []frame
	for _, f := range c.frames {
		if f.topic == c.topic && (len(events) == 0 || slices.Contains(events, f.event)) {
			found = append(found, f)
		}
	}
	return found
}

// forget makes got begin anew.
func (c *client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frames = nil
}

// round is the last "round" that the client was sent.
func (c *client) round() roundMessage {
	c.t.Helper()
	frames := c.got("round")
	require.NotEmpty(c.t, frames, "%s was never told the state", c.name)
	var m roundMessage
	require.NoError(c.t, json.Unmarshal(frames[len(frames)-1].payload, &m))
	return m
}

// sees requires every client's last state to read like this; see text.
func sees(t *testing.T, want string, clients ...*client) {
	t.Helper()
	for _, c := range clients {
		require.Equal(t, want, c.round().text(), "as %s sees it", c.name)
	}
}

// text tells a state in short: "card 1 by al, 1 of 2 voted" or
// "card 1 by al: tie [3 5], al 3, bo 5".
func (m roundMessage) text() string {
	switch m.Phase {
	case phaseIdle:
		return fmt.Sprintf("idle, %d present", m.Present)
	case phaseOver:
		return fmt.Sprintf("over after %d", m.N-1)
	case phaseVoting:
		return fmt.Sprintf("card %d by %s, %d of %d voted", m.N, m.Driver, m.Voted, m.Present)
	}
	text := fmt.Sprintf("card %d by %s: %s %v", m.N, m.Driver, m.Result.Outcome, m.Result.Points)
	names := make([]string, 0, len(m.Result.Votes))
	for name := range m.Result.Votes {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		text += fmt.Sprintf(", %s %d", name, m.Result.Votes[name])
	}
	return text
}

// events lists the names of events in the order in which they came.
func events(frames []frame) string {
	names := make([]string, len(frames))
	for i, f := range frames {
		names[i] = f.event
	}
	return strings.Join(names, " ")
}
