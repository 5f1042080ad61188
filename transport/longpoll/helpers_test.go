package longpoll

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A fakeConn stands in for a *channel.Conn.
type fakeConn struct {
	info    wire.ConnectInfo
	start   func() // what Start does, if anything
	receive func(binary bool, data []byte) *wire.Close

	mu       sync.Mutex
	link     wire.Link
	inside   bool // Receive runs
	received []string
	reasons  []channel.Reason // of Closed
	told     []wire.Rejection
}

func (c *fakeConn) Reject(r wire.Rejection) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.told = append(c.told, r)
}

func (c *fakeConn) Start(link wire.Link) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.link = link
	if c.start != nil {
		c.start()
	}
}

func (c *fakeConn) Receive(binary bool, data []byte) *wire.Close {
	c.mu.Lock()
	if c.inside {
		panic("two Receives at once")
	}
	c.inside = true
	kind := "text "
	if binary {
		kind = "binary "
	}
	c.received = append(c.received, kind+string(data))
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.inside = false
	}()
	if c.receive == nil {
		return nil
	}
	return c.receive(binary, data)
}

func (c *fakeConn) Closed(reason channel.Reason) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.reasons = append(c.reasons, reason)
}

func (c *fakeConn) closedWith() []channel.Reason {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reasons
}

func (c *fakeConn) got() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.received
}

func (c *fakeConn) send(text string) { c.link.Send(&wire.Frame{Data: []byte(text)}) }

// A replica is a transport, with the conns that it has accepted.
type replica struct {
	*Transport
	start   func()                                     // of conns to come
	receive func(binary bool, data []byte) *wire.Close // of conns to come
	refuse  error

	mu    sync.Mutex
	conns []*fakeConn
}

// start makes a transport that lets everybody in, and closes it with the test.
func start(t testing.TB, cfg Config) *replica {
	t.Helper()
	cfg, err := cfg.prepare()
	require.NoError(t, err)
	r := &replica{}
	r.Transport, err = newTransport(func(_ context.Context, info wire.ConnectInfo) (channelConn, error) {
		if r.refuse != nil {
			return nil, r.refuse
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		c := &fakeConn{info: info, start: r.start, receive: r.receive}
		r.conns = append(r.conns, c)
		return c, nil
	}, func(wire.Rejection) {}, cfg)
	require.NoError(t, err)
	t.Cleanup(func() { closeTransport(t, r.Transport) })
	return r
}

// last is the conn that was accepted last.
func (r *replica) last() *fakeConn {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conns[len(r.conns)-1]
}

// closeTransport ends a transport and requires that nothing remains of it.
func closeTransport(t testing.TB, transport *Transport) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(t, transport.Close(ctx))
	require.Zero(t, transport.Stats().Sessions)
}

// An answer is what a request got.
type answer struct {
	HTTP     int
	Header   http.Header
	Body     string
	Status   int
	Token    string
	Messages []string
}

// do makes a request without sockets. headers are "Name: value".
func do(ctx context.Context, h http.Handler, method, uri, body string, headers ...string) answer {
	r := httptest.NewRequest(method, uri, strings.NewReader(body)).WithContext(ctx)
	for _, header := range headers {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	a := answer{HTTP: w.Code, Header: w.Header(), Body: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &a) // what is no JSON has no status
	return a
}

func get(h http.Handler, token string) answer {
	return do(context.Background(), h, "GET", "/socket/longpoll?vsn=2.0.0&token="+token, "")
}

func post(h http.Handler, token string, lines ...string) answer {
	return do(context.Background(), h, "POST", "/socket/longpoll?vsn=2.0.0&token="+token, strings.Join(lines, "\n"), "Content-Type: application/x-ndjson")
}

// connect begins a session and returns its token.
func connect(t testing.TB, h http.Handler) string {
	t.Helper()
	a := get(h, "")
	require.Equal(t, 410, a.Status, a.Body)
	require.NotEmpty(t, a.Token)
	require.Empty(t, a.Messages)
	return a.Token
}

// asyncGet polls in the background.
func asyncGet(ctx context.Context, h http.Handler, token string) <-chan answer {
	got := make(chan answer, 1)
	go func() { got <- do(ctx, h, "GET", "/socket/longpoll?vsn=2.0.0&token="+token, "") }()
	return got
}

var testSecret = bytes.Repeat([]byte("s"), minSecret)

// newSlowBody is a body that does not come until end.
func newSlowBody() (body io.Reader, end func()) {
	r, w := io.Pipe()
	return r, func() { w.Close() }
}

// onlyClient is the one client there is.
func (r *replica) onlyClient(t testing.TB) *client {
	t.Helper()
	r.Transport.mu.Lock()
	defer r.Transport.mu.Unlock()
	require.Len(t, r.clients, 1)
	for _, c := range r.clients {
		return c
	}
	return nil
}

func (c *client) isPolled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.waiting != nil
}

// mustHandler checks a handler.
func mustHandler(h channel.Handler) *channel.Handler {
	checked, err := channel.NewHandler(h)
	if err != nil {
		panic(err)
	}
	return checked
}
