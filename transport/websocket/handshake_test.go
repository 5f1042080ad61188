package websocket

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/origin"
)

// handshakeHeaders are those of a valid handshake from no page.
const handshakeHeaders = "Host: example.com\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"

// ask sends a raw request and returns all that comes back until the server
// hangs up, or just the head of a 101.
func ask(t *testing.T, server *httptest.Server, request string) (status int, header http.Header, body string) {
	t.Helper()
	raw, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	defer raw.Close()
	require.NoError(t, raw.SetDeadline(time.Now().Add(20*time.Second)))
	_, err = io.WriteString(raw, request)
	require.NoError(t, err)
	reader := bufio.NewReader(raw)
	answer, err := http.ReadResponse(reader, nil)
	require.NoError(t, err)
	if answer.StatusCode == http.StatusSwitchingProtocols {
		return answer.StatusCode, answer.Header, ""
	}
	content, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	if answer.Close {
		rest, err := io.ReadAll(reader)
		require.NoError(t, err)
		require.Empty(t, string(rest), "more than one answer")
	}
	return answer.StatusCode, answer.Header, string(content)
}

func request(method, path, headers string) string {
	return method + " " + path + " HTTP/1.1\r\n" + headers + "\r\n"
}

// without drops a header, replace gives it another value.
func without(name string) string { return replace(name, "") }
func replace(name, value string) string {
	var b bytes.Buffer
	for _, line := range bytes.SplitAfter([]byte(handshakeHeaders), []byte("\r\n")) {
		if bytes.HasPrefix(line, []byte(name+":")) {
			if value != "" {
				fmt.Fprintf(&b, "%s: %s\r\n", name, value)
			}
			continue
		}
		b.Write(line)
	}
	return b.String()
}

// B011: validated by us, 400 with a reason that names the header; never 426.
func TestInvalidUpgradeIsAnswered400(t *testing.T) {
	fake := newFake()
	transport, server := serveLoopback(t, Config{}, letIn(fake))
	tests := []struct {
		name, request, body string
	}{
		{"POST", request("POST", "/", handshakeHeaders+"Content-Length: 0\r\n"), ""},
		{"HEAD-less method", request("PUT", "/", handshakeHeaders+"Content-Length: 0\r\n"), ""},
		{"plain GET", request("GET", "/", "Host: example.com\r\n"), "'connection' header must contain 'upgrade'"},
		{"no Connection", request("GET", "/", without("Connection")), "'connection' header must contain 'upgrade'"},
		{"other Connection", request("GET", "/", replace("Connection", "keep-alive, upgraded")), "'connection' header must contain 'upgrade'"},
		{"no Upgrade", request("GET", "/", without("Upgrade")), "'upgrade' header must contain 'websocket'"},
		{"other Upgrade", request("GET", "/", replace("Upgrade", "h2c")), "'upgrade' header must contain 'websocket'"},
		{"no key", request("GET", "/", without("Sec-WebSocket-Key")), "'sec-websocket-key' header must be given once"},
		{"two keys", request("GET", "/", handshakeHeaders+"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), "'sec-websocket-key' header must be given once"},
		{"short key", request("GET", "/", replace("Sec-WebSocket-Key", "c2hvcnQ=")), "'sec-websocket-key' header must be 16 bytes in base64"},
		{"junk key", request("GET", "/", replace("Sec-WebSocket-Key", "!!!")), "'sec-websocket-key' header must be 16 bytes in base64"},
		{"no version", request("GET", "/", without("Sec-WebSocket-Version")), "'sec-websocket-version' header must be '13'"},
		{"version 8", request("GET", "/", replace("Sec-WebSocket-Version", "8")), "'sec-websocket-version' header must be '13'"},
		{"HTTP/1.0", "GET / HTTP/1.0\r\n" + handshakeHeaders + "\r\n", "a WebSocket handshake must use HTTP/1.1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			status, _, body := ask(t, server, test.request)
			require.Equal(t, http.StatusBadRequest, status)
			require.Equal(t, test.body, body)
		})
	}
	require.EqualValues(t, len(tests), transport.Stats().Refused)
	require.Zero(t, transport.Stats().Accepted)
	// B012: connect ran for those that got as far as the upgrade, and is undone.
	require.Equal(t, len(tests)-2, fake.timesClosed())
}

func TestCheckUpgradeNeedsAHost(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Host = ""
	require.EqualError(t, checkUpgrade(r), "'host' header is absent")
}

// B006, B007: one answer, 403 empty or what Connect chose.
func TestRefusedByConnect(t *testing.T) {
	tests := []struct {
		name   string
		err    error
		status int
		body   string
	}{
		{"an error", errors.New("no"), 403, ""},
		{"chosen", &channel.ConnectError{Status: 429, Body: "Too many requests"}, 429, "Too many requests"},
		{"chosen, wrapped", fmt.Errorf("connect: %w", &channel.ConnectError{Status: 503, Body: "later"}), 503, "later"},
		{"chosen without status", &channel.ConnectError{Body: "why"}, 403, "why"},
		{"chosen without body", &channel.ConnectError{Status: 404}, 404, ""},
		{"chosen badly", &channel.ConnectError{Status: 101}, 403, ""},
		{"chosen worse", &channel.ConnectError{Status: 12345}, 403, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			transport, server := serveLoopback(t, Config{}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
				return nil, test.err
			})
			status, _, body := ask(t, server, request("GET", "/", handshakeHeaders+"Connection: close\r\n"))
			require.Equal(t, test.status, status)
			require.Equal(t, test.body, body)
			require.Equal(t, Stats{Refused: 1}, transport.Stats())
		})
	}
}

func TestPanicInConnectRefusesThatClientAlone(t *testing.T) {
	var logged bytes.Buffer
	survivor, calls := newFake(), 0
	transport, server := serveLoopback(t, Config{Logger: slog.New(slog.NewTextHandler(&logged, nil))},
		func(context.Context, wire.ConnectInfo) (channelConn, error) {
			if calls++; calls == 1 {
				panic("boom")
			}
			return survivor, nil
		})
	status, _, body := ask(t, server, request("GET", "/", handshakeHeaders))
	require.Equal(t, http.StatusInternalServerError, status)
	require.Empty(t, body)
	require.Contains(t, logged.String(), "boom")
	require.Zero(t, transport.Stats().Connections)
	dial(t, server, nil)
	awaitLink(t, survivor)
}

// B012: origin, auth token, subprotocol, connect, upgrade, in this order.
func TestOrderOfChecks(t *testing.T) {
	var connects int
	refuse := errors.New("no")
	transport := transportFor(t, Config{Subprotocols: []string{"phoenix"}}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
		connects++
		return nil, refuse
	})
	server := httptest.NewServer(transport)
	defer server.Close()
	const evil, badToken, badProtocol = "Origin: http://evil.com\r\n", "Sec-WebSocket-Protocol: phoenix,base64url.bearer.phx.!\r\n", "Sec-WebSocket-Protocol: x\r\n"
	tests := []struct {
		name, headers string
		connects      int
	}{
		{"origin before all", evil + badToken, 0},
		{"token before connect", badToken, 0},
		{"subprotocol before connect", badProtocol, 0},
		{"connect before upgrade", "", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			connects = 0
			status, _, body := ask(t, server, request("GET", "/", "Host: example.com\r\n"+test.headers))
			require.Equal(t, http.StatusForbidden, status)
			require.Empty(t, body)
			require.Equal(t, test.connects, connects)
		})
	}
	closeTransport(t, transport)
}

// B029, B030.
func TestTwoMountsKeepTwoOriginPolicies(t *testing.T) {
	var logged bytes.Buffer
	open, closed := newFake(), newFake()
	_, anyone := serveLoopback(t, Config{CheckOrigin: origin.Any()}, letIn(open))
	_, listed := serveLoopback(t, Config{
		CheckOrigin: origin.List("https://good.com"),
		Logger:      slog.New(slog.NewTextHandler(&logged, nil)),
	}, letIn(closed))

	dial(t, anyone, http.Header{"Origin": {"http://evil.com"}})
	awaitLink(t, open)

	status, _, body := ask(t, listed, request("GET", "/", handshakeHeaders+"Origin: http://evil.com\r\nConnection: close\r\n"))
	require.Equal(t, http.StatusForbidden, status)
	require.Empty(t, body)
	require.Contains(t, logged.String(), "http://evil.com")
	dial(t, listed, http.Header{"Origin": {"https://good.com"}})
	awaitLink(t, closed)
}

// B015, B017 over the wire.
func TestSubprotocolIsAnswered(t *testing.T) {
	tests := []struct {
		name    string
		served  []string
		offered string
		status  int
		answer  string
		token   string
	}{
		{"phoenix.js with a token", nil, "phoenix,base64url.bearer.phx.dG9rK2VuLz0", 101, "phoenix", "tok+en/="},
		{"phoenix.js without a token", nil, "phoenix", 101, "phoenix", ""},
		{"nothing offered", []string{"a"}, "", 101, "", ""},
		{"a token alone", []string{"a"}, "base64url.bearer.phx.YQ", 101, "", "a"},
		{"first served", []string{"a", "b"}, "b, a", 101, "a", ""},
		{"only others", []string{"a"}, "b", 403, "", ""},
		{"token unreadable", nil, "phoenix, base64url.bearer.phx.!", 403, "", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tokens := make(chan string, 1)
			_, server := serveLoopback(t, Config{Subprotocols: test.served}, func(_ context.Context, info wire.ConnectInfo) (channelConn, error) {
				tokens <- info.AuthToken
				return newFake(), nil
			})
			headers := handshakeHeaders
			if test.offered != "" {
				headers += "Sec-WebSocket-Protocol: " + test.offered + "\r\n"
			}
			status, header, _ := ask(t, server, request("GET", "/", headers))
			require.Equal(t, test.status, status)
			require.Equal(t, test.answer, header.Get("Sec-WebSocket-Protocol"))
			if test.status == 101 {
				require.Equal(t, test.token, <-tokens)
			} else {
				require.Empty(t, tokens)
			}
		})
	}
}

// B002, B003, B013.
func TestConnectInfo(t *testing.T) {
	infos := make(chan wire.ConnectInfo, 1)
	transport := transportFor(t, Config{}, func(_ context.Context, info wire.ConnectInfo) (channelConn, error) {
		infos <- info
		return nil, errors.New("seen enough")
	})
	mux := http.NewServeMux()
	mux.Handle("/ws/{user}/websocket", transport)
	mux.Handle("/rest/{path...}", transport)
	server := httptest.NewServer(mux)
	defer server.Close()

	ask(t, server, request("GET", "/ws/al%20ice/websocket?vsn=2.0.0&a%5Bb%5D=c&user=mallory&list[]=1&list[]=2&", handshakeHeaders+
		"User-Agent: me/1\r\nX-One: 1\r\nX-One: 2\r\nx-two: 3\r\nCookie: secret=1\r\nAuthorization: secret\r\n"+
		"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\ntracestate: a=1\r\nTracestate: b=2\r\nTraces: secret\r\n"+
		"Sec-WebSocket-Protocol: phoenix, base64url.bearer.phx.c2VjcmV0\r\nSec-WebSocket-Protocol: other\r\n"))
	info := <-infos
	require.Equal(t, "secret", info.AuthToken)
	info.AuthToken = ""
	require.Equal(t, "websocket", info.Transport)
	require.Equal(t, "al ice", info.Params.Get("user"), "a variable of the path wins over the query")
	require.Equal(t, []string{"c"}, info.Params["a[b]"])
	require.Equal(t, []string{"1", "2"}, info.Params["list[]"])
	require.Equal(t, "2.0.0", info.Params.Get("vsn"))
	require.Empty(t, info.Vsn, "is read from the params by Connect")
	require.IsType(t, &net.TCPAddr{}, info.RemoteAddr)
	require.True(t, info.RemoteAddr.(*net.TCPAddr).IP.IsLoopback())
	require.Equal(t, "example.com", info.Host)
	require.Equal(t, "me/1", info.UserAgent)
	require.Equal(t, map[string][]string{"x-one": {"1", "2"}, "x-two": {"3"}}, info.XHeaders)
	require.Equal(t, map[string][]string{
		"traceparent": {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}, "tracestate": {"a=1", "b=2"},
	}, info.TraceContextHeaders)
	require.Equal(t, map[string][]string{
		"sec-websocket-key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "sec-websocket-version": {"13"}, "sec-websocket-protocol": {"phoenix, other"},
	}, info.SecWebSocketHeaders, "the token's entry is taken out")
	require.Nil(t, info.TLS)
	require.Equal(t, "http", info.URI.Scheme)
	require.Equal(t, "example.com", info.URI.Host)
	require.Equal(t, "/ws/al ice/websocket", info.URI.Path)
	require.Equal(t, "vsn=2.0.0&a%5Bb%5D=c&user=mallory&list[]=1&list[]=2&", info.URI.RawQuery)
	require.NotContains(t, fmt.Sprintf("%+v", info), "secret")
	require.NotContains(t, fmt.Sprintf("%+v", info), "c2VjcmV0")

	ask(t, server, request("GET", "/rest/a/b", handshakeHeaders))
	info = <-infos
	require.Equal(t, "a/b", info.Params.Get("path"))
	require.Nil(t, info.XHeaders)
	require.Nil(t, info.TraceContextHeaders)
	closeTransport(t, transport)
}

// B013: peer_data with its certificate.
func TestConnectInfoHasTheCertificateOfTheClient(t *testing.T) {
	infos := make(chan wire.ConnectInfo, 1)
	transport := transportFor(t, Config{}, func(_ context.Context, info wire.ConnectInfo) (channelConn, error) {
		infos <- info
		return nil, errors.New("seen enough")
	})
	server := httptest.NewUnstartedServer(transport)
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert}
	server.StartTLS()
	defer server.Close()
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.Certificates, config.ServerName = server.TLS.Certificates, "example.com"
	dialer := gorilla.Dialer{TLSClientConfig: config}
	_, _, err := dialer.Dial("wss"+server.URL[len("https"):], nil)
	require.ErrorIs(t, err, gorilla.ErrBadHandshake)
	info := <-infos
	require.Equal(t, "https", info.URI.Scheme)
	require.NotNil(t, info.TLS)
	require.Len(t, info.TLS.PeerCertificates, 1)
	require.Equal(t, server.Certificate().Raw, info.TLS.PeerCertificates[0].Raw)
	require.Empty(t, info.TLS.VerifiedChains, "asked for, not checked")
	closeTransport(t, transport)
}

// B012, B014: the session is asked for after the subprotocol, before Connect.
func TestSessionIsGivenToConnect(t *testing.T) {
	infos := make(chan wire.ConnectInfo, 1)
	asked := 0
	_, server := serveLoopback(t, Config{Session: func(r *http.Request) (any, error) {
		asked++
		switch cookie, err := r.Cookie("who"); {
		case err != nil:
			return nil, nil
		case cookie.Value == "banned":
			return nil, &channel.ConnectError{Status: 418, Body: "no coffee"}
		case cookie.Value == "panic":
			panic("boom")
		default:
			return cookie.Value, nil
		}
	}}, func(_ context.Context, info wire.ConnectInfo) (channelConn, error) {
		infos <- info
		return newFake(), nil
	})
	with := func(headers string) (status int, body string) {
		status, _, body = ask(t, server, request("GET", "/", handshakeHeaders+headers))
		return status, body
	}
	status, _ := with("Cookie: a=b; who=ann\r\n")
	require.Equal(t, 101, status)
	require.Equal(t, "ann", (<-infos).Session)
	status, _ = with("")
	require.Equal(t, 101, status)
	require.Nil(t, (<-infos).Session)
	status, body := with("Cookie: who=banned\r\n")
	require.Equal(t, 418, status)
	require.Equal(t, "no coffee", body)
	status, _ = with("Cookie: who=panic\r\n")
	require.Equal(t, 500, status)
	require.Equal(t, 4, asked)
	for _, early := range []string{"Origin: http://evil.com\r\n", "Sec-WebSocket-Protocol: phoenix,base64url.bearer.phx.!\r\n"} {
		status, _ = with("Cookie: who=ann\r\n" + early)
		require.Equal(t, 403, status)
	}
	require.Equal(t, 4, asked, "only when all else was found good")
	require.Empty(t, infos)
}

func TestConnectionsAboveTheLimitAreRefused503(t *testing.T) {
	fakes := make(chan *fakeConn, 3)
	transport, server := serveLoopback(t, Config{MaxConnections: 2}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
		s := newFake()
		fakes <- s
		return s, nil
	})
	first := dial(t, server, nil)
	dial(t, server, nil)
	one, two := <-fakes, <-fakes
	awaitLink(t, one)
	awaitLink(t, two)
	status, _, body := ask(t, server, request("GET", "/", handshakeHeaders))
	require.Equal(t, http.StatusServiceUnavailable, status)
	require.Equal(t, "too many connections", body)
	require.Equal(t, Stats{Connections: 2, Accepted: 2, Refused: 1}, transport.Stats())

	require.NoError(t, first.Close())
	await(t, one.closed, "the end of the first connection")
	require.Eventually(t, func() bool { return transport.Stats().Connections == 1 }, 10*time.Second, time.Millisecond)
	dial(t, server, nil)
	<-fakes
}

// A middleware's ResponseWriter need not be a Hijacker.
func TestHandshakeThroughMiddleware(t *testing.T) {
	s := newFake()
	transport := transportFor(t, Config{}, letIn(s))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		transport.ServeHTTP(unwrapper{w}, r)
	}))
	defer server.Close()
	client := dial(t, server, nil)
	awaitLink(t, s).Send(text("hello"))
	requireText(t, client, "hello")
	require.NoError(t, client.Close())
	closeTransport(t, transport)
}

type unwrapper struct{ inner http.ResponseWriter }

func (u unwrapper) Header() http.Header         { return u.inner.Header() }
func (u unwrapper) Write(p []byte) (int, error) { return u.inner.Write(p) }
func (u unwrapper) WriteHeader(status int)      { u.inner.WriteHeader(status) }
func (u unwrapper) Unwrap() http.ResponseWriter { return u.inner }

func TestHandshakeThatCannotBeHijackedIsAnswered500(t *testing.T) {
	s := newFake()
	transport := transportFor(t, Config{}, letIn(s))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = http.Header{
		"Connection": {"upgrade"}, "Upgrade": {"websocket"},
		"Sec-Websocket-Key": {"dGhlIHNhbXBsZSBub25jZQ=="}, "Sec-Websocket-Version": {"13"},
	}
	w := httptest.NewRecorder()
	transport.ServeHTTP(w, r)
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Equal(t, "this server cannot upgrade connections", w.Body.String())
	require.Equal(t, 1, s.timesClosed())
	require.Equal(t, Stats{Refused: 1}, transport.Stats())
}

func TestOverTLS(t *testing.T) {
	s := newFake()
	transport := transportFor(t, Config{CheckOrigin: origin.SameOrigin(), IdleTimeout: 100 * time.Millisecond}, letIn(s))
	received := make(chan string, 10)
	s.receive = func(_ bool, data []byte) *wire.Close {
		received <- string(data)
		return nil
	}
	server := httptest.NewTLSServer(transport)
	defer server.Close()
	dialer := gorilla.Dialer{TLSClientConfig: &tls.Config{RootCAs: server.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs, ServerName: "example.com"}}
	client, _, err := dialer.Dial("wss"+server.URL[len("https"):], http.Header{"Origin": {server.URL}})
	require.NoError(t, err)
	defer client.Close()
	link := awaitLink(t, s)
	link.Send(shared("hello"))
	requireText(t, client, "hello")
	// Reads that time out are taken up again: TLS must survive that.
	for range 4 {
		require.NoError(t, client.WriteMessage(gorilla.TextMessage, []byte("alive")))
		require.Equal(t, "alive", <-received)
		link.Send(text("still"))
		requireText(t, client, "still")
	}
	requireClosed(t, client, wire.CloseProtocol, "idle timeout")
	closeTransport(t, transport)
}
