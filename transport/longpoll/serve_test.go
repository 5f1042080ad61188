package longpoll

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/origin"
)

// B095, B096, B097.
func TestStatusesAndHeadersOfAnswers(t *testing.T) {
	r := start(t, Config{CheckOrigin: origin.Any(), MaxBody: 100, MaxFrame: 50})
	token := connect(t, r)
	const json, noStore, reference = "application/json; charset=utf-8", "no-store", "max-age=0, private, must-revalidate"
	tests := []struct {
		name, method, body string
		headers            []string
		http, status       int
		contentType, cache string
	}{
		{"a poll", "GET", "", nil, 200, 200, json, noStore},
		{"a batch", "POST", "[1]", []string{"Content-Type: application/x-ndjson"}, 200, 200, json, noStore},
		{"a message", "POST", "{}", nil, 200, 200, json, noStore},
		{"a preflight", "OPTIONS", "", nil, 200, 0, "", reference},
		{"another method", "PUT", "", nil, 400, 0, "", reference},
		{"DELETE", "DELETE", "", nil, 400, 0, "", reference},
		{"HEAD", "HEAD", "", nil, 400, 0, "", reference},
		{"no base64", "POST", "{}", []string{"Content-Type: application/x-ndjson"}, 500, 0, json, reference},
		{"a body that is too large", "POST", strings.Repeat("x", 101), nil, 400, 0, "", reference},
		{"a message that is too large", "POST", strings.Repeat("x", 51), nil, 400, 0, "", reference},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r.last().send("hello")
			a := do(context.Background(), r, tt.method, "/?token="+token, tt.body, tt.headers...)
			require.Equal(t, tt.http, a.HTTP)
			require.Equal(t, tt.status, a.Status)
			require.Equal(t, tt.contentType, a.Header.Get("Content-Type"))
			require.Equal(t, tt.cache, a.Header.Get("Cache-Control"))
			require.Equal(t, tt.http != 500, a.Header.Get("Access-Control-Allow-Origin") == "*")
			if tt.contentType == "" {
				require.Empty(t, a.Body)
			}
		})
	}
	require.Equal(t, []string{"text [1]", "text {}"}, r.last().got(), "and nothing of what was refused")
	require.Empty(t, r.last().closedWith())
}

func TestAPreflightEchoesTheHeadersThatAreAskedFor(t *testing.T) {
	r := start(t, Config{CheckOrigin: origin.Any()})
	a := do(context.Background(), r, "OPTIONS", "/", "", "Origin: http://other.example", "Access-Control-Request-Headers: content-type", "Access-Control-Request-Headers: x-phoenix-authtoken")
	require.Equal(t, "content-type, x-phoenix-authtoken", a.Header.Get("Access-Control-Allow-Headers"))
	require.Equal(t, "get, post, options", a.Header.Get("Access-Control-Allow-Methods"))
	require.Equal(t, "3600", a.Header.Get("Access-Control-Max-Age"))
	require.NotContains(t, do(context.Background(), r, "OPTIONS", "/", "").Header, "Access-Control-Allow-Headers")
}

// B021, B023, B029.
func TestAnOriginThatMayNotConnectIsRefusedInTheBody(t *testing.T) {
	r := start(t, Config{})
	token := connect(t, r)
	for _, method := range []string{"GET", "POST", "OPTIONS"} {
		a := do(context.Background(), r, method, "http://example.com/?token="+token, "", "Origin: http://evil.com")
		require.Equal(t, 200, a.HTTP, method)
		require.JSONEq(t, `{"status":403}`, a.Body)
		require.NotContains(t, a.Header, "Access-Control-Allow-Methods")
	}
	require.Empty(t, r.last().got())
	require.Equal(t, 410, do(context.Background(), r, "GET", "http://example.com/", "", "Origin: https://example.com:444").Status)
	require.EqualValues(t, 3, r.Stats().Refused)
}

// B030.
func TestTwoMountsKeepTwoOriginPolicies(t *testing.T) {
	anyone, listed := start(t, Config{CheckOrigin: origin.Any()}), start(t, Config{CheckOrigin: origin.List("https://good.com")})
	const evil, good = "Origin: http://evil.com", "Origin: https://good.com"
	require.Equal(t, 410, do(context.Background(), anyone, "GET", "/", "", evil).Status)
	require.Equal(t, 403, do(context.Background(), listed, "GET", "/", "", evil).Status)
	require.Equal(t, 410, do(context.Background(), listed, "GET", "/", "", good).Status)
}

// B007, B098.
func TestAClientThatConnectRefusesGets403WhateverTheHandlerChose(t *testing.T) {
	r := start(t, Config{})
	for name, refuse := range map[string]error{
		"an error":         errors.New("not you"),
		"a status of its":  &channel.ConnectError{Status: 429, Body: "Too many requests"},
		"an unknown vsn":   &channel.ConnectError{Status: 403, Err: wire.ErrVersion},
		"a server's fault": &channel.ConnectError{Status: 503},
	} {
		r.refuse = refuse
		a := get(r, "")
		require.Equal(t, 200, a.HTTP, name)
		require.JSONEq(t, `{"status":403}`, a.Body, name)
	}
	require.EqualValues(t, 4, r.Stats().Refused)
	require.Zero(t, r.Stats().Sessions)
}

func TestAClientIsToldToComeBackWhenThereIsNoRoom(t *testing.T) {
	tryLater := func(a answer) {
		t.Helper()
		require.Equal(t, 503, a.HTTP)
		require.JSONEq(t, `{"status":500}`, a.Body)
	}
	r := start(t, Config{MaxSessions: 2})
	r.refuse = &channel.ConnectError{Status: 503, Err: channel.ErrClosed}
	tryLater(get(r, "")) // the endpoint drains
	r.refuse = nil
	connect(t, r)
	token := connect(t, r)
	tryLater(get(r, ""))
	r.last().send("x")
	require.Equal(t, 200, get(r, token).Status, "those who are in are served")
	closeTransport(t, r.Transport)
	tryLater(get(r, ""))
	tryLater(get(r, token))
	tryLater(post(r, token, "[]"))
	require.EqualValues(t, 2, r.Stats().Accepted)
}

// B099, B107.
func TestMessagesComeInOrderAsStrings(t *testing.T) {
	r := start(t, Config{})
	token := connect(t, r)
	r.last().send(`[null,"1","t","e",{"a":"<é>"}]`)
	r.last().send("second")
	a := get(r, token)
	require.Equal(t, `{"messages":["[null,\"1\",\"t\",\"e\",{\"a\":\"<é>\"}]","second"],"status":200,"token":"`+token+`"}`, a.Body)
	r.last().send("third")
	require.Equal(t, []string{"third"}, get(r, token).Messages)
}

// B103.
func TestTheTokenOfTheHeaderWins(t *testing.T) {
	r := start(t, Config{})
	one := connect(t, r)
	first := r.last()
	two := connect(t, r)
	first.send("one")
	r.last().send("two")
	poll := func(uri string, headers ...string) []string {
		return do(context.Background(), r, "GET", uri, "", headers...).Messages
	}
	require.Equal(t, []string{"one"}, poll("/?token="+two, "X-Phoenix-Longpoll-Token: "+one))
	require.Equal(t, []string{"two"}, poll("/?token="+one+"&token="+two+"&"), "the last of the query")
	first.send("again")
	require.Equal(t, []string{"again"}, poll("/", "x-phoenix-longpoll-token: "+one))
}

// B100, B109.
func TestARequestWithoutAValidTokenIsGone(t *testing.T) {
	r, other := start(t, Config{}), start(t, Config{})
	foreign := connect(t, other)
	unknown := token{issued: time.Now(), replica: r.self, client: clientID{1}}.encode(r.key)
	elsewhere := token{issued: time.Now(), replica: other.self, client: clientID{1}}.encode(r.key)
	expired := token{issued: time.Now().Add(-defaultTokenAge - time.Second), replica: r.self}.encode(r.key)
	for name, bad := range map[string]string{"none": "", "rubbish": "rubbish", "foreign": foreign, "unknown": unknown, "of another replica": elsewhere, "expired": expired} {
		a := post(r, bad, "[]")
		require.Equal(t, 200, a.HTTP, name)
		require.JSONEq(t, `{"status":410}`, a.Body, name)
		a = get(r, bad)
		require.Equal(t, 410, a.Status, name)
		require.NotEqual(t, bad, a.Token, name)
		require.Empty(t, r.last().got(), name)
	}
	require.EqualValues(t, 6, r.Stats().Accepted)
}

func TestPostedMessagesReachTheConn(t *testing.T) {
	r := start(t, Config{})
	token := connect(t, r)
	require.Equal(t, 200, post(r, token, `["3","3","room:lobby","phx_join",{}]`).Status)
	require.Equal(t, 200, post(r, token, `["3","4","room:lobby","a",{"n":1}]`, `["3","5","room:lobby","b",{"n":2}]`, "AAEBCgMzNnJvb206bG9iYnliaW4BAg==").Status)
	require.Equal(t, 200, do(context.Background(), r, "POST", "/?token="+token, `{"topic":"t"}`, "Content-Type: application/json").Status)
	require.Equal(t, []string{
		`text ["3","3","room:lobby","phx_join",{}]`, `text ["3","4","room:lobby","a",{"n":1}]`, `text ["3","5","room:lobby","b",{"n":2}]`,
		"binary \x00\x01\x01\x0a\x0336room:lobbybin\x01\x02", `text {"topic":"t"}`,
	}, r.last().got())
}

func TestAMalformedMessageEndsItsSessionOnly(t *testing.T) {
	r := start(t, Config{})
	r.receive = func(_ bool, data []byte) *wire.Close {
		switch string(data) {
		case "[bad]":
			return &wire.Close{Code: wire.CloseInternal}
		case "[panic]":
			panic("boom")
		}
		return nil
	}
	other := connect(t, r)
	otherConn := r.last()
	for i, bad := range []string{"[bad]", "[panic]"} {
		token := connect(t, r)
		c := r.last()
		c.send("waits")
		a := post(r, token, "[1]", bad, "[2]")
		require.Equal(t, 200, a.HTTP)
		require.JSONEq(t, `{"status":408}`, a.Body)
		require.Equal(t, []string{"text [1]", "text " + bad}, c.got())
		require.Equal(t, 410, post(r, token, "[3]").Status)
		a = get(r, token)
		require.Equal(t, 410, a.Status)
		require.NotEqual(t, token, a.Token)
		require.Empty(t, a.Messages)
		require.Eventually(t, func() bool { return len(c.closedWith()) == 1 && r.Stats().Sessions == 2+i }, 20*time.Second, time.Millisecond)
		require.Equal(t, []channel.Reason{wire.ReasonClosed}, c.closedWith())
	}
	require.EqualValues(t, 1, r.Stats().Malformed)
	otherConn.send("lives")
	require.Equal(t, []string{"lives"}, get(r, other).Messages)
}

// A protocol of the application may panic as it begins a connection.
func TestAPanicAtTheStartEndsItsSessionOnly(t *testing.T) {
	r := start(t, Config{})
	other := connect(t, r)
	otherConn := r.last()
	r.start = func() { panic("boom") }
	token := connect(t, r)
	bad := r.last()
	r.start = nil
	require.NotEqual(t, token, get(r, token).Token)
	require.Eventually(t, func() bool { return len(bad.closedWith()) == 1 }, 20*time.Second, time.Millisecond)
	otherConn.send("lives")
	require.Equal(t, []string{"lives"}, get(r, other).Messages)
}

// B108.
func TestABinaryFrameEndsTheSession(t *testing.T) {
	r := start(t, Config{})
	token := connect(t, r)
	r.last().send("before")
	r.last().link.Send(&wire.Frame{Binary: true, Data: []byte{1}})
	require.Equal(t, 410, get(r, token).Status)
	require.Eventually(t, func() bool { return r.Stats().Binary == 1 }, 20*time.Second, time.Millisecond)
}

func TestASessionWhoseBufferIsFullEnds(t *testing.T) {
	r := start(t, Config{BufferBytes: 1000})
	token := connect(t, r)
	slow := r.last()
	slow.send(strings.Repeat("x", 5000)) // a single message may be larger
	require.Len(t, get(r, token).Messages, 1)
	for range 1000/(36+frameOverhead) + 1 {
		slow.send(strings.Repeat("x", 36))
	}
	require.Equal(t, 410, get(r, token).Status)
	require.Eventually(t, func() bool { return r.Stats().Slow == 1 && len(slow.closedWith()) == 1 }, 20*time.Second, time.Millisecond)

	token = connect(t, r)
	for range 1000 / (36 + frameOverhead) {
		r.last().send(strings.Repeat("x", 36))
	}
	require.Len(t, get(r, token).Messages, 10)
}

// B002, B013, B016, B111.
func TestConnectGetsWhatATransportKnows(t *testing.T) {
	r := start(t, Config{})
	a := do(context.Background(), r, "GET", "https://example.com:4000/socket/longpoll?u=x&vsn=2.0.0&", "",
		"X-Phoenix-AuthToken: abc", "X-Forwarded-For: 192.0.2.9", "User-Agent: me/1", "Cookie: secret", "Authorization: secret",
		"Traceparent: 00-1-2-01", "Tracestate: a=1", "Sec-WebSocket-Protocol: base64url.bearer.phx.c2VjcmV0", "Sec-WebSocket-Version: 13")
	require.Equal(t, 410, a.Status)
	info := r.last().info
	require.Equal(t, "longpoll", info.Transport)
	require.Equal(t, "abc", info.AuthToken)
	require.Equal(t, "x", info.Params.Get("u"))
	require.Equal(t, "2.0.0", info.Params.Get("vsn"))
	require.Equal(t, "me/1", info.UserAgent)
	require.Equal(t, "example.com:4000", info.Host)
	require.Equal(t, "https://example.com:4000/socket/longpoll?u=x&vsn=2.0.0&", info.URI.String())
	require.NotNil(t, info.TLS)
	require.Equal(t, []string{"192.0.2.9"}, info.XHeaders["x-forwarded-for"])
	require.Equal(t, map[string][]string{"traceparent": {"00-1-2-01"}, "tracestate": {"a=1"}}, info.TraceContextHeaders)
	require.Equal(t, map[string][]string{"sec-websocket-version": {"13"}}, info.SecWebSocketHeaders)
	require.Equal(t, "192.0.2.1", strings.Split(info.RemoteAddr.String(), ":")[0])
	require.NotContains(t, fmt.Sprintf("%+v", info), "secret")
}

// B014: when a session begins, and only then.
func TestTheClientsSessionIsGivenToConnect(t *testing.T) {
	asked := 0
	r := start(t, Config{Session: func(r *http.Request) (any, error) {
		asked++
		cookie, err := r.Cookie("who")
		if err != nil {
			return nil, nil
		}
		if cookie.Value == "banned" {
			return nil, &channel.ConnectError{Status: 418}
		}
		return cookie.Value, nil
	}})
	a := do(context.Background(), r, "GET", "/?vsn=2.0.0", "", "Cookie: who=ann")
	require.Equal(t, 410, a.Status)
	require.Equal(t, "ann", r.last().info.Session)
	require.Equal(t, 410, do(context.Background(), r, "GET", "/?vsn=2.0.0", "").Status)
	require.Nil(t, r.last().info.Session)
	require.Equal(t, 403, do(context.Background(), r, "GET", "/?vsn=2.0.0", "", "Cookie: who=banned").Status, "B007")
	require.Equal(t, 3, asked)
	require.EqualValues(t, 1, r.Stats().Refused)
	require.Equal(t, 200, post(r, a.Token, `["1","1","t","e",{}]`).Status)
	require.Equal(t, 403, do(context.Background(), r, "GET", "/", "", "Cookie: who=ann", "Origin: http://evil.com").Status)
	require.Equal(t, 3, asked)
}

// A token that the application sends under the name of ours is its own.
func TestAnOldTokenIsNoParamOfTheApplication(t *testing.T) {
	r := start(t, Config{})
	old := token{issued: time.Now(), replica: r.self}.encode(r.key)
	do(context.Background(), r, "GET", "/?token=theirs&token="+old, "")
	require.Equal(t, []string{"theirs"}, r.last().info.Params["token"])
	get(r, old)
	require.NotContains(t, r.last().info.Params, "token")
	get(r, "theirs")
	require.Equal(t, []string{"theirs"}, r.last().info.Params["token"])
}

// Timeouts of the server that are shorter than a window do not end polls, and
// leave nothing behind on the connection.
func TestAPollOutlastsTheServersTimeouts(t *testing.T) {
	r := start(t, Config{Window: 300 * time.Millisecond})
	server := httptest.NewUnstartedServer(r)
	server.Config.ReadTimeout = 50 * time.Millisecond
	server.Config.WriteTimeout = 50 * time.Millisecond
	server.Start()
	defer server.Close()
	token := connect(t, r)
	for i := range 2 {
		response, err := server.Client().Get(server.URL + "?token=" + token)
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, response.StatusCode)
		body := make([]byte, 1000)
		n, _ := response.Body.Read(body)
		require.Contains(t, string(body[:n]), `"status":204`, i)
		response.Body.Close()
		response, err = server.Client().Post(server.URL+"?token="+token, ndjson, strings.NewReader("[1]"))
		require.NoError(t, err)
		n, _ = response.Body.Read(body)
		require.Equal(t, `{"status":200}`, string(body[:n]))
		response.Body.Close()
	}
}

func TestABodyThatDoesNotComeIsGivenUp(t *testing.T) {
	r := start(t, Config{BodyTimeout: 50 * time.Millisecond})
	server := httptest.NewServer(r)
	defer server.Close()
	token := connect(t, r)
	body, end := newSlowBody()
	defer end()
	request, err := http.NewRequest("POST", server.URL+"?token="+token, body)
	require.NoError(t, err)
	response, err := server.Client().Do(request)
	require.NoError(t, err)
	response.Body.Close()
	require.Equal(t, http.StatusBadRequest, response.StatusCode)
	require.Empty(t, r.last().got())
}

// A client that hangs up takes nothing with it.
func TestAPollThatIsHungUpTakesNoMessages(t *testing.T) {
	r := start(t, Config{})
	server := httptest.NewServer(r)
	defer server.Close()
	token := connect(t, r)
	ctx, cancel := context.WithCancel(context.Background())
	request, err := http.NewRequestWithContext(ctx, "GET", server.URL+"?token="+token, nil)
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() {
		_, err := server.Client().Do(request)
		done <- err
	}()
	c := r.onlyClient(t)
	require.Eventually(t, func() bool { return c.isPolled() }, 20*time.Second, time.Millisecond)
	cancel()
	require.Error(t, <-done)
	require.Eventually(t, func() bool { return !c.isPolled() }, 20*time.Second, time.Millisecond)
	r.last().send("kept")
	require.Equal(t, []string{"kept"}, get(r, token).Messages)
}
