package websocket

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/internal/httptransport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fakeSession stands in for a *channel.Conn.
type fakeSession struct {
	receive func(binary bool, data []byte) *wire.Close
	control func() *wire.Close

	started chan wire.Link // gets the link at Start
	closed  chan struct{}  // closed at the first Closed

	mu     sync.Mutex
	ended  int
	inside bool // Receive runs
	told   []wire.Rejection
}

func newSession() *fakeSession {
	return &fakeSession{started: make(chan wire.Link, 1), closed: make(chan struct{})}
}

func (s *fakeSession) Start(link wire.Link) { s.started <- link }

func (s *fakeSession) Receive(binary bool, data []byte) *wire.Close {
	s.mu.Lock()
	if s.inside {
		panic("two Receives at once")
	}
	s.inside = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.inside = false
		s.mu.Unlock()
	}()
	if s.receive == nil {
		return nil
	}
	return s.receive(binary, data)
}

func (s *fakeSession) ReceiveControl() *wire.Close {
	if s.control == nil {
		return nil
	}
	return s.control()
}

func (s *fakeSession) Reject(r wire.Rejection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, r)
}

func (s *fakeSession) Closed(channel.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended++; s.ended == 1 {
		close(s.closed)
	}
}

// timesClosed is how often Closed was called.
func (s *fakeSession) timesClosed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

type connectFunc = httptransport.Connect[session]

// letIn connects all clients to s.
func letIn(s *fakeSession) connectFunc {
	return func(context.Context, wire.ConnectInfo) (session, error) { return s, nil }
}

func transportFor(t testing.TB, options Options, connect connectFunc) *Transport {
	t.Helper()
	options, err := options.prepare()
	require.NoError(t, err)
	reject := func(r wire.Rejection) {
		options.Logger.Warn("refused", "cause", r.Cause, "code", r.Code, "error", r.Err)
	}
	return newTransport(connect, reject, options)
}

// closeTransport ends a transport and requires that nothing remains of it.
func closeTransport(t testing.TB, transport *Transport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(t, transport.Close(ctx))
	require.Zero(t, transport.Stats().Connections)
}

// serveLoopback mounts a transport on a server of its own until the test ends.
func serveLoopback(t testing.TB, options Options, connect connectFunc) (*Transport, *httptest.Server) {
	t.Helper()
	transport := transportFor(t, options, connect)
	server := httptest.NewServer(transport)
	t.Cleanup(func() {
		closeTransport(t, transport)
		server.Close()
	})
	return transport, server
}

func wsURL(server *httptest.Server) string { return "ws" + strings.TrimPrefix(server.URL, "http") }

// dial connects a gorilla client until the test ends.
func dial(t testing.TB, server *httptest.Server, header http.Header) *gorilla.Conn {
	t.Helper()
	client, answer, err := gorilla.DefaultDialer.Dial(wsURL(server), header)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, answer.StatusCode)
	require.NoError(t, client.SetReadDeadline(time.Now().Add(20*time.Second)))
	t.Cleanup(func() { client.Close() })
	return client
}

// dialPipe connects a gorilla client to a transport through net.Pipe: no
// sockets, so that it works in a bubble of synctest. Writes to a pipe wait until
// they are read. It returns the client's end of the pipe too.
func dialPipe(t testing.TB, transport *Transport) (*gorilla.Conn, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	served := make(chan struct{})
	go func() {
		defer close(served)
		reader := bufio.NewReader(far)
		r, err := http.ReadRequest(reader)
		if err != nil {
			panic(err)
		}
		w := pipeWriter{conn: far, rw: bufio.NewReadWriter(reader, bufio.NewWriter(far))}
		transport.ServeHTTP(w, r)
	}()
	dialer := gorilla.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
	client, _, err := dialer.Dial("ws://example.com/socket/websocket?vsn=2.0.0", nil)
	require.NoError(t, err)
	<-served
	return client, near
}

// A pipeWriter is an http.ResponseWriter that can only be hijacked.
type pipeWriter struct {
	http.ResponseWriter
	conn net.Conn
	rw   *bufio.ReadWriter
}

func (w pipeWriter) Hijack() (net.Conn, *bufio.ReadWriter, error) { return w.conn, w.rw, nil }

func text(s string) *wire.Frame        { return &wire.Frame{Data: []byte(s)} }
func lowPriority(s string) *wire.Frame { return &wire.Frame{Data: []byte(s), LowPriority: true} }
func shared(s string) *wire.Frame      { return &wire.Frame{Data: []byte(s), Shared: true} }

// requireText reads one text message.
func requireText(t testing.TB, client *gorilla.Conn, want string) {
	t.Helper()
	kind, data, err := client.ReadMessage()
	require.NoError(t, err)
	require.Equal(t, gorilla.TextMessage, kind)
	require.Equal(t, want, string(data))
}

// requireClosed reads on until the server's close frame.
func requireClosed(t testing.TB, client *gorilla.Conn, code int, reason string) {
	t.Helper()
	for {
		_, _, err := client.ReadMessage()
		if err == nil {
			continue
		}
		var closed *gorilla.CloseError
		require.ErrorAs(t, err, &closed)
		require.Equal(t, code, closed.Code)
		require.Equal(t, reason, closed.Text)
		return
	}
}

func await(t testing.TB, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(20 * time.Second):
		require.Fail(t, "timed out", "waiting for %s", what)
	}
}

func awaitLink(t testing.TB, s *fakeSession) wire.Link {
	t.Helper()
	select {
	case link := <-s.started:
		return link
	case <-time.After(20 * time.Second):
		require.Fail(t, "timed out", "waiting for Start")
		return nil
	}
}

// mustHandler checks a handler.
func mustHandler(h channel.Handler) *channel.Handler {
	checked, err := channel.NewHandler(h)
	if err != nil {
		panic(err)
	}
	return checked
}
