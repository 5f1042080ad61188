package intake

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// serveWith serves with an intake, which holds up each request until release.
func serveWith(t *testing.T, cfg Config, handler http.HandlerFunc) (*Intake, *httptest.Server) {
	t.Helper()
	in, err := New(cfg)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(handler)
	server.Config.ConnState = in.ConnState
	server.Listener = in.Listener(server.Listener)
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		require.Empty(t, in.open.conns)
		require.Zero(t, in.accepts.stats().Running)
	})
	return in, server
}

func dial(t *testing.T, server *httptest.Server, request string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(c, request)
	require.NoError(t, err)
	return c
}

const whole, half = "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\n"

func requireAnswer(t *testing.T, c net.Conn) {
	t.Helper()
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	require.Equal(t, 200, res.StatusCode)
	_, err = io.Copy(io.Discard, res.Body)
	require.NoError(t, err)
}

// All get in, and those that keep the server waiting delay no other.
func TestAListenerServesAll(t *testing.T) {
	var mu sync.Mutex
	var order []string
	_, server := serveWith(t, Config{MaxHandshakes: 1}, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, r.RemoteAddr)
	})
	var all []net.Conn
	var want []string
	for range 20 {
		dial(t, server, half)
		c := dial(t, server, whole)
		all = append(all, c)
		want = append(want, c.LocalAddr().String())
	}
	for _, c := range all {
		requireAnswer(t, c)
	}
	mu.Lock()
	got := slices.Clone(order)
	mu.Unlock()
	require.ElementsMatch(t, want, got)
	// A second request on a connection waits for nothing.
	_, err := io.WriteString(all[0], whole)
	require.NoError(t, err)
	requireAnswer(t, all[0])
}

// The turn of a connection ends when it is answered, taken over, or closed.
func TestATurnOfAConnectionEndsWithItsFirstAnswer(t *testing.T) {
	in, server := serveWith(t, Config{MaxHandshakes: 100}, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			c, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				defer c.Close()
				_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			}
		}
	})
	running := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool { return in.accepts.stats().Running == n }, 20*time.Second, time.Millisecond)
	}
	requireAnswer(t, dial(t, server, whole))
	running(0)
	requireAnswer(t, dial(t, server, "GET /up HTTP/1.1\r\nHost: x\r\n\r\n"))
	running(0)
	dial(t, server, whole).Close()
	running(0)
}

// listen has a listener of an intake with one turn, and so many connections to it
// that have sent something.
func listen(t *testing.T, sent ...string) (*Intake, net.Listener, []net.Conn) {
	t.Helper()
	in, err := New(Config{MaxHandshakes: 1})
	require.NoError(t, err)
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var clients []net.Conn
	for _, text := range sent {
		c, err := net.Dial("tcp", inner.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		_, err = io.WriteString(c, text)
		require.NoError(t, err)
		clients = append(clients, c)
	}
	return in, in.Listener(inner), clients
}

func TestAListenerTellsHowManyWait(t *testing.T) {
	in, l, _ := listen(t, half, half, half, half)
	wait := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool { return in.Stats() == Stats{Queued: n} }, 20*time.Second, time.Millisecond)
	}
	wait(4)
	c, err := l.Accept()
	require.NoError(t, err)
	wait(3)
	in.ConnState(c, http.StateClosed)
	require.NoError(t, c.Close())
	wait(3)
	require.NoError(t, l.Close())
	wait(0)
}

// Connections come in the order in which they were made, one at a time; one that
// keeps the server waiting holds up the others for 10 ms.
func TestAListenerPacesConnectionsInTheirOrder(t *testing.T) {
	in, l, clients := listen(t, whole, half, "", whole)
	defer l.Close()
	accept := func() net.Conn {
		t.Helper()
		c, err := l.Accept()
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		require.Equal(t, clients[0].LocalAddr().String(), c.RemoteAddr().String())
		clients = clients[1:]
		return c
	}
	turns := func() [2]int { return [2]int{in.accepts.stats().Running, int(in.accepts.stats().Waited)} }
	first := accept()
	require.Equal(t, [2]int{1, 0}, turns())
	in.ConnState(first, http.StateHijacked)
	require.Equal(t, [2]int{0, 0}, turns())
	accept()
	require.Equal(t, [2]int{1, 0}, turns())
	began := time.Now()
	accept() // after the 10 ms of that
	accept() // and of that
	require.Equal(t, [2]int{1, 2}, turns())
	require.GreaterOrEqual(t, time.Since(began), maxTurn)
}

func TestALimitOfHalfRequestsOfAnAddress(t *testing.T) {
	var told atomic.Int64
	cfg := Config{MaxPerAddress: 3, Refused: func(c net.Conn, why *Refusal) {
		if errors.Is(why, ErrAddress) && why.Limit == 3 {
			told.Add(1)
		}
	}}
	in, server := serveWith(t, cfg, func(http.ResponseWriter, *http.Request) {})
	open := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool {
			in.open.mu.Lock()
			defer in.open.mu.Unlock()
			return len(in.open.conns) == n
		}, 20*time.Second, time.Millisecond)
	}
	first := dial(t, server, half)
	dial(t, server, half)
	dial(t, server, half)
	open(3)
	over := dial(t, server, "")
	_, err := over.Read(make([]byte, 1))
	var timeout net.Error
	require.Error(t, err)
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "it was closed")
	require.EqualValues(t, 1, told.Load())
	open(3)
	first.Close()
	open(2)
	requireAnswer(t, dial(t, server, whole))
}

// Closing closes those that wait, too, and may be done twice.
func TestAClosedListenerClosesWhatWaits(t *testing.T) {
	in, l, clients := listen(t, whole, whole, whole)
	first, err := l.Accept()
	require.NoError(t, err)
	waits := make(chan error, 1)
	in.accepts.most = 0 // no turn comes any more
	go func() {
		_, err := l.Accept()
		waits <- err
	}()
	require.Eventually(t, func() bool { return in.accepts.stats().Waiting == 1 }, 20*time.Second, time.Millisecond)
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	require.ErrorIs(t, <-waits, net.ErrClosed)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	for _, c := range clients[1:] {
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		_, err := c.Read(make([]byte, 1))
		require.Error(t, err)
		require.NotErrorIs(t, err, net.ErrClosed)
	}
	require.NoError(t, first.Close())
	in.ConnState(first, http.StateClosed)
	require.Empty(t, in.open.conns)
}

// A brokenListener has errors between its connections.
type brokenListener struct {
	net.Listener
	errs chan error
}

func (b *brokenListener) Accept() (net.Conn, error) {
	if err, ok := <-b.errs; ok {
		return nil, err
	}
	return nil, net.ErrClosed
}

func (b *brokenListener) Close() error { return nil }

func TestErrorsOfAcceptReachTheServerWhichTriesAgain(t *testing.T) {
	in, err := New(Config{})
	require.NoError(t, err)
	b := &brokenListener{errs: make(chan error, 2)}
	l := in.Listener(b)
	for _, want := range []error{errors.New("too many open files"), errors.New("once more")} {
		b.errs <- want
		_, err = l.Accept()
		require.Equal(t, want, err)
	}
	close(b.errs)
	_, err = l.Accept()
	require.ErrorIs(t, err, net.ErrClosed)
	require.NoError(t, l.Close())
}

// In a storm that lasts, the memory of connections that have left the line is freed
// although others always wait.
func TestAsManyConnectionsWaitAsMayAndInTheirOrder(t *testing.T) {
	in, err := New(Config{MaxWaiting: 3})
	require.NoError(t, err)
	p := &listener{in: in, taken: make(chan struct{}, 1)}
	last := errors.New("the last one")
	require.True(t, p.add(accepted{}))
	require.True(t, p.add(accepted{err: last}))
	require.True(t, p.add(accepted{}))
	require.False(t, p.add(accepted{}), "MaxWaiting wait")
	p.take()
	a, _ := p.take()
	require.ErrorIs(t, a.err, last)
}
