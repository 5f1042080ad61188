package main

import (
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/cmd/internal/serve/servetest"
)

// Here the whole service runs, as its process would: HTTP, WebSocket and NATS.

func start(t *testing.T, args ...string) *servetest.Command {
	app := newService(func(string) (string, bool) { return "", false }).app()
	return servetest.Start(t, app, args...)
}

// remote is a client of a service over WebSocket.
type remote struct {
	client
	closed chan int // gets the code with which the service closed the connection
}

func dial(t *testing.T, c *servetest.Command) *remote {
	ws, _, err := gorilla.DefaultDialer.Dial(c.WebSocket(""), nil)
	require.NoError(t, err)
	r := &remote{client{t: t, messages: make(chan message, 1000)}, make(chan int, 1)}
	// The service may close the connection before all was written. What the test
	// then waits for tells.
	r.send = func(text string) { _ = ws.WriteMessage(gorilla.TextMessage, []byte(text)) }
	read := make(chan struct{})
	go func() {
		defer close(read)
		for {
			_, data, err := ws.ReadMessage()
			if closed, ok := err.(*gorilla.CloseError); ok {
				r.closed <- closed.Code
			}
			if err != nil {
				return
			}
			m, err := parseMessage(data)
			if err != nil {
				t.Errorf("%s: %v", data, err)
			}
			r.messages <- m
		}
	}()
	t.Cleanup(func() {
		ws.Close()
		<-read
	})
	return r
}

func (r *remote) awaitClose() int {
	r.t.Helper()
	select {
	case code := <-r.closed:
		return code
	case <-time.After(timeout):
		r.t.Fatal("not closed")
		return 0
	}
}

// get is the body of what is answered with 200.
func get(t *testing.T, url string) string {
	res, err := http.Get(url)
	require.NoError(t, err)
	defer http.DefaultClient.CloseIdleConnections()
	defer res.Body.Close()
	require.Equal(t, 200, res.StatusCode)
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return string(body)
}

// awaitDiff waits for a diff in which key joined, or left, and returns it.
func (c *client) awaitDiff(side, key string) string {
	c.t.Helper()
	for {
		payload := c.await("presence_diff")
		var diff map[string]map[string]json.RawMessage
		require.NoError(c.t, json.Unmarshal([]byte(payload), &diff))
		if _, ok := diff[side][key]; ok {
			return payload
		}
	}
}

func TestServiceOnItsOwn(t *testing.T) {
	c := start(t)
	alice, bob := dial(t, c), dial(t, c)
	alice.join("room:1", `{"key":"alice","meta":{"color":"red"}}`)
	bob.join("room:1", `{"key":"bob"}`)
	alice.awaitDiff("joins", "bob")

	require.Equal(t, "ok", bob.ask("room:1", "broadcast", `{"event":"say","payload":{"text":"hi"}}`).Status)
	require.Equal(t, `{"text":"hi"}`, alice.await("say"))
	require.Equal(t, "ok", alice.ask("room:1", "update_meta", `{"meta":{"color":"blue"}}`).Status)
	require.Contains(t, bob.awaitDiff("joins", "alice"), `"color":"blue"`)
	require.Equal(t, "ok", alice.ask("room:1", "phx_leave", `{}`).Status)
	bob.awaitDiff("leaves", "alice")

	require.Contains(t, get(t, c.URL+"/healthz"), `"status":"ok"`)
	require.Contains(t, c.Stderr(), "no authentication is configured")
	require.Equal(t, 0, c.Stop())
}

func TestAllFaultsOfTheFlagsAreNamed(t *testing.T) {
	app := newService(nil).app()
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	app.Flags(fs)
	require.NoError(t, fs.Parse([]string{"--secret", "", "--broadcast-rate", "0"}))
	err := app.Check()
	require.ErrorContains(t, err, "--secret: the secret is empty")
	require.ErrorContains(t, err, "--broadcast-rate 0: must be 1 to 1000000")
}

func TestFrameTooLargeOrMalformedClosesItsOwnConnectionOnly(t *testing.T) {
	c := start(t)
	alice, large, garbled := dial(t, c), dial(t, c), dial(t, c)
	alice.join("room:1", `{"key":"alice"}`)
	large.join("room:1", `{"key":"large"}`)
	garbled.join("room:1", `{"key":"garbled"}`)
	large.push("room:1", "update_meta", `{"meta":{"x":`+quoted(2<<20)+`}}`)
	require.Equal(t, 1009, large.awaitClose())
	alice.awaitDiff("leaves", "large")
	garbled.send(`{"no":"frame"}`)
	require.Equal(t, 1011, garbled.awaitClose())
	alice.awaitDiff("leaves", "garbled")
	require.Equal(t, map[string][]map[string]any{"alice": {{}}}, people(t, string(alice.ask("room:1", "list", `{}`).Response)))
}

func TestSecretIsRequiredOfClients(t *testing.T) {
	c := start(t, "--secret", "geheim &+")
	token := "base64url.bearer.phx.Z2VoZWltICYr"
	tests := []struct {
		name, query, protocols string
		code                   int
	}{
		{"none", "", "", 403},
		{"wrong", "&secret=geheim", "", 403},
		{"empty", "&secret=", "", 403},
		{"a list", "&secret[]=geheim+%26%2B", "", 403},
		{"wrong token", "", "phoenix, base64url.bearer.phx.Z2VoZWlt", 403},
		{"as parameter", "&secret=geheim+%26%2B", "", 101},
		{"as auth token", "", "phoenix, " + token, 101},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			header := http.Header{}
			if test.protocols != "" {
				header.Set("Sec-WebSocket-Protocol", test.protocols)
			}
			ws, res, _ := gorilla.DefaultDialer.Dial(c.WebSocket(test.query), header)
			if ws != nil {
				ws.Close()
			}
			require.Equal(t, test.code, res.StatusCode)
		})
	}
	for query, status := range map[string]string{"": `{"status":403}`, "&secret=geheim+%26%2B": `"status":410`} {
		require.Contains(t, get(t, c.URL+"/socket/longpoll?vsn=2.0.0"+query), status)
	}
	require.Equal(t, 0, c.Stop())
	require.NotContains(t, c.Stderr(), "no authentication")
	require.NotContains(t, c.Stderr(), "geheim")
}

// With one secret on all replicas each serves the polls of all.
func TestLongPollingInAClusterIsSignedWithTheSecret(t *testing.T) {
	for _, test := range []struct {
		secret string
		status string // of a poll that comes to the other replica
	}{{"the same", `"status":200`}, {"another", `"status":410`}} {
		addressA, addressB := freeAddress(t), freeAddress(t)
		a := start(t, "--secret", "the same", "--name", "a", "--cluster-listen", addressA, "--routes", addressB)
		b := start(t, "--secret", test.secret, "--name", "b", "--cluster-listen", addressB, "--routes", addressA)
		for _, replica := range []string{a.URL, b.URL} {
			require.Eventually(t, func() bool { return strings.Contains(get(t, replica+"/healthz"), `"routes":1`) }, timeout, 10*time.Millisecond)
		}
		query := "/socket/longpoll?vsn=2.0.0&secret=" + strings.ReplaceAll(test.secret, " ", "+")
		var begun struct{ Token string }
		require.NoError(t, json.Unmarshal([]byte(get(t, a.URL+"/socket/longpoll?vsn=2.0.0&secret=the+same")), &begun))
		res, err := http.Post(a.URL+"/socket/longpoll?vsn=2.0.0&token="+begun.Token, "application/json", strings.NewReader(`["1","1","room:1","phx_join",{"key":"alice"}]`))
		require.NoError(t, err)
		res.Body.Close()
		require.Contains(t, get(t, b.URL+query+"&token="+begun.Token), test.status)
	}
}

// freeAddress is a loopback address at which nobody listens.
func freeAddress(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().String()
}

func TestTwoReplicasAreOneServiceUntilOneIsShutDown(t *testing.T) {
	// Each is told of the other, and neither needs to be first.
	addressA, addressB := freeAddress(t), freeAddress(t)
	a := start(t, "--name", "a", "--cluster-listen", addressA, "--routes", addressB)
	b := start(t, "--name", "b", "--cluster-listen", addressB, "--routes", addressA)
	require.Equal(t, addressA, a.ClusterAddr)

	alice, bob := dial(t, a), dial(t, b)
	alice.join("room:1", `{"key":"alice","meta":{"on":"a"}}`)
	bob.join("room:1", `{"key":"bob"}`)
	alice.awaitDiff("joins", "bob")
	var list map[string][]map[string]any
	for list["alice"] == nil { // it came in bob's state, or comes in a diff
		list = people(t, string(bob.ask("room:1", "list", `{}`).Response))
	}
	require.Equal(t, []map[string]any{{"on": "a"}}, list["alice"])

	require.Equal(t, "ok", alice.ask("room:1", "broadcast", `{"event":"say","payload":{"n":1}}`).Status)
	require.Equal(t, `{"n":1}`, bob.await("say"))
	require.Equal(t, "ok", bob.ask("room:1", "update_meta", `{"meta":{"n":2}}`).Status)
	require.Contains(t, alice.awaitDiff("joins", "bob"), `"n":2`)

	began := time.Now()
	a.Signal()
	bob.awaitDiff("leaves", "alice")
	require.Less(t, time.Since(began), time.Second, "it was told; missing a replica takes longer")
	require.Equal(t, 1012, alice.awaitClose())
	require.Equal(t, 0, a.Wait())

	again := dial(t, b)
	again.join("room:1", `{"key":"alice","meta":{"on":"b"}}`)
	require.Contains(t, bob.awaitDiff("joins", "alice"), `"on":"b"`)
	require.Equal(t, 0, b.Stop())
	for log := range strings.Lines(a.Stderr() + b.Stderr()) {
		// The embedded servers say how often they tried before the other was there.
		require.False(t, strings.Contains(log, "level=ERROR") && !strings.Contains(log, "component=nats-server"), log)
	}
}
