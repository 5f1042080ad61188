package websocket

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
)

// These tests run the transport with a real endpoint.

// A roomChannel replies to "ping" and broadcasts "shout".
type roomChannel struct{ terminated chan<- string }

func (roomChannel) Join(_ context.Context, _ *channel.Socket, params channel.Payload) (any, error) {
	return params, nil
}

func (roomChannel) HandleIn(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	if event == "shout" {
		if err := s.Broadcast("shout", payload); err != nil {
			return channel.Error(map[string]string{"reason": err.Error()})
		}
		return channel.NoReply()
	}
	return channel.OK(payload)
}

func (r roomChannel) Terminate(_ context.Context, s *channel.Socket, reason channel.Reason) {
	r.terminated <- s.Topic() + " " + reason.Name
}

type realServer struct {
	*httptest.Server
	endpoint   *channel.Endpoint
	transport  *Transport
	terminated chan string
}

func serveEndpoint(t *testing.T, cfg Config) *realServer {
	t.Helper()
	return plain.serveEndpoint(t, cfg)
}

func (k kind) serveEndpoint(t *testing.T, cfg Config) *realServer {
	t.Helper()
	cfg.Compress = k.compress
	s := &realServer{terminated: make(chan string, 100)}
	endpoint, err := channel.New(channel.Config{})
	require.NoError(t, err)
	handler, err := channel.NewHandler(channel.Handler{
		Connect: func(_ context.Context, c *channel.ConnectRequest) error {
			user := c.Params.String("user")
			switch user {
			case "refused":
				return errors.New("not you")
			case "ratelimited":
				return &channel.ConnectError{Status: http.StatusTooManyRequests, Body: "Too many requests"}
			case "panic":
				panic("boom")
			case "nested":
				user = c.Params["a"].(map[string]any)["b"].(string)
			}
			if c.Info.AuthToken != "" {
				user = c.Info.AuthToken
			}
			c.SetID("users:" + user)
			return nil
		},
		Routes: []channel.Route{{Pattern: "room:*", New: func() channel.Channel { return roomChannel{s.terminated} }}},
	})
	require.NoError(t, err)
	s.endpoint = endpoint
	s.transport, err = New(endpoint, handler, cfg)
	require.NoError(t, err)
	mux := http.NewServeMux()
	mux.Handle("/socket/websocket", s.transport)
	s.Server = httptest.NewUnstartedServer(mux)
	k.start(s.Server)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		require.NoError(t, endpoint.Drain(ctx))
		closeTransport(t, s.transport)
		s.Close()
		require.NoError(t, endpoint.Close(ctx))
	})
	return s
}

func (s *realServer) dial(t *testing.T, query string) *gorilla.Conn {
	t.Helper()
	client, _, err := dialerFor(s.Server).Dial(wsURL(s.Server)+"/socket/websocket?"+query, nil)
	require.NoError(t, err)
	require.NoError(t, client.SetReadDeadline(time.Now().Add(20*time.Second)))
	t.Cleanup(func() { client.Close() })
	return client
}

func exchange(t *testing.T, client *gorilla.Conn, frame, want string) {
	t.Helper()
	require.NoError(t, client.WriteMessage(gorilla.TextMessage, []byte(frame)))
	_, data, err := client.ReadMessage()
	require.NoError(t, err)
	require.JSONEq(t, want, string(data))
}

// B004, B005, B006, B007 and B003 as a client sees them.
func TestVersionsAndRefusals(t *testing.T) {
	s := serveEndpoint(t, Config{})
	tests := []struct {
		query  string
		status int
		body   string
	}{
		{"vsn=2.0.0", 101, ""},
		{"vsn=2.0.7", 101, ""},
		{"user=nested&a[b]=c&vsn=2.0.0", 101, ""},
		{"vsn=2.1.0", 403, ""},
		{"vsn=123.1.1", 403, ""},
		{"vsn=2", 403, ""},
		{"vsn=2.0", 403, ""},
		{"vsn=junk", 403, ""},
		{"vsn[]=1", 403, ""},
		{"vsn=2.0.0&user=refused", 403, ""},
		{"vsn=2.0.0&user=ratelimited", 429, "Too many requests"},
		{"vsn=2.0.0&user=panic", 403, ""},
	}
	for _, test := range tests {
		t.Run(test.query, func(t *testing.T) {
			status, _, body := ask(t, s.Server, request("GET", "/socket/websocket?"+test.query, handshakeHeaders))
			require.Equal(t, test.status, status)
			require.Equal(t, test.body, body)
		})
	}
}

// B089: heartbeats need no join; and a channel's messages go through.
func TestHeartbeatJoinReplyAndBroadcast(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		s := k.serveEndpoint(t, Config{})
		a, b := s.dial(t, "vsn=2.0.0"), s.dial(t, "vsn=2.0.0")
		exchange(t, a, `[null,"1","phoenix","heartbeat",{}]`, `[null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]`)
		exchange(t, a, `[null,"2","phoenix","other",{}]`, `[null,"2","phoenix","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`)
		for _, client := range []*gorilla.Conn{a, b} {
			exchange(t, client, `["3","3","room:lobby","phx_join",{"x":1}]`, `["3","3","room:lobby","phx_reply",{"status":"ok","response":{"x":1}}]`)
		}
		exchange(t, a, `["3","4","room:lobby","ping",{"n":1}]`, `["3","4","room:lobby","phx_reply",{"status":"ok","response":{"n":1}}]`)
		exchange(t, a, `["3","5","room:lobby","shout",{"say":"hi"}]`, `[null,null,"room:lobby","shout",{"say":"hi"}]`)
		_, data, err := b.ReadMessage()
		require.NoError(t, err)
		require.JSONEq(t, `[null,null,"room:lobby","shout",{"say":"hi"}]`, string(data))
	})
}

// B092 as far as the endpoint decides.
func TestCloseCodesOfTheEndpoint(t *testing.T) {
	tests := []struct {
		name   string
		end    func(t *testing.T, s *realServer, client *gorilla.Conn)
		code   int
		reason string
		why    string // of the channel's end
	}{
		{"a malformed frame", func(t *testing.T, _ *realServer, client *gorilla.Conn) {
			require.NoError(t, client.WriteMessage(gorilla.TextMessage, []byte("{")))
		}, 1011, "malformed frame", "closed"},
		{"disconnect by id", func(t *testing.T, s *realServer, _ *gorilla.Conn) {
			require.NoError(t, s.endpoint.Broadcast("users:u", "disconnect", map[string]any{}))
		}, 1001, "disconnected", "disconnected"},
		{"drain", func(t *testing.T, s *realServer, _ *gorilla.Conn) {
			require.NoError(t, s.endpoint.Drain(context.Background()))
		}, 1012, "restart", "draining"},
		{"the transport's Close", func(t *testing.T, s *realServer, _ *gorilla.Conn) {
			go s.transport.Close(context.Background())
		}, 1012, "service restart", "closed"},
		{"silence", func(*testing.T, *realServer, *gorilla.Conn) {}, 1002, "idle timeout", "closed"},
	}
	eachKind(t, func(t *testing.T, k kind) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				s := k.serveEndpoint(t, Config{IdleTimeout: 500 * time.Millisecond})
				client := s.dial(t, "vsn=2.0.0&user=u")
				exchange(t, client, `["1","1","room:a","phx_join",{}]`, `["1","1","room:a","phx_reply",{"status":"ok","response":{}}]`)
				test.end(t, s, client)
				_, _, err := client.ReadMessage()
				var closed *gorilla.CloseError
				require.ErrorAs(t, err, &closed, "no phx_close comes before the close frame")
				require.Equal(t, test.code, closed.Code)
				require.Equal(t, test.reason, closed.Text)
				select {
				case got := <-s.terminated:
					require.Equal(t, "room:a "+test.why, got)
				case <-time.After(20 * time.Second):
					require.Fail(t, "the channel did not terminate")
				}
			})
		}
	})
}

func TestDrainingEndpointRefuses503(t *testing.T) {
	s := serveEndpoint(t, Config{})
	require.NoError(t, s.endpoint.Drain(context.Background()))
	status, _, _ := ask(t, s.Server, request("GET", "/socket/websocket?vsn=2.0.0", handshakeHeaders))
	require.Equal(t, http.StatusServiceUnavailable, status)
}

func TestManyClientsGetEveryBroadcastInOrder(t *testing.T) {
	eachKindRaced(t, func(t *testing.T, k kind) {
		s := k.serveEndpoint(t, Config{})
		const clients, broadcasts = 50, 200
		all := make([]*gorilla.Conn, clients)
		for i := range all {
			all[i] = s.dial(t, "vsn=2.0.0")
			exchange(t, all[i], `["1","1","room:a","phx_join",{}]`, `["1","1","room:a","phx_reply",{"status":"ok","response":{}}]`)
		}
		for i := range broadcasts {
			require.NoError(t, s.endpoint.Broadcast("room:a", "n", map[string]int{"n": i}))
		}
		for _, client := range all {
			for i := range broadcasts {
				_, data, err := client.ReadMessage()
				require.NoError(t, err)
				require.Equal(t, fmt.Sprintf(`[null,null,"room:a","n",{"n":%d}]`, i), string(data))
			}
		}
		require.Zero(t, s.transport.Stats().Slow)
	})
}
