package serve_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/cmd/internal/serve"
	"github.com/rollcall-go/rollcall/cmd/internal/serve/servetest"
	"github.com/rollcall-go/rollcall/presence"
)

// hello is an app that says hello.
func hello(change func(*serve.Env) error) serve.App {
	return serve.App{
		Name:     "hello",
		Synopsis: "Usage: hello [flags]",
		Build: func(env *serve.Env) (http.Handler, error) {
			mux := http.NewServeMux()
			mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello from "+env.Replica) })
			socket, err := env.Mount("/socket", channel.Handler{}, "--hello")
			if err != nil {
				return nil, err
			}
			mux.Handle("/socket/", socket)
			if change != nil {
				return mux, change(env)
			}
			return mux, nil
		},
	}
}

type answer struct {
	code int
	body string
}

func get(t require.TestingT, client *http.Client, url string) answer {
	res, err := client.Get(url)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{res.StatusCode, string(body)}
}

// newClient has connections of its own, which end with the test.
func newClient(t *testing.T) *http.Client {
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 20 * time.Second}
}

func healthOf(t require.TestingT, client *http.Client, url string) (code int, h map[string]any) {
	a := get(t, client, url+"/healthz")
	require.NoError(t, json.Unmarshal([]byte(a.body), &h), a.body)
	return a.code, h
}

func TestReplicaServesTheAppAndItsHealth(t *testing.T) {
	c := servetest.Start(t, hello(nil), "--name", "eu-1")
	client := newClient(t)
	require.Equal(t, answer{200, "hello from eu-1"}, get(t, client, c.URL))

	code, h := healthOf(t, client, c.URL)
	require.Equal(t, 200, code)
	require.Equal(t, map[string]any{"status": "ok", "replica": "eu-1", "connected": true, "connections": 0.0}, h)

	ws, _, err := gorilla.DefaultDialer.Dial(c.WebSocket(""), nil)
	require.NoError(t, err)
	defer ws.Close()
	// The client has its answer a moment before the connection counts.
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		_, h := healthOf(t, client, c.URL)
		require.Equal(t, 1.0, h["connections"])
	}, 20*time.Second, time.Millisecond)

	require.Contains(t, c.Stderr(), "no authentication is configured")
	c.Signal()
	_, _, err = ws.ReadMessage()
	require.Equal(t, 1012, err.(*gorilla.CloseError).Code)
	require.Equal(t, 0, c.Wait())
	require.Equal(t, "hello: listening at "+c.URL+"\n", c.Stdout())
	_, err = net.Dial("tcp", strings.TrimPrefix(c.URL, "http://"))
	require.Error(t, err, "nobody listens any more")
}

func TestReplicaShowsItsFigures(t *testing.T) {
	c := servetest.Start(t, hello(nil), "--name", "eu-1", "--cluster-listen", "127.0.0.1:0")
	client := newClient(t)
	ws, _, err := gorilla.DefaultDialer.Dial(c.WebSocket(""), nil)
	require.NoError(t, err)
	defer ws.Close()
	require.EventuallyWithT(t, func(t *assert.CollectT) {
		a := get(t, client, c.URL+"/metrics")
		require.Equal(t, 200, a.code)
		for _, line := range []string{
			`rollcall_channel_connections{self="eu-1"} 1`,
			`rollcall_channel_connects_total{result="accepted",self="eu-1",transport="websocket"} 1`,
			`rollcall_channel_rejections_total{cause="slow",self="eu-1"} 0`,
			`rollcall_presence_topics{self="eu-1"} 0`,
			`rollcall_intake_queued{self="eu-1"} 0`,
			`rollcall_natsbus_dropped_total{self="eu-1"} 0`,
		} {
			require.Contains(t, a.body, line+"\n")
		}
		require.Contains(t, a.body, "\ngo_goroutines ")
	}, 20*time.Second, time.Millisecond)
	require.Equal(t, 0, c.Stop())
}

func TestReplicaAloneRunsNoNATS(t *testing.T) {
	c := servetest.Start(t, hello(nil), "--name", "eu-1")
	a := get(t, newClient(t), c.URL+"/metrics")
	require.Equal(t, 200, a.code)
	require.Contains(t, a.body, "\nrollcall_channel_connections{")
	require.NotContains(t, a.body, "natsbus")
	require.Equal(t, 0, c.Stop())
}

// An address has so many WebSockets, so many sessions besides, and so many
// connections that are neither yet; and behind a proxy its clients have, each.
func TestAnAddressHasItsLimit(t *testing.T) {
	c := servetest.Start(t, hello(nil), "--max-connections-per-address", "2")
	for range 2 {
		ws, _, err := gorilla.DefaultDialer.Dial(c.WebSocket(""), nil)
		require.NoError(t, err)
		defer ws.Close()
	}
	_, res, err := gorilla.DefaultDialer.Dial(c.WebSocket(""), nil)
	require.Error(t, err)
	require.Equal(t, http.StatusTooManyRequests, res.StatusCode)
	require.Contains(t, c.Stderr(), `msg="channel: rejected" cause=address transport=websocket`)
	require.Equal(t, 0, c.Stop())

	c = servetest.Start(t, hello(nil), "--max-connections-per-address", "2")
	require.Equal(t, 2, halfRequests(t, c, 4))
	require.Contains(t, c.Stderr(), `msg="channel: rejected" cause=address transport=http remote=127.0.0.1:`)
	require.Equal(t, 0, c.Stop())

	c = servetest.Start(t, hello(nil), "--max-connections-per-address", "1", "--address-header", "X-Real-IP")
	as := func(address string) error {
		ws, _, err := gorilla.DefaultDialer.Dial(c.WebSocket(""), http.Header{"X-Real-Ip": {address}})
		if err == nil {
			t.Cleanup(func() { ws.Close() })
		}
		return err
	}
	require.NoError(t, as("192.0.2.1"))
	require.NoError(t, as("192.0.2.2"))
	require.Error(t, as("192.0.2.1"))
	require.Equal(t, 4, halfRequests(t, c, 4), "those are the proxy's")
	require.Equal(t, 0, c.Stop())
}

// halfRequests begins n requests at a time, and tells how many of them were not
// closed before they could be ended.
func halfRequests(t *testing.T, c *servetest.Command, n int) (open int) {
	var all []net.Conn
	for range n {
		conn, err := net.Dial("tcp", strings.TrimPrefix(c.URL, "http://"))
		require.NoError(t, err)
		defer conn.Close()
		require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
		_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\n")
		all = append(all, conn)
	}
	for _, conn := range slices.Backward(all) { // those that are over the limit first
		_, _ = io.WriteString(conn, "Host: x\r\n\r\n")
		if _, err := conn.Read(make([]byte, 1)); err == nil {
			open++
		}
	}
	return open
}

func TestAppThatAuthenticatesIsNotWarnedAbout(t *testing.T) {
	c := servetest.Start(t, hello(func(env *serve.Env) error {
		env.Authenticated = true
		return nil
	}))
	require.Equal(t, 0, c.Stop())
	require.NotContains(t, c.Stderr(), "authentication")
}

func TestForeignPagesAreRefusedUnlessAllowed(t *testing.T) {
	client := newClient(t)
	for _, test := range []struct {
		args []string
		code int
		poll string
	}{{nil, 403, `{"status":403}`}, {[]string{"--allow-origin", "https://friend.example"}, 101, `"status":410`}} {
		c := servetest.Start(t, hello(nil), test.args...)
		header := http.Header{"Origin": {"https://friend.example"}}
		ws, res, _ := gorilla.DefaultDialer.Dial(c.WebSocket(""), header)
		if ws != nil {
			ws.Close()
		}
		require.Equal(t, test.code, res.StatusCode)
		require.Contains(t, poll(t, client, c, "", header).body, test.poll)
	}
}

// poll begins a session of long polling, or polls that of a token.
func poll(t require.TestingT, client *http.Client, c *servetest.Command, token string, header http.Header) answer {
	req, err := http.NewRequest(http.MethodGet, c.URL+"/socket/longpoll?vsn=2.0.0&token="+token, nil)
	require.NoError(t, err)
	req.Header = header
	res, err := client.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return answer{res.StatusCode, string(body)}
}

func TestLongPollingIsOffInAClusterWithoutASecret(t *testing.T) {
	client := newClient(t)
	c := servetest.Start(t, hello(nil), "--cluster-listen", "127.0.0.1:0")
	require.Equal(t, 404, poll(t, client, c, "", nil).code)
	require.Regexp(t, "level=WARN msg=\"long polling is off.*path=/socket/longpoll remedy=--hello\n", c.Stderr())
	ws, _, err := gorilla.DefaultDialer.Dial(c.WebSocket(""), nil)
	require.NoError(t, err)
	ws.Close()
}

func TestShutdownAnswersPollsThatWait(t *testing.T) {
	client := newClient(t)
	app, polled := hello(nil), make(chan bool, 1)
	build := app.Build
	app.Build = func(env *serve.Env) (http.Handler, error) {
		h, err := build(env)
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("token") != "" {
				polled <- true
			}
			h.ServeHTTP(w, r)
		}), err
	}
	c := servetest.Start(t, app)
	require.NotContains(t, c.Stderr(), "long polling is off")
	var begun struct{ Token string }
	require.NoError(t, json.Unmarshal([]byte(poll(t, client, c, "", nil).body), &begun))
	answered := make(chan answer, 1)
	go func() {
		defer close(answered)
		answered <- poll(t, client, c, begun.Token, nil)
	}()
	<-polled
	began := time.Now()
	require.Equal(t, 0, c.Stop())
	require.Less(t, time.Since(began), 5*time.Second, "a poll waits for 10 s")
	require.Equal(t, answer{503, `{"status":500}`}, <-answered)
}

func TestStartThatCannotBeSaysWhyInOneLine(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	nobody := free.Addr().String()
	free.Close()

	tests := []struct {
		name string
		app  serve.App
		args []string
		code int
		want []string
	}{
		{"port taken", hello(nil), []string{"--listen", taken.Addr().String()}, 1,
			[]string{"listen at " + taken.Addr().String(), "address already in use", "another with --listen"}},
		{"admin port taken", hello(nil), []string{"--admin-listen", taken.Addr().String()}, 1,
			[]string{"listen at " + taken.Addr().String(), "address already in use", "another with --admin-listen"}},
		{"address of another machine", hello(nil), []string{"--listen", "192.0.2.1:0"}, 1, []string{"listen at 192.0.2.1:0"}},
		{"NATS unreachable", hello(nil), []string{"--nats", "nats://me:geheim@" + nobody}, 1, []string{"NATS", nobody}},
		{"NATS URL", hello(nil), []string{"--nats", "http://h"}, 2, []string{"--nats", `"http://h"`, "nats, tls, ws or wss"}},
		{"cluster port taken", hello(nil), []string{"--cluster-listen", taken.Addr().String()}, 1, []string{"--cluster-listen " + taken.Addr().String(), "address already in use"}},
		{"route", hello(nil), []string{"--cluster-listen", "127.0.0.1:0", "--routes", "h"}, 2, []string{"--routes", `"h"`}},
		{"the app", hello(func(*serve.Env) error { return errors.New("no deck") }), nil, 1, []string{"no deck"}},
		{"the app, which names itself", hello(func(*serve.Env) error { return errors.New("hello: no deck") }), nil, 1, []string{"no deck"}},
		{"the app's flags", hello(func(*serve.Env) error { return &serve.UsageError{Err: errors.New("--deck")} }), nil, 2, []string{"--deck"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			args := append([]string{"--listen", "127.0.0.1:0", "--log-level", "error", "--log-format", "json"}, test.args...)
			c := servetest.StartOnly(t, test.app, args...)
			require.Equal(t, test.code, c.Wait())
			require.Empty(t, c.Stdout())
			var said []string
			for line := range strings.Lines(c.Stderr()) {
				if !strings.HasPrefix(line, "{") { // the log
					said = append(said, line)
				}
			}
			require.Len(t, said, test.code, "one line, and the hint at --help: %q", said)
			require.Regexp(t, "^hello: ", said[0])
			require.NotContains(t, said[0], "hello: hello: ")
			for _, want := range test.want {
				require.Contains(t, said[0], want)
			}
			require.NotContains(t, c.Stderr(), "geheim")
		})
	}
}

// brittle runs a NATS server that can be stopped and started at one address.
func brittle(t *testing.T, port int) *server.Server {
	ns, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true})
	require.NoError(t, err)
	go ns.Start()
	t.Cleanup(func() { ns.Shutdown(); ns.WaitForShutdown() })
	require.True(t, ns.ReadyForConnections(20*time.Second))
	return ns
}

func TestHealthTellsOfALostConnectionToNATS(t *testing.T) {
	ns := brittle(t, -1)
	port := ns.Addr().(*net.TCPAddr).Port
	c := servetest.Start(t, hello(nil), "--nats", fmt.Sprintf("nats://127.0.0.1:%d", port))
	client := newClient(t)
	becomes := func(want int, status string) {
		require.EventuallyWithT(t, func(t *assert.CollectT) {
			code, h := healthOf(t, client, c.URL)
			require.Equal(t, want, code)
			require.Equal(t, status, h["status"])
			require.Equal(t, want == 200, h["connected"])
		}, 20*time.Second, 20*time.Millisecond)
	}
	becomes(200, "ok")
	ns.Shutdown()
	ns.WaitForShutdown()
	becomes(503, "disconnected")
	require.Equal(t, 200, get(t, client, c.URL).code, "clients are still served")
	brittle(t, port)
	becomes(200, "ok")
	ns.Shutdown()
	require.Equal(t, 0, c.Stop())
}

func TestShutdownIsQuickWhileNATSIsGone(t *testing.T) {
	ns := brittle(t, -1)
	c := servetest.Start(t, hello(nil), "--nats", "nats://"+ns.Addr().String())
	ns.Shutdown()
	ns.WaitForShutdown()
	begin := time.Now()
	require.Equal(t, 0, c.Stop())
	require.Less(t, time.Since(begin), 5*time.Second)
}

func TestShutdownClosesInReverseAndSaysThatItDrains(t *testing.T) {
	client := newClient(t)
	var c *servetest.Command
	var order []string
	var code int
	var health map[string]any
	c = servetest.Start(t, hello(func(env *serve.Env) error {
		env.OnClose(func(context.Context) error {
			order = append(order, "first")
			return nil
		})
		env.OnClose(func(ctx context.Context) error {
			// The listening socket is closed: this goes over the connection that
			// the client has.
			code, health = healthOf(t, client, c.URL)
			order = append(order, "second")
			if _, err := env.Tracker.NewSession().Track("room:x", "k", nil); err == nil {
				order = append(order, "the tracker still works")
			}
			return nil
		})
		return nil
	}))
	healthOf(t, client, c.URL)
	require.Equal(t, 0, c.Stop())
	require.Equal(t, []string{"second", "the tracker still works", "first"}, order)
	require.Equal(t, 503, code)
	require.Equal(t, "draining", health["status"])
}

func TestShutdownIsBoundedAndLeavesAllTheSame(t *testing.T) {
	ns := brittle(t, -1)
	url := "nats://" + ns.Addr().String()
	stuck := hello(func(env *serve.Env) error {
		_, err := env.Tracker.NewSession().Track("room:x", "held", nil)
		env.OnClose(func(ctx context.Context) error {
			<-ctx.Done()
			return fmt.Errorf("stuck: %w", ctx.Err())
		})
		return err
	})
	// A quarter of it is left for saying goodbye, which a busy machine takes long for.
	c := servetest.Start(t, stuck, "--nats", url, "--name", "stuck", "--shutdown-timeout", "2s")

	present := make(chan int, 100)
	watching := hello(func(env *serve.Env) error {
		watch, err := env.Tracker.Watch("room:x", func(e presence.Event) {
			n := len(e.Diff.Joins) - len(e.Diff.Leaves)
			if e.State != nil {
				n = len(e.State.Presences)
			}
			if n != 0 {
				present <- n
			}
		})
		if err == nil {
			env.OnClose(func(context.Context) error { watch.Stop(); return nil })
		}
		return err
	})
	other := servetest.Start(t, watching, "--nats", url, "--name", "watching")
	require.Equal(t, 1, <-present)

	begin := time.Now()
	require.Equal(t, 1, c.Stop())
	require.Less(t, time.Since(begin), 10*time.Second)
	require.Contains(t, c.Stderr(), "hello: shutdown: app: stuck: context deadline exceeded\n")
	require.Equal(t, -1, <-present, "its presence left")
	other.AwaitLog(`presence: replica left`) // it said so, and was not missed
}
