package websocket

import (
	"bufio"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
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

func TestMain(m *testing.M) {
	pipeTLS() // outside of all bubbles
	goleak.VerifyTestMain(m)
}

// A fakeConn stands in for a *channel.Conn.
type fakeConn struct {
	receive func(binary bool, data []byte) *wire.Close
	control func() *wire.Close

	started chan wire.Link // gets the link at Start
	closed  chan struct{}  // closed at the first Closed

	mu     sync.Mutex
	ended  int
	inside bool // Receive runs
	told   []wire.Rejection
}

func newFake() *fakeConn {
	return &fakeConn{started: make(chan wire.Link, 1), closed: make(chan struct{})}
}

func (s *fakeConn) Start(link wire.Link) { s.started <- link }

func (s *fakeConn) Receive(binary bool, data []byte) *wire.Close {
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

func (s *fakeConn) ReceiveControl() *wire.Close {
	if s.control == nil {
		return nil
	}
	return s.control()
}

func (s *fakeConn) Reject(r wire.Rejection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = append(s.told, r)
}

func (s *fakeConn) Closed(channel.Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended++; s.ended == 1 {
		close(s.closed)
	}
}

// timesClosed is how often Closed was called.
func (s *fakeConn) timesClosed() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

type connectFunc = httptransport.Connect[channelConn]

// letIn connects all clients to s.
func letIn(s *fakeConn) connectFunc {
	return func(context.Context, wire.ConnectInfo) (channelConn, error) { return s, nil }
}

func transportFor(t testing.TB, cfg Config, connect connectFunc) *Transport {
	t.Helper()
	cfg, err := cfg.prepare()
	require.NoError(t, err)
	reject := func(r wire.Rejection) {
		cfg.Logger.Warn("refused", "cause", r.Cause, "code", r.Code, "error", r.Err)
	}
	return newTransport(connect, reject, cfg)
}

// closeTransport ends a transport and requires that nothing remains of it.
func closeTransport(t testing.TB, transport *Transport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	require.NoError(t, transport.Close(ctx))
	require.Zero(t, transport.Stats().Connections)
}

// A kind is a kind of connection: all must behave alike.
type kind struct {
	name             string
	secure, compress bool
	wrapped          bool // the server does not see the socket, as on other systems
	narrow           bool // the socket takes little at once
}

// plain is the kind that most clients are of.
var plain = kind{name: "plain"}

var kinds = []kind{
	plain,
	{name: "TLS", secure: true},
	{name: "compressed", compress: true},
	{name: "wrapped", wrapped: true},
	{name: "TLS wrapped and compressed", secure: true, compress: true, wrapped: true},
}

// eachKind runs a test for each kind of connection; with the race detector, which makes
// deflate many times as slow, for the first two.
func eachKind(t *testing.T, run func(t *testing.T, k kind)) {
	kinds := kinds
	if raceEnabled {
		kinds = kinds[:2]
	}
	runKinds(t, kinds, run)
}

// eachKindRaced is eachKind for tests in which many goroutines share what a kind adds.
func eachKindRaced(t *testing.T, run func(t *testing.T, k kind)) { runKinds(t, kinds, run) }

func runKinds(t *testing.T, kinds []kind, run func(t *testing.T, k kind)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { run(t, k) })
	}
}

// parks reports whether idle connections need no goroutine.
func (k kind) parks() bool { return runtime.GOOS == "linux" && !k.wrapped }

// serve mounts a transport on a server of its own until the test ends.
func (k kind) serve(t testing.TB, cfg Config, connect connectFunc) (*Transport, *httptest.Server) {
	t.Helper()
	cfg.Compress = k.compress
	transport := transportFor(t, cfg, connect)
	server := httptest.NewUnstartedServer(transport)
	k.start(server)
	t.Cleanup(func() {
		closeTransport(t, transport)
		server.Close()
	})
	return transport, server
}

func (k kind) start(server *httptest.Server) {
	server.Listener = kindListener{server.Listener, k}
	if k.secure {
		server.StartTLS()
	} else {
		server.Start()
	}
}

type kindListener struct {
	net.Listener
	kind kind
}

func (l kindListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	if l.kind.narrow {
		conn.(*net.TCPConn).SetWriteBuffer(64 << 10)
	}
	if l.kind.wrapped {
		conn = struct{ net.Conn }{conn}
	}
	return conn, nil
}

// serveLoopback serves plain connections.
func serveLoopback(t testing.TB, cfg Config, connect connectFunc) (*Transport, *httptest.Server) {
	t.Helper()
	return plain.serve(t, cfg, connect)
}

func wsURL(server *httptest.Server) string { return "ws" + strings.TrimPrefix(server.URL, "http") }

// dialerFor is what connects gorilla clients to a server, whatever kind it serves.
func dialerFor(server *httptest.Server) *gorilla.Dialer {
	return &gorilla.Dialer{EnableCompression: true, TLSClientConfig: clientTLS(server)}
}

func clientTLS(server *httptest.Server) *tls.Config {
	return server.Client().Transport.(*http.Transport).TLSClientConfig
}

// dial connects a gorilla client until the test ends.
func dial(t testing.TB, server *httptest.Server, header http.Header) *gorilla.Conn {
	t.Helper()
	client, answer, err := dialerFor(server).Dial(wsURL(server), header)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, answer.StatusCode)
	require.NoError(t, client.SetReadDeadline(time.Now().Add(20*time.Second)))
	t.Cleanup(func() { client.Close() })
	return client
}

// socketUnder is the socket of a client.
func socketUnder(client *gorilla.Conn) *net.TCPConn {
	conn := client.NetConn()
	if secured, ok := conn.(*tls.Conn); ok {
		conn = secured.NetConn()
	}
	return conn.(*net.TCPConn)
}

// dialPipe connects a gorilla client to a transport through net.Pipe: no
// sockets, so that it works in a bubble of synctest. Writes to a pipe wait until
// they are read. It returns the client's end of the pipe too.
func dialPipe(t testing.TB, transport *Transport) (*gorilla.Conn, net.Conn) {
	t.Helper()
	return plain.dialPipe(t, transport)
}

func (k kind) dialPipe(t testing.TB, transport *Transport) (*gorilla.Conn, net.Conn) {
	t.Helper()
	near, far := net.Pipe()
	if k.secure {
		server, client := pipeTLS()
		near, far = tls.Client(near, client), tls.Server(far, server)
	}
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
	dialer := gorilla.Dialer{
		EnableCompression: true,
		NetDialContext:    func(context.Context, string, string) (net.Conn, error) { return near, nil },
	}
	client, _, err := dialer.Dial("ws://example.com/socket/websocket?vsn=2.0.0", nil)
	require.NoError(t, err)
	<-served
	return client, near
}

// pipeTLS returns the configurations of both ends of a pipe. There are no tickets: they
// would be written, and waited for, before the client reads.
var pipeTLS = sync.OnceValues(func() (server, client *tls.Config) {
	s := httptest.NewTLSServer(nil)
	defer s.Close()
	return &tls.Config{Certificates: s.TLS.Certificates, SessionTicketsDisabled: true}, &tls.Config{InsecureSkipVerify: true}
})

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

func awaitLink(t testing.TB, s *fakeConn) wire.Link {
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
