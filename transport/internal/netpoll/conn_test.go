package netpoll

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A kind is a kind of connection.
type kind struct {
	name    string
	secure  bool
	wrapped bool // the socket cannot be seen
}

var kinds = []kind{
	{name: "plain"},
	{name: "TLS", secure: true},
	{name: "wrapped", wrapped: true},
	{name: "TLS wrapped", secure: true, wrapped: true},
}

func eachKind(t *testing.T, run func(t *testing.T, k kind)) {
	for _, k := range kinds {
		t.Run(k.name, func(t *testing.T) { run(t, k) })
	}
}

// polled reports whether a poll waits for the connection.
func (k kind) polled() bool { return runtime.GOOS == "linux" && !k.wrapped }

// connect returns both ends of a connection; the client's end lies on below.
func (k kind) connect(t *testing.T) (c Conn, client net.Conn, below *held) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	raw, err := net.Dial("tcp", listener.Addr().String())
	require.NoError(t, err)
	server, err := listener.Accept()
	require.NoError(t, err)
	require.NoError(t, server.(*net.TCPConn).SetWriteBuffer(8<<10))
	below = &held{Conn: raw}
	client = below
	if k.wrapped {
		server = struct{ net.Conn }{server}
	}
	if k.secure {
		s := httptest.NewTLSServer(nil)
		defer s.Close()
		client = tls.Client(below, &tls.Config{InsecureSkipVerify: true})
		secured := tls.Server(server, s.TLS)
		shaken := make(chan error, 1)
		go func() { shaken <- secured.Handshake() }()
		require.NoError(t, client.(*tls.Conn).Handshake())
		require.NoError(t, <-shaken)
		server = secured
	}
	c = New(server)
	t.Cleanup(func() {
		raw.Close()
		c.Abort()
	})
	return c, client, below
}

// A held connection may hold back all but the first bytes that are written.
type held struct {
	net.Conn
	holding bool
	back    []byte
}

func (h *held) Write(p []byte) (int, error) {
	if !h.holding {
		return h.Conn.Write(p)
	}
	h.back = append(h.back, p[3:]...)
	_, err := h.Conn.Write(p[:3])
	return len(p), err
}

func (h *held) release(t *testing.T) {
	h.holding = false
	_, err := h.Conn.Write(h.back)
	require.NoError(t, err)
}

func TestTryReadReadsWhatIsThereAndDoesNotWait(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		c, client, _ := k.connect(t)
		require.Equal(t, k.name == "plain" && runtime.GOOS != "windows", c.Direct())
		buf := make([]byte, 100)
		n, err := c.TryRead(buf)
		require.NoError(t, err)
		require.Zero(t, n)
		var got []byte
		for i := range 10 { // records that arrive together, too
			_, err = client.Write(bytes.Repeat([]byte{byte('a' + i)}, 150))
			require.NoError(t, err)
		}
		for len(got) < 1500 {
			require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
			require.NoError(t, c.Await())
			for n, err = c.TryRead(buf); n > 0; n, err = c.TryRead(buf) {
				got = append(got, buf[:n]...)
			}
			require.NoError(t, err)
		}
		require.Equal(t, strings.Repeat("a", 150), string(got[:150]))
		require.Equal(t, strings.Repeat("j", 150), string(got[1350:]))

		require.NoError(t, client.Close())
		require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
		require.NoError(t, c.Await())
		_, err = c.TryRead(buf)
		require.ErrorIs(t, err, io.EOF)
		require.False(t, IsTimeout(err))
	})
}

func TestAwaitHeedsTheReadDeadline(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		c, client, _ := k.connect(t)
		require.NoError(t, c.SetReadDeadline(longAgo))
		require.True(t, IsTimeout(c.Await()))
		n, err := c.TryRead(make([]byte, 1))
		require.NoError(t, err, "a timeout is no end")
		require.Zero(t, n)
		_, err = client.Write([]byte("late"))
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(10*time.Second)))
		got := make([]byte, 4)
		_, err = io.ReadFull(c, got)
		require.NoError(t, err)
		require.Equal(t, "late", string(got))
	})
}

// What is written arrives once and in order, however little is taken at a time, and
// writing what is taken at once ends though the peer reads nothing.
func TestWhatIsWrittenArrivesWhole(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		c, client, _ := k.connect(t)
		sent := make([]byte, 4<<20)
		for i := range sent {
			sent[i] = byte(i * i >> 8)
		}
		rest := sent
		n, err := c.TryWrite(rest)
		require.NoError(t, err)
		require.Less(t, n, len(rest))
		if c.Waits() {
			require.Zero(t, n)
		}
		rest = rest[n:]
		received := make(chan []byte, 1)
		go func() {
			got := make([]byte, len(sent))
			io.ReadFull(client, got)
			received <- got
		}()
		require.NoError(t, c.SetWriteDeadline(time.Now().Add(20*time.Second)))
		for len(rest) > 0 {
			n, err = c.WaitWrite(rest[:min(len(rest), 100_000)])
			require.NoError(t, err)
			require.Positive(t, n)
			rest = rest[n:]
			n, err = c.TryWrite(rest)
			require.NoError(t, err)
			rest = rest[n:]
		}
		require.True(t, bytes.Equal(sent, <-received))
	})
}

// A gatedConn writes when the test lets it.
type gatedConn struct {
	net.Conn
	pass chan struct{}
}

func (c gatedConn) Write(p []byte) (int, error) {
	<-c.pass
	return c.Conn.Write(p)
}

// A write that has to wait although the kernel said that there is room is not given up,
// nor waited for by TryWrite.
func TestALateWriteGoesOn(t *testing.T) {
	k := kind{secure: true}
	if !k.polled() {
		return
	}
	c, client, _ := k.connect(t)
	l := c.(*layered)
	gate := gatedConn{l.conn, make(chan struct{})}
	l.conn = gate
	sent := []byte("a record")
	for range 2 {
		n, err := c.TryWrite(sent)
		require.NoError(t, err)
		require.Zero(t, n)
		require.NotNil(t, l.late)
		gate.pass <- struct{}{}
		n, err = c.WaitWrite(sent)
		require.NoError(t, err)
		require.Equal(t, len(sent), n)
		require.Nil(t, l.late)
		got := make([]byte, len(sent))
		_, err = io.ReadFull(client, got)
		require.NoError(t, err)
		require.Equal(t, sent, got)
	}
	n, err := c.TryWrite(sent)
	require.NoError(t, err)
	require.Zero(t, n)
	c.Abort()
	gate.pass <- struct{}{}
	_, err = c.WaitWrite(sent)
	require.ErrorIs(t, err, net.ErrClosed)
	require.Nil(t, l.late)
}

func TestAbortEndsReadsAndWritesThatWait(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		c, _, _ := k.connect(t)
		ended := make(chan error, 2)
		go func() {
			c.Await()
			_, err := c.TryRead(make([]byte, 1))
			ended <- err
		}()
		go func() {
			for {
				if _, err := c.WaitWrite(make([]byte, 1<<20)); err != nil {
					ended <- err
					return
				}
			}
		}()
		c.Abort()
		for range 2 {
			require.Error(t, <-ended)
		}
		_, err := c.TryRead(make([]byte, 1))
		require.True(t, err == nil || errors.Is(err, net.ErrClosed) || errors.Is(err, io.EOF), "%v", err)
	})
}
