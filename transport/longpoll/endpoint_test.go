package longpoll

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/transport/membus"
	"github.com/rollcall-go/rollcall/transport/origin"
)

// These tests run the transport with a real endpoint, in virtual time.

// An echo is the channel echo:* of the reference's test server, as far as long
// polling needs it.
type echo struct{ terminated chan<- string }

func (e *echo) Join(_ context.Context, s *channel.Socket, params channel.Payload) (any, error) {
	var wanted struct{ Deny bool }
	if err := params.Decode(&wanted); err != nil {
		return nil, err
	}
	if wanted.Deny {
		return nil, channel.Refuse("denied")
	}
	return map[string]any{"topic": s.Topic(), "echo": params}, nil
}

func (e *echo) HandleIn(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	switch event {
	case "ping":
		return channel.OK(payload)
	case "noreply":
		return channel.NoReply()
	case "size":
		return channel.OK(map[string]any{"binary": payload.IsBinary(), "bytes": len(payload.Bytes())})
	case "shout":
		if err := s.Broadcast("shout", payload); err != nil {
			return channel.Error(map[string]string{"reason": err.Error()})
		}
		return channel.NoReply()
	case "binary":
		return channel.OK(channel.Binary([]byte{1, 2, 3}))
	case "disconnect_user":
		var who struct{ User string }
		if err := payload.Decode(&who); err != nil {
			return channel.Error(nil)
		}
		if err := s.Conn().Endpoint().Broadcast("users:"+who.User, "disconnect", nil); err != nil {
			return channel.Error(nil)
		}
		return channel.NoReply()
	}
	panic("no clause for " + event)
}

func (e *echo) Terminate(_ context.Context, s *channel.Socket, reason channel.Reason) {
	e.terminated <- s.Topic() + " " + reason.Name
}

// A realServer has an endpoint like that of the reference's test server.
type realServer struct {
	*Transport
	endpoint   *channel.Endpoint
	terminated chan string
}

// inReal runs with a server in a bubble. bus may be nil.
func inReal(t *testing.T, cfg Config, run func(t *testing.T, s *realServer)) {
	synctest.Test(t, func(t *testing.T) { run(t, startReal(t, cfg, nil)) })
}

func startReal(t *testing.T, cfg Config, b bus.Bus) *realServer {
	t.Helper()
	s := &realServer{terminated: make(chan string, 100)}
	var err error
	s.endpoint, err = channel.New(channel.Config{Bus: b})
	require.NoError(t, err)
	handler, err := channel.NewHandler(channel.Handler{
		Connect: func(_ context.Context, c *channel.ConnectRequest) error {
			user := c.Params.String("user")
			switch user {
			case "":
				return errors.New("no user")
			case "ratelimited":
				return &channel.ConnectError{Status: http.StatusTooManyRequests, Body: "Too many requests"}
			case "panic":
				panic("boom")
			}
			c.SetID("users:" + user)
			return nil
		},
		Routes: []channel.Route{{Pattern: "echo:*", New: func() channel.Channel { return &echo{s.terminated} }}},
	})
	require.NoError(t, err)
	cfg.CheckOrigin = origin.Any()
	s.Transport, err = New(s.endpoint, handler, cfg)
	require.NoError(t, err)
	t.Cleanup(func() {
		closeTransport(t, s.Transport)
		require.NoError(t, s.endpoint.Close(context.Background()))
	})
	return s
}

// connectAs begins a session of a user.
func connectAs(t *testing.T, h http.Handler, user string) string {
	t.Helper()
	a := do(t.Context(), h, "GET", "/?vsn=2.0.0&user="+user, "")
	require.Equal(t, 410, a.Status, a.Body)
	return a.Token
}

// ask posts messages and returns what a poll then has, replies and all.
func ask(t *testing.T, h http.Handler, token string, lines ...string) []string {
	t.Helper()
	require.Equal(t, 200, post(h, token, lines...).Status)
	synctest.Wait()
	a := get(h, token)
	require.Equal(t, 200, a.Status, a.Body)
	return a.Messages
}

// requireFrames compares frames as JSON.
func requireFrames(t *testing.T, got []string, want ...string) {
	t.Helper()
	require.JSONEq(t, "["+strings.Join(want, ",")+"]", "["+strings.Join(got, ",")+"]")
}

// What phoenix 1.8.16 was seen to send.
func TestCapturedClientFrames(t *testing.T) {
	inReal(t, Config{}, func(t *testing.T, s *realServer) {
		a := do(t.Context(), s, "GET", "/socket/longpoll?user=x&vsn=2.0.0&", "", "X-Phoenix-AuthToken: abc")
		require.Equal(t, 410, a.Status)
		requireFrames(t, ask(t, s, a.Token, `["3","3","echo:lobby","phx_join",{}]`),
			`["3","3","echo:lobby","phx_reply",{"status":"ok","response":{"topic":"echo:lobby","echo":{}}}]`)
		// join_ref 3, ref 6, topic echo:lobby, event size, two bytes
		requireFrames(t, ask(t, s, a.Token, `["3","4","echo:lobby","ping",{"n":1}]`, `["3","5","echo:lobby","ping",{"n":2}]`, "AAEBCgQzNmVjaG86bG9iYnlzaXplAQI="),
			`["3","4","echo:lobby","phx_reply",{"status":"ok","response":{"n":1}}]`,
			`["3","5","echo:lobby","phx_reply",{"status":"ok","response":{"n":2}}]`,
			`["3","6","echo:lobby","phx_reply",{"status":"ok","response":{"binary":true,"bytes":2}}]`)
	})
}

func TestAJoinErrorLeavesTheTopicRejoinable(t *testing.T) {
	inReal(t, Config{}, func(t *testing.T, s *realServer) {
		token := connectAs(t, s, "alice")
		requireFrames(t, ask(t, s, token, `["1","1","echo:a","phx_join",{"deny":true}]`),
			`["1","1","echo:a","phx_reply",{"status":"error","response":{"reason":"denied"}}]`)
		requireFrames(t, ask(t, s, token, `["2","2","echo:a","phx_join",{}]`),
			`["2","2","echo:a","phx_reply",{"status":"ok","response":{"topic":"echo:a","echo":{}}}]`)
		requireFrames(t, ask(t, s, token, `["2","3","echo:a","ping",{}]`),
			`["2","3","echo:a","phx_reply",{"status":"ok","response":{}}]`)
	})
}

// B106: the reason that channels are given.
func TestChannelsOfAClientThatStopsPollingTerminateAsInactive(t *testing.T) {
	inReal(t, Config{}, func(t *testing.T, s *realServer) {
		token := connectAs(t, s, "alice")
		ask(t, s, token, `["1","1","echo:a","phx_join",{}]`)
		begin := time.Now()
		require.Equal(t, "echo:a inactive", <-s.terminated)
		require.Equal(t, 15*time.Second, time.Since(begin))
		a := do(t.Context(), s, "GET", "/?vsn=2.0.0&user=alice&token="+token, "")
		require.Equal(t, 410, a.Status, "an error that the client recovers from")
		requireFrames(t, ask(t, s, a.Token, `["1","1","echo:a","phx_join",{}]`),
			`["1","1","echo:a","phx_reply",{"status":"ok","response":{"topic":"echo:a","echo":{}}}]`)
	})
}

// B111, B112.
func TestDisconnectByIDEndsSessionsWhereverTheyArePolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		one, two := net.Bus(), net.Bus()
		home := startReal(t, Config{Bus: one, Secret: testSecret}, one)
		away := startReal(t, Config{Bus: two, Secret: testSecret}, two)
		token := connectAs(t, home, "alice")
		ask(t, away, token, `["1","1","echo:a","phx_join",{}]`)
		other := connectAs(t, home, "bob")
		polled := make(chan answer, 1)
		go func() { polled <- do(t.Context(), away, "GET", "/?vsn=2.0.0&user=alice&token="+token, "") }()
		synctest.Wait()
		require.NoError(t, away.endpoint.Broadcast("users:alice", "disconnect", nil))
		a := <-polled
		require.Equal(t, 410, a.Status)
		require.NotEqual(t, token, a.Token)
		require.Equal(t, "echo:a disconnected", <-home.terminated)
		require.Equal(t, 410, post(home, token, "[]").Status)
		requireFrames(t, ask(t, away, other, `["1","1","echo:a","phx_join",{}]`),
			`["1","1","echo:a","phx_reply",{"status":"ok","response":{"topic":"echo:a","echo":{}}}]`)
	})
}

func TestBroadcastsReachClientsThatPollElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		one, two := net.Bus(), net.Bus()
		a := startReal(t, Config{Bus: one, Secret: testSecret}, one)
		b := startReal(t, Config{Bus: two, Secret: testSecret}, two)
		alice, bob := connectAs(t, a, "alice"), connectAs(t, b, "bob")
		ask(t, b, alice, `["1","1","echo:a","phx_join",{}]`)
		ask(t, a, bob, `["1","1","echo:a","phx_join",{}]`)
		require.Equal(t, 200, post(b, alice, `["1","2","echo:a","shout",{"x":1}]`).Status)
		synctest.Wait()
		for _, poll := range []struct {
			at    *realServer
			token string
		}{{b, alice}, {a, bob}} {
			requireFrames(t, get(poll.at, poll.token).Messages, `[null,null,"echo:a","shout",{"x":1}]`)
		}
	})
}

func TestDrainEndsSessionsAndTheirPolls(t *testing.T) {
	inReal(t, Config{}, func(t *testing.T, s *realServer) {
		token := connectAs(t, s, "alice")
		ask(t, s, token, `["1","1","echo:a","phx_join",{}]`)
		polled := make(chan answer, 1)
		go func() { polled <- get(s, token) }()
		synctest.Wait()
		require.NoError(t, s.endpoint.Drain(t.Context()))
		a := <-polled
		require.Equal(t, 503, a.HTTP)
		require.JSONEq(t, `{"status":500}`, a.Body)
		require.Equal(t, "echo:a draining", <-s.terminated)
		require.Equal(t, 503, do(t.Context(), s, "GET", "/?user=bob", "").HTTP)
		require.NoError(t, s.Close(t.Context()))
	})
}

func TestCloseEndsTheChannels(t *testing.T) {
	inReal(t, Config{}, func(t *testing.T, s *realServer) {
		ask(t, s, connectAs(t, s, "alice"), `["1","1","echo:a","phx_join",{}]`)
		require.NoError(t, s.Close(t.Context()))
		require.Equal(t, "echo:a closed", <-s.terminated)
		require.Zero(t, s.endpoint.Stats().Connections)
	})
}

func TestAPanicInConnectIsARefusal(t *testing.T) {
	inReal(t, Config{}, func(t *testing.T, s *realServer) {
		require.JSONEq(t, `{"status":403}`, do(t.Context(), s, "GET", "/?user=panic", "").Body)
	})
}

// One channel of a session may fail; its client is told by poll.
func TestACrashOfAChannelIsToldByPoll(t *testing.T) {
	inReal(t, Config{}, func(t *testing.T, s *realServer) {
		token := connectAs(t, s, "alice")
		ask(t, s, token, `["1","1","echo:a","phx_join",{}]`)
		frames := ask(t, s, token, `["1","2","echo:a","no_such_event",{}]`)
		require.Len(t, frames, 1)
		var frame []json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(frames[0]), &frame))
		require.Equal(t, `"phx_error"`, string(frame[3]))
	})
}
