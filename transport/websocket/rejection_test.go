package websocket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
)

// A logBuffer is what a logger has written.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// rejecting is a transport of a real endpoint whose log is seen.
func rejecting(t *testing.T, cfg Config) (*Transport, *channel.Endpoint, *logBuffer) {
	t.Helper()
	log := &logBuffer{}
	endpoint, err := channel.New(channel.Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
	require.NoError(t, err)
	handler, err := channel.NewHandler(channel.Handler{
		Connect: func(_ context.Context, c *channel.ConnectRequest) error {
			if c.Params.String("as") == "eve" {
				return errors.New("not her")
			}
			c.SetID("users:bob")
			return nil
		},
		Routes: []channel.Route{{Pattern: "room:*", New: func() channel.Channel { return roomChannel{make(chan string, 1)} }}},
	})
	require.NoError(t, err)
	transport, err := New(endpoint, handler, cfg)
	require.NoError(t, err)
	return transport, endpoint, log
}

// Every handshake that is refused: the status and the text that the client gets,
// and what the log says.
func TestRefusedHandshakesAreToldToTheClientAndTheLog(t *testing.T) {
	for _, c := range []struct {
		name    string
		cfg     Config
		prepare func(*Transport)
		request string
		status  int
		body    string
		log     string
	}{
		{"method", Config{}, nil, request("POST", "/", handshakeHeaders+"Content-Length: 0\r\n"), 400, "", `level=WARN msg="channel: rejected" cause=handshake transport=websocket remote=ADDRESS code=400 error="method \"POST\""`},
		{"closing", Config{}, func(tr *Transport) { _ = tr.Close(context.Background()) }, request("GET", "/", handshakeHeaders), 503, "the server is shutting down", `level=INFO msg="channel: rejected" cause=draining transport=websocket remote=ADDRESS code=503`},
		{"full", Config{MaxConnections: 1}, func(tr *Transport) { _ = tr.enter() }, request("GET", "/", handshakeHeaders), 503, "too many connections", `level=WARN msg="channel: rejected" cause=connections transport=websocket remote=ADDRESS limit=1 code=503`},
		{"origin", Config{}, nil, request("GET", "/", handshakeHeaders+"Origin: http://evil.com\r\n"), 403, "", `level=WARN msg="channel: rejected" cause=origin transport=websocket remote=ADDRESS code=403 error="origin \"http://evil.com\" at host \"example.com\""`},
		{"subprotocol", Config{Subprotocols: []string{"a"}}, nil, request("GET", "/", handshakeHeaders+"Sec-WebSocket-Protocol: b\r\n"), 403, "", `level=WARN msg="channel: rejected" cause=subprotocol transport=websocket remote=ADDRESS code=403 error="no subprotocol that the client offers is served"`},
		{"auth token", Config{}, nil, request("GET", "/", handshakeHeaders+"Sec-WebSocket-Protocol: base64url.bearer.phx.!secret\r\n"), 403, "", `cause=subprotocol transport=websocket remote=ADDRESS code=403 error="the auth token in 'sec-websocket-protocol' is not base64"`},
		{"version", Config{}, nil, request("GET", "/?vsn=9.0.0", handshakeHeaders), 403, "", `level=WARN msg="channel: rejected" cause=version transport=websocket remote=ADDRESS code=403 error=`},
		{"the handler", Config{}, nil, request("GET", "/?as=eve&token=secret", handshakeHeaders), 403, "", `level=INFO msg="channel: refused connection" duration=`},
		{"upgrade", Config{}, nil, request("GET", "/", without("Upgrade")), 400, "'upgrade' header must contain 'websocket'", `level=WARN msg="channel: rejected" cause=handshake transport=websocket remote=ADDRESS id=users:bob code=400 error="'upgrade' header must contain 'websocket'"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			transport, endpoint, log := rejecting(t, c.cfg)
			address := make(chan string, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				address <- r.RemoteAddr
				transport.ServeHTTP(w, r)
			}))
			defer server.Close()
			if c.prepare != nil {
				c.prepare(transport)
			}
			status, _, body := ask(t, server, c.request)
			require.Equal(t, c.status, status)
			require.Equal(t, c.body, body)
			require.Contains(t, log.String(), strings.ReplaceAll(c.log, "ADDRESS", <-address))
			require.NotContains(t, log.String(), "secret")
			require.Equal(t, 1, strings.Count(log.String(), "level=WARN")+strings.Count(log.String(), "refused connection")+strings.Count(log.String(), "cause=draining"), "once")
			require.NoError(t, endpoint.Close(context.Background()))
		})
	}
}

// A server whose connections cannot be taken over is a fault of the program.
func TestAnUpgradeThatIsImpossibleIsLoggedAsAFault(t *testing.T) {
	transport, endpoint, log := rejecting(t, Config{})
	r := httptest.NewRequest(http.MethodGet, "/?vsn=2.0.0", nil)
	for name, value := range map[string]string{"Connection": "upgrade", "Upgrade": "websocket", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"} {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	transport.ServeHTTP(w, r)
	require.Equal(t, 500, w.Code)
	require.Contains(t, log.String(), `level=ERROR msg="channel: rejected" cause=fault transport=websocket remote=192.0.2.1:1234 id=users:bob code=500 error="websocket: upgrade impossible`)
	require.NoError(t, endpoint.Close(context.Background()))
}

// Every end of a connection that its client is to blame for: the close code and
// the reason that the client gets, and what the log says.
func TestEndedConnectionsAreToldToTheClientAndTheLog(t *testing.T) {
	write := func(kind int, data string) func(*testing.T, *gorilla.Conn) {
		return func(t *testing.T, c *gorilla.Conn) { require.NoError(t, c.WriteMessage(kind, []byte(data))) }
	}
	for _, c := range []struct {
		name   string
		cfg    Config
		does   func(*testing.T, *gorilla.Conn)
		code   int // 1006: cut off
		reason string
		log    string
	}{
		{"too big", Config{MaxFrame: 100}, write(gorilla.TextMessage, strings.Repeat("x", 101)), 1009, "message too big", `level=WARN msg="channel: rejected" cause=frame_size transport=websocket remote="" id=users:bob limit=100 code=1009`},
		{"not UTF-8", Config{}, write(gorilla.TextMessage, "\xff"), 1007, "text is not UTF-8", `level=WARN msg="channel: rejected" cause=text transport=websocket remote="" id=users:bob code=1007`},
		{"malformed", Config{}, write(gorilla.TextMessage, "{"), 1011, "malformed frame", `level=WARN msg="channel: rejected" cause=malformed transport=websocket remote="" id=users:bob code=1011 error=`},
		{"silent", Config{IdleTimeout: time.Second}, func(*testing.T, *gorilla.Conn) {}, 1002, "idle timeout", `level=INFO msg="channel: rejected" cause=idle transport=websocket remote="" id=users:bob limit=1s code=1002`},
		{"violation", Config{}, func(t *testing.T, c *gorilla.Conn) {
			_, err := c.NetConn().Write([]byte{0x83, 0x80, 0, 0, 0, 0})
			require.NoError(t, err)
		}, 1002, "bad opcode 3", `level=WARN msg="channel: rejected" cause=protocol transport=websocket remote="" id=users:bob code=1002 error=`},
		{"slow, bytes", Config{OutboxBytes: 200}, func(t *testing.T, c *gorilla.Conn) {
			write(gorilla.TextMessage, `["1","1","room:a","phx_join",{}]`)(t, c)
			for range 20 {
				write(gorilla.TextMessage, `["1","2","room:a","ping",{}]`)(t, c)
			}
			time.Sleep(time.Second)
		}, 1013, "client too slow", `level=WARN msg="channel: rejected" cause=slow transport=websocket remote="" id=users:bob limit=200 code=1013`},
		{"slow, age", Config{OutboxAge: time.Second, IdleTimeout: time.Hour}, func(t *testing.T, c *gorilla.Conn) {
			write(gorilla.TextMessage, `["1","1","room:a","phx_join",{}]`)(t, c)
			time.Sleep(time.Minute)
		}, 1006, "", `level=WARN msg="channel: rejected" cause=slow transport=websocket remote="" id=users:bob limit=1s`},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				transport, endpoint, log := rejecting(t, c.cfg)
				client, near := dialPipe(t, transport)
				c.does(t, client)
				if c.code == 1006 {
					_, err := near.Read(make([]byte, 1))
					require.True(t, errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe), err)
				} else {
					requireClosed(t, client, c.code, c.reason)
				}
				client.Close()
				closeTransport(t, transport)
				require.Contains(t, log.String(), c.log)
				require.Equal(t, 1, strings.Count(log.String(), "channel: rejected"), "once")
				require.NoError(t, endpoint.Close(context.Background()))
			})
		})
	}
}

// A connection that ends as it should is no rejection.
func TestAConnectionThatClosesIsNotRejected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		transport, endpoint, log := rejecting(t, Config{})
		client, _ := dialPipe(t, transport)
		require.NoError(t, client.WriteMessage(gorilla.CloseMessage, gorilla.FormatCloseMessage(1000, "")))
		requireClosed(t, client, 1000, "")
		client.Close()
		client, _ = dialPipe(t, transport)
		client.NetConn().Close() // without a word
		closeTransport(t, transport)
		require.NoError(t, endpoint.Close(context.Background()))
		require.NotContains(t, log.String(), "rejected")
		require.Contains(t, log.String(), "connected")
	})
}

// channel.Conn.Close reaches the client as a close frame.
func TestAConnectionThatTheApplicationClosesGetsItsCode(t *testing.T) {
	conns := make(chan *channel.Conn, 1)
	endpoint, err := channel.New(channel.Config{})
	require.NoError(t, err)
	transport, err := New(endpoint, mustHandler(channel.Handler{Connect: func(_ context.Context, c *channel.ConnectRequest) error {
		conns <- c.Conn
		if c.Params.String("at_once") != "" {
			c.Close(4001, "not now")
		}
		return nil
	}}), Config{})
	require.NoError(t, err)
	server := httptest.NewServer(transport)
	defer server.Close()
	for _, query := range []string{"?vsn=2.0.0", "?vsn=2.0.0&at_once=1"} {
		client, _, err := gorilla.DefaultDialer.Dial(wsURL(server)+query, nil)
		require.NoError(t, err)
		(<-conns).Close(4001, "not now")
		requireClosed(t, client, 4001, "not now")
		client.Close()
	}
	closeTransport(t, transport)
	require.NoError(t, endpoint.Close(context.Background()))
}
