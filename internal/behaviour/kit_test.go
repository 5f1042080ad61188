package behaviour_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// script is a channel made of functions. A nil function does nothing.
type script struct {
	join      func(s *channel.Socket) (any, error)
	in        func(s *channel.Socket, event string, payload channel.Payload) channel.Result
	info      func(s *channel.Socket, msg any) channel.Result
	out       func(s *channel.Socket, event string, payload channel.Payload) channel.Result
	terminate func(s *channel.Socket, reason channel.Reason)
	intercept []string
}

func (c script) Join(_ context.Context, s *channel.Socket, _ channel.Payload) (any, error) {
	if c.join == nil {
		return nil, nil
	}
	return c.join(s)
}

func (c script) HandleIn(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	if c.in == nil {
		return channel.NoReply()
	}
	return c.in(s, event, payload)
}

func (c script) HandleInfo(s *channel.Socket, msg any) channel.Result {
	if c.info == nil {
		return channel.NoReply()
	}
	return c.info(s, msg)
}

func (c script) Intercept() []string { return c.intercept }

func (c script) HandleOut(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	return c.out(s, event, payload)
}

func (c script) Terminate(_ context.Context, s *channel.Socket, reason channel.Reason) {
	if c.terminate != nil {
		c.terminate(s, reason)
	}
}

// route is a route of script channels.
func route(pattern string, c script) channel.Route {
	return channel.Route{Pattern: pattern, New: func() channel.Channel { return c }}
}

// observing is a route whose clients are pushed the state and track nothing.
func observing() channel.Route {
	r := route("*", script{})
	r.PushState = true
	return r
}

// serve is a handler whose connections are assigned the user of their query.
func serve(t testing.TB, routes ...channel.Route) *channel.Handler {
	t.Helper()
	h, err := channel.NewHandler(channel.Handler{
		Connect: func(_ context.Context, c *channel.ConnectRequest) error {
			c.Assign("user", c.Params.String("user"))
			return nil
		},
		Routes: routes,
	})
	require.NoError(t, err)
	return h
}

func user(s *channel.Socket) string { return s.Value("user").(string) }

// must panics on an error. In a callback it makes the channel crash, which its
// client is told by phx_error.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// start starts an endpoint without presence that ends with the test.
func start(t testing.TB, cfg channel.Config) *channel.Endpoint {
	t.Helper()
	e, err := channel.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close(context.Background())) })
	return e
}

// cluster is replicas with presence in one process.
type cluster struct {
	endpoints []*channel.Endpoint
	trackers  []*presence.Tracker
}

// startCluster starts n replicas that end with the test, in a bubble. It returns
// when they know each other.
func startCluster(t testing.TB, n int, cfg channel.Config) *cluster {
	t.Helper()
	cl := newCluster(t, n, cfg)
	time.Sleep(5 * time.Second)
	return cl
}

// newCluster starts n replicas that end with the test.
func newCluster(t testing.TB, n int, cfg channel.Config) *cluster {
	t.Helper()
	network, cl := membus.New(), &cluster{}
	for i := range n {
		bus := network.Bus()
		tracker, err := presence.Start(t.Context(), presence.Config{Name: fmt.Sprint("replica", i), Bus: bus})
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, tracker.Close(context.Background())) })
		cfg.Bus, cfg.Presence = bus, tracker
		cl.endpoints = append(cl.endpoints, start(t, cfg))
		cl.trackers = append(cl.trackers, tracker)
	}
	return cl
}

// sent is a frame that a connection was sent, and when.
type sent struct {
	*wire.Frame
	at time.Time
}

// A recorder is a [wire.Link] that keeps what it is sent.
type recorder struct {
	mu     sync.Mutex
	frames []sent
	code   int // of the close, 0 before
}

func (l *recorder) Send(frames ...*wire.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range frames {
		if l.code == 0 {
			l.frames = append(l.frames, sent{f, time.Now()})
		}
	}
}

func (l *recorder) Close(code int, _ string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.code == 0 {
		l.code = code
	}
}

// client is a connection in a bubble as its client sees it.
type client struct {
	t    testing.TB
	conn *channel.Conn
	link *recorder
}

// connect connects a client of version 2.
func connect(t testing.TB, e *channel.Endpoint, h *channel.Handler, user string) *client {
	t.Helper()
	c := &client{t: t, link: &recorder{}}
	c.conn = connectLink(t, e, h, user, "2.0.0", c.link)
	return c
}

func connectLink(t testing.TB, e *channel.Endpoint, h *channel.Handler, user, vsn string, link wire.Link) *channel.Conn {
	t.Helper()
	params := url.Values{"vsn": {vsn}, "user": {user}}
	conn, err := e.Connect(context.Background(), h, wire.ConnectInfo{Transport: "behaviour", Params: params})
	require.NoError(t, err)
	conn.Start(link)
	return conn
}

// say sends a message with an empty payload.
func (c *client) say(joinRef, ref, topic, event string) {
	c.t.Helper()
	require.Nil(c.t, c.conn.Receive(false, fmt.Appendf(nil, `[%q,%q,%q,%q,{}]`, joinRef, ref, topic, event)))
}

// join joins a topic with the join_ref 1.
func (c *client) join(topic string) { c.say("1", "1", topic, "phx_join") }

// lose ends the connection as a transport does when its client has gone.
func (c *client) lose() { c.conn.Closed(wire.ReasonClosed) }

// message is a decoded frame of version 2.
type message struct {
	sent
	joinRef, ref, topic, event string
	payload                    json.RawMessage
}

func decode(t testing.TB, data []byte) (m message) {
	t.Helper()
	var parts [5]json.RawMessage
	require.NoError(t, json.Unmarshal(data, &parts), "%s", data)
	for i, to := range []*string{&m.joinRef, &m.ref, &m.topic, &m.event} {
		require.NoError(t, json.Unmarshal(parts[i], to))
	}
	m.payload = parts[4]
	return m
}

// take waits until nothing runs in the bubble and returns what the client was sent
// since the last call.
func (c *client) take() (all []message) {
	c.t.Helper()
	synctest.Wait()
	c.link.mu.Lock()
	frames := c.link.frames
	c.link.frames = nil
	c.link.mu.Unlock()
	for _, f := range frames {
		head, body, tail := f.Pieces()
		m := decode(c.t, append(append(append([]byte(nil), head...), body...), tail...))
		m.sent = f
		all = append(all, m)
	}
	return all
}

// of returns the messages with an event.
func of(event string, all []message) (some []message) {
	for _, m := range all {
		if m.event == event {
			some = append(some, m)
		}
	}
	return some
}
