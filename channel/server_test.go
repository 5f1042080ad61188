package channel

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// testLink records what a connection is sent.
type testLink struct {
	mu     sync.Mutex
	frames []*wire.Frame
	code   int // of the close frame, 0 before
}

func (l *testLink) Send(frames ...*wire.Frame) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, f := range frames {
		if l.code == 0 {
			l.frames = append(l.frames, f)
		}
	}
}

func (l *testLink) Close(code int, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.code == 0 {
		l.code = code
	}
}

// client is a connection as its client sees it.
type client struct {
	t    testing.TB
	conn *Conn
	link *testLink
}

// connect connects a client with the query of params.
func connect(t testing.TB, e *Endpoint, h *Handler, query string) *client {
	t.Helper()
	params, err := url.ParseQuery(query)
	require.NoError(t, err)
	if !params.Has("vsn") {
		params.Set("vsn", "2.0.0")
	}
	conn, err := e.Connect(context.Background(), h, wire.ConnectInfo{Transport: "test", Params: params})
	require.NoError(t, err)
	c := &client{t: t, conn: conn, link: &testLink{}}
	conn.Start(c.link)
	return c
}

// send sends text frames, one after the other.
func (c *client) send(frames ...string) {
	c.t.Helper()
	for _, f := range frames {
		require.Nil(c.t, c.conn.Receive(false, []byte(f)), f)
	}
}

// take waits until nothing happens any more, and returns what the client was
// sent since the last call. Binary frames are in hex.
func (c *client) take() []string {
	synctest.Wait()
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	out := []string{}
	for _, f := range c.link.frames {
		if f.Binary {
			out = append(out, fmt.Sprintf("%x", f.Data))
		} else {
			out = append(out, string(f.Data))
		}
	}
	c.link.frames = nil
	return out
}

// get sends frames and returns what comes back.
func (c *client) get(frames ...string) []string {
	c.t.Helper()
	c.send(frames...)
	return c.take()
}

func (c *client) closeCode() int {
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	return c.link.code
}

// drop ends the connection as a transport does.
func (c *client) drop() { c.conn.Closed(wire.ReasonClosed) }

// cluster is some replicas with presence in one bubble.
type cluster struct {
	endpoints []*Endpoint
	trackers  []*presence.Tracker
}

// bubble runs f in virtual time.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// startCluster starts n replicas, which end with the test. It returns when all
// know of each other.
func startCluster(t *testing.T, n int, change func(*Config)) *cluster {
	t.Helper()
	network := membus.New()
	c := &cluster{}
	for i := range n {
		bus := network.Bus()
		tracker, err := presence.Start(t.Context(), presence.Config{Name: fmt.Sprintf("r%d", i+1), Bus: bus})
		require.NoError(t, err)
		cfg := Config{Bus: bus, Presence: tracker}
		if change != nil {
			change(&cfg)
		}
		e, err := New(cfg)
		require.NoError(t, err)
		c.endpoints, c.trackers = append(c.endpoints, e), append(c.trackers, tracker)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		for i := range c.endpoints {
			require.NoError(t, c.endpoints[i].Close(ctx))
			require.NoError(t, c.trackers[i].Close(ctx))
		}
	})
	time.Sleep(5 * time.Second) // heartbeats
	return c
}

// startOne starts an endpoint alone, without presence.
func startOne(t *testing.T, cfg Config) *Endpoint {
	t.Helper()
	e, err := New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close(context.Background())) })
	return e
}

// testLog is a logger into a buffer.
func testLog() (*slog.Logger, *lockedBuffer) {
	b := &lockedBuffer{}
	return slog.New(slog.NewTextHandler(io.Writer(b), nil)), b
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Channels for tests, as the reference server of package channeltest has them.

func referenceHandler(t testing.TB) *Handler {
	h, err := NewHandler(Handler{
		Connect: func(ctx context.Context, c *ConnectRequest) error {
			user := c.Params.String("user")
			switch user {
			case "":
				return fmt.Errorf("no user")
			case "ratelimited":
				return &ConnectError{Status: 429, Body: "Too many requests"}
			}
			c.Assign("user", user)
			c.SetID("users:" + user)
			return nil
		},
		Routes: []Route{
			{Pattern: "echo:*", New: func() Channel { return &echoChannel{} }},
			{Pattern: "room:*", New: func() Channel { return &roomChannel{} }},
		},
	})
	require.NoError(t, err)
	return h
}

func user(s *Socket) string { return s.Value("user").(string) }

// must ends the channel when something fails, as the reference's code would.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

type echoChannel struct{}

func (echoChannel) Join(_ context.Context, s *Socket, params Payload) (any, error) {
	if params.IsBinary() {
		return map[string]any{"topic": s.Topic(), "bytes": len(params.Bytes())}, nil
	}
	var p struct{ Deny, Crash, Bare bool }
	if params.Decode(&p) != nil {
		p.Deny, p.Crash, p.Bare = false, false, false
	}
	switch {
	case p.Deny:
		return nil, Refuse("denied")
	case p.Crash:
		panic("crash in join")
	case p.Bare:
		return nil, nil
	}
	return map[string]any{"topic": s.Topic(), "echo": params}, nil
}

func (echoChannel) HandleIn(s *Socket, event string, payload Payload) Result {
	switch event {
	case "ping":
		return OK(payload)
	case "ok_only":
		return OK(nil)
	case "fail":
		return Error(map[string]any{"reason": "failed"})
	case "fail_only":
		return Error(nil)
	case "custom_status":
		return Reply("teapot", payload)
	case "noreply":
	case "shout":
		must(s.Broadcast("shout", payload))
	case "shout_from":
		must(s.BroadcastFrom("shout_from", payload))
	case "shout_reply":
		must(s.Broadcast("shout", payload))
		must(s.Push("pushed", payload))
		return OK(payload)
	case "push_me":
		must(s.Push("pushed", payload))
	case "async":
		var p struct{ After int }
		must(payload.Decode(&p))
		ref, ok := s.Ref()
		if !ok {
			panic("no ref")
		}
		time.AfterFunc(time.Duration(p.After)*time.Millisecond, func() { _ = ref.Reply("ok", payload) })
	case "exit":
		return Stop(wire.Crashed(fmt.Errorf("boom")))
	case "stop":
		return Stop(wire.ReasonNormal)
	case "stop_shutdown":
		return Stop(wire.ReasonShutdown)
	case "stop_shutdown_tuple":
		return Stop(Reason{Name: "shutdown: bye"})
	case "stop_other":
		return Stop(wire.Crashed(fmt.Errorf("other")))
	case "stop_reply":
		return StopReply(wire.ReasonNormal, "ok", payload)
	case "binary":
		return OK(payload)
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
	default:
		panic("no clause for " + event)
	}
	return NoReply()
}

func (echoChannel) Intercept() []string { return []string{"secret"} }

func (echoChannel) HandleOut(s *Socket, event string, payload Payload) Result {
	var p map[string]any
	must(payload.Decode(&p))
	if p["skip"] == user(s) {
		return NoReply()
	}
	p["for"] = user(s)
	must(s.Push(event, p))
	return NoReply()
}

type roomChannel struct{ params Payload }

type afterJoin struct{}

func (c *roomChannel) Join(_ context.Context, s *Socket, params Payload) (any, error) {
	c.params = params
	s.Send(afterJoin{})
	return nil, nil
}

func (c *roomChannel) HandleInfo(s *Socket, msg any) Result {
	var p struct {
		Meta       any  `json:"meta"`
		TrackFirst bool `json:"track_first"`
	}
	must(c.params.Decode(&p))
	track := func() {
		_, err := s.Track(user(s), p.Meta)
		must(err)
	}
	if p.TrackFirst {
		track()
	}
	must(s.PushPresenceState())
	if !p.TrackFirst {
		track()
	}
	return NoReply()
}

func (c *roomChannel) HandleIn(s *Socket, event string, payload Payload) Result {
	var p struct {
		Key  string `json:"key"`
		Meta any    `json:"meta"`
	}
	must(payload.Decode(&p))
	answer := func(ref string, err error) Result {
		if err != nil {
			return Error(map[string]any{"reason": err.Error()})
		}
		return OK(map[string]any{"phx_ref": ref})
	}
	switch event {
	case "update_meta":
		return answer(s.Update(user(s), presence.Replace(p.Meta)))
	case "track":
		return answer(s.Track(p.Key, p.Meta))
	case "untrack":
		must(s.Untrack(user(s)))
		return OK(nil)
	case "list":
		return OK(json.RawMessage(s.Endpoint().Presence().Peek(s.Topic()).JSON()))
	case "msg":
		must(s.Broadcast("msg", payload))
		return NoReply()
	}
	panic("no clause for " + event)
}

// script is a channel made of functions; what is nil does nothing.
type script struct {
	join      func(s *Socket, params Payload) (any, error)
	in        func(s *Socket, event string, payload Payload) Result
	out       func(s *Socket, event string, payload Payload) Result
	info      func(s *Socket, msg any) Result
	terminate func(s *Socket, reason Reason)
	intercept []string
}

func (c script) Join(_ context.Context, s *Socket, params Payload) (any, error) {
	if c.join == nil {
		return nil, nil
	}
	return c.join(s, params)
}

func (c script) HandleIn(s *Socket, event string, payload Payload) Result {
	if c.in == nil {
		return NoReply()
	}
	return c.in(s, event, payload)
}

func (c script) Intercept() []string { return c.intercept }

func (c script) HandleOut(s *Socket, event string, payload Payload) Result {
	return c.out(s, event, payload)
}

func (c script) HandleInfo(s *Socket, msg any) Result {
	if c.info == nil {
		return NoReply()
	}
	return c.info(s, msg)
}

func (c script) Terminate(_ context.Context, s *Socket, reason Reason) {
	if c.terminate != nil {
		c.terminate(s, reason)
	}
}

// handlerOf routes every topic to a script.
// mustHandler checks a handler.
func mustHandler(h Handler) *Handler {
	checked, err := NewHandler(h)
	must(err)
	return checked
}

func handlerOf(c script) *Handler {
	return mustHandler(Handler{Routes: []Route{{Pattern: "*", New: func() Channel { return c }}}})
}

// trace notes what happens, in order.
type trace struct {
	mu    sync.Mutex
	lines []string
}

func (tr *trace) add(format string, args ...any) {
	tr.mu.Lock()
	defer tr.mu.Unlock()
	tr.lines = append(tr.lines, fmt.Sprintf(format, args...))
}

// take waits until nothing happens any more and returns what was noted.
func (tr *trace) take() []string {
	synctest.Wait()
	tr.mu.Lock()
	defer tr.mu.Unlock()
	lines := tr.lines
	tr.lines = nil
	return lines
}
