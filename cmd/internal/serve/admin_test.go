package serve_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/cmd/internal/serve"
	"github.com/rollcall-go/rollcall/cmd/internal/serve/servetest"
)

// withAdmin are flags of a replica that has an admin address.
var withAdmin = []string{"--name", "eu-1", "--admin-listen", "127.0.0.1:0"}

func dial(t *testing.T, url string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	return conn
}

func TestFiguresAndProfilesAreAtTheAdminAddressOnly(t *testing.T) {
	c := servetest.Start(t, hello(nil), withAdmin...)
	require.Equal(t, "hello: admin at "+c.AdminURL+"\nhello: listening at "+c.URL+"\n", c.Stdout())
	client := newClient(t)
	for _, test := range []struct {
		path          string
		public, admin int
		want          string // of the admin address
	}{
		{"/healthz", 200, 200, `"status":"ok","replica":"eu-1"`},
		{"/metrics", 404, 200, `rollcall_channel_connections{self="eu-1"} 0`},
		{"/debug/pprof/", 404, 200, "goroutine"},
		{"/debug/pprof/goroutine?debug=1", 404, 200, "goroutine profile: total"},
		{"/debug/pprof/symbol", 404, 200, "num_symbols"},
		{"/debug/pprof/profile?seconds=1", 404, 200, ""},
		{"/debug/pprof/trace?seconds=0.01", 404, 200, "go 1."},
		{"/debug/pprof/cmdline", 404, 404, "Unknown profile"}, // a secret may stand there
		{"/", 200, 404, ""},
		{"/socket/websocket", 400, 404, ""},
	} {
		require.Equal(t, test.public, get(t, client, c.URL+test.path).code, test.path)
		a := get(t, client, c.AdminURL+test.path)
		require.Equal(t, test.admin, a.code, test.path)
		require.Contains(t, a.body, test.want, test.path)
	}
	require.Equal(t, 0, c.Stop())
	_, err := net.Dial("tcp", strings.TrimPrefix(c.AdminURL, "http://"))
	require.Error(t, err, "nobody listens any more")
}

// In a bubble no time passes while somebody waits for the network: those who
// connect and send nothing have their turns until they go.
func TestAdminAddressAnswersWhileNobodyElseIsLetIn(t *testing.T) {
	hung := time.AfterFunc(30*time.Second, func() { panic("no answer at the admin address") })
	defer hung.Stop()
	synctest.Test(t, func(t *testing.T) {
		c := servetest.Start(t, hello(nil), withAdmin...)
		ask := func(url string) net.Conn {
			conn := dial(t, url)
			_, err := io.WriteString(conn, "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
			require.NoError(t, err)
			return conn
		}
		answer := func(conn net.Conn) int {
			res, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			return res.StatusCode
		}
		var silent []net.Conn
		for range 8 * runtime.GOMAXPROCS(0) { // more than there are turns
			silent = append(silent, dial(t, c.URL))
		}
		public := ask(c.URL)
		inLine := make(chan int, 1)
		go func() {
			defer close(inLine)
			inLine <- answer(public)
		}()
		for range 10 {
			require.Equal(t, 200, answer(ask(c.AdminURL)))
		}
		require.Empty(t, inLine, "it waits behind those who came before")
		for _, conn := range silent {
			conn.Close()
		}
		require.Equal(t, 200, <-inLine)
		require.Equal(t, 0, c.Stop())
	})
}

func TestAdminAddressSaysThatItDrainsUntilTheClientsAreGone(t *testing.T) {
	var c *servetest.Command
	var code int
	var health map[string]any
	var public error
	c = servetest.Start(t, hello(func(env *serve.Env) error {
		env.OnClose(func(context.Context) error {
			code, health = healthOf(t, newClient(t), c.AdminURL) // over a new connection
			_, public = net.Dial("tcp", strings.TrimPrefix(c.URL, "http://"))
			return nil
		})
		return nil
	}), withAdmin...)
	require.Equal(t, 0, c.Stop())
	require.Equal(t, 503, code)
	require.Equal(t, "draining", health["status"])
	require.Error(t, public)
}

func TestAdminAddressIsFreeAgainAfterAStartThatFailed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	l.Close()
	address := l.Addr().String()
	c := servetest.StartOnly(t, hello(func(*serve.Env) error { return errors.New("no deck") }), "--listen", "127.0.0.1:0", "--admin-listen", address)
	require.Equal(t, 1, c.Wait())
	l, err = net.Listen("tcp", address)
	require.NoError(t, err)
	l.Close()
}

func TestShutdownDoesNotWaitForWhoHoldsTheAdminAddress(t *testing.T) {
	c := servetest.Start(t, hello(nil), withAdmin...)
	half := dial(t, c.AdminURL)
	_, err := io.WriteString(half, "GET /healthz HTTP/1.1\r\n")
	require.NoError(t, err)
	begin := time.Now()
	require.Equal(t, 0, c.Stop())
	require.Less(t, time.Since(begin), 5*time.Second)
}

func TestAdminAddressHasSoManyConnections(t *testing.T) {
	c := servetest.Start(t, hello(nil), withAdmin...)
	for range 100 {
		dial(t, c.AdminURL)
	}
	over := dial(t, c.AdminURL)
	// A request that is not sent is not waited for longer, 10 s.
	require.NoError(t, over.SetDeadline(time.Now().Add(5*time.Second)))
	_, err := over.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, 0, c.Stop())
}
