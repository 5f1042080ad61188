package serve

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Half a request holds a place, until the client hangs up; a WebSocket holds none.
func TestConnectionsAboveTheLimitAreClosed(t *testing.T) {
	open := new(openConns)
	hijacked := make(chan net.Conn, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/upgrade" {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err == nil {
				hijacked <- conn
			}
		}
	}))
	server.Config.ConnState = open.limit(3)
	server.Start()
	defer server.Close()
	dial := func(request string) net.Conn {
		c, err := net.Dial("tcp", server.Listener.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		_, _ = io.WriteString(c, request)
		return c
	}
	holds := func(n int64) {
		t.Helper()
		require.Eventually(t, func() bool { return open.n.Load() == n }, 10*time.Second, time.Millisecond)
	}
	const half = "GET / HTTP/1.1\r\n"
	dial("GET /upgrade HTTP/1.1\r\nHost: x\r\n\r\n")
	upgraded := <-hijacked
	defer upgraded.Close()
	holds(0)
	first := dial(half)
	dial(half)
	dial(half)
	holds(3)
	over := dial("")
	require.NoError(t, over.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err := over.Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, net.ErrClosed)
	var timeout net.Error
	require.False(t, errors.As(err, &timeout) && timeout.Timeout(), "it was closed")
	holds(3)
	first.Close()
	holds(2)
	answered := dial(half + "Host: x\r\n\r\n")
	require.NoError(t, answered.SetReadDeadline(time.Now().Add(10*time.Second)))
	_, err = answered.Read(make([]byte, 1))
	require.NoError(t, err)
}
