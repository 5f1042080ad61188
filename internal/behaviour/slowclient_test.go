package behaviour_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/longpoll"
	"github.com/rollcall-go/rollcall/transport/websocket"
)

// waitLimit is how long a test over sockets waits for an event before it fails.
const waitLimit = 20 * time.Second

// hub is an endpoint that reports slow clients and channels that end.
type hub struct {
	*channel.Endpoint
	handler *channel.Handler
	slow    chan channel.RejectEvent
	ended   chan string // the users of channels that ended
}

func startHub(t *testing.T) *hub {
	t.Helper()
	h := &hub{slow: make(chan channel.RejectEvent, 10), ended: make(chan string, 10)}
	h.Endpoint = start(t, channel.Config{Telemetry: []channel.Telemetry{{Reject: func(r channel.RejectEvent) {
		if r.Cause == wire.CauseSlow {
			h.slow <- r
		}
	}}}})
	h.handler = serve(t, route("*", script{terminate: func(s *channel.Socket, _ channel.Reason) { h.ended <- user(s) }}))
	return h
}

// serveWebsocket starts a transport that ends with the test, before its endpoint.
func serveWebsocket(t *testing.T, e *channel.Endpoint, h *channel.Handler, options websocket.Config) *websocket.Transport {
	t.Helper()
	transport, err := websocket.New(e, h, options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, transport.Close(context.Background())) })
	return transport
}

// pipe is an http.ResponseWriter that can only be hijacked.
type pipe struct {
	http.ResponseWriter
	conn net.Conn
	rw   *bufio.ReadWriter
}

func (p pipe) Hijack() (net.Conn, *bufio.ReadWriter, error) { return p.conn, p.rw, nil }

// dialPipe connects a client over net.Pipe, which works in a bubble. What is
// written to the pipe waits until it is read.
func dialPipe(t *testing.T, transport http.Handler, user string) *gorilla.Conn {
	t.Helper()
	near, far := net.Pipe()
	go func() {
		reader := bufio.NewReader(far)
		if r, err := http.ReadRequest(reader); err == nil {
			transport.ServeHTTP(pipe{conn: far, rw: bufio.NewReadWriter(reader, bufio.NewWriter(far))}, r)
		}
	}()
	dialer := gorilla.Dialer{NetDialContext: func(context.Context, string, string) (net.Conn, error) { return near, nil }}
	return dial(t, &dialer, "ws://example.com", user, "t")
}

// dial connects a client and has it join a topic.
func dial(t *testing.T, dialer *gorilla.Dialer, url, user, topic string) *gorilla.Conn {
	t.Helper()
	c, _, err := dialer.Dial(url+"/?vsn=2.0.0&user="+user, nil)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.WriteMessage(gorilla.TextMessage, fmt.Appendf(nil, `["1","1",%q,"phx_join",{}]`, topic)))
	_, data, err := c.ReadMessage()
	require.NoError(t, err)
	require.Equal(t, "phx_reply", decode(t, data).event)
	return c
}

// events returns the events that c is sent, until the connection ends.
func events(c *gorilla.Conn) <-chan string {
	got := make(chan string, 10_000)
	go func() {
		defer close(got)
		for {
			_, data, err := c.ReadMessage()
			if err != nil {
				return
			}
			var m [5]json.RawMessage
			if json.Unmarshal(data, &m) != nil {
				return
			}
			got <- strings.Trim(string(m[3]), `"`)
		}
	}()
	return got
}

// readEnd reads on until the connection ends, and returns why.
func readEnd(c *gorilla.Conn) error {
	for {
		if _, _, err := c.ReadMessage(); err != nil {
			return err
		}
	}
}

// requireHears requires that the next event of each client is there without any
// time of the bubble passing.
func requireHears(t *testing.T, event string, others ...<-chan string) {
	t.Helper()
	synctest.Wait()
	for _, got := range others {
		select {
		case was := <-got:
			require.Equal(t, event, was)
		default:
			require.Fail(t, "not sent at once", event)
		}
	}
}

// now returns what is in the channel without any time of the bubble passing.
func now[T any](t *testing.T, values <-chan T) (v T) {
	t.Helper()
	synctest.Wait()
	require.NotEmpty(t, values)
	return <-values
}

var large = map[string]string{"x": strings.Repeat("x", 20_000)}

func TestClientThatReadsNothingIsClosedWhenTooMuchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t)
		transport := serveWebsocket(t, h.Endpoint, h.handler, websocket.Config{OutboxBytes: 100_000})
		slow := dialPipe(t, transport, "slow")
		others := []<-chan string{events(dialPipe(t, transport, "a")), events(dialPipe(t, transport, "b"))}
		began := time.Now()
		for i := range 30 {
			require.NoError(t, h.Broadcast("t", fmt.Sprint(i), large))
			requireHears(t, fmt.Sprint(i), others...)
		}
		require.Zero(t, time.Since(began), "the sender has not waited")
		require.Equal(t, "slow", now(t, h.slow).Conn.Value("user"))
		var closed *gorilla.CloseError
		require.ErrorAs(t, readEnd(slow), &closed)
		require.Equal(t, wire.CloseTryLater, closed.Code)
		require.Equal(t, "slow", now(t, h.ended))
		require.EqualValues(t, 2, h.Stats().Connections)
		require.NoError(t, h.Broadcast("t", "after", nil))
		requireHears(t, "after", others...)
		require.Empty(t, h.slow)
	})
}

func TestClientThatReadsNothingIsCutWhenItHasForTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const age = 10 * time.Second
		h := startHub(t)
		transport := serveWebsocket(t, h.Endpoint, h.handler, websocket.Config{OutboxAge: age, IdleTimeout: time.Hour})
		paused, slow := dialPipe(t, transport, "paused"), dialPipe(t, transport, "slow")
		other := events(dialPipe(t, transport, "other"))
		require.NoError(t, h.Broadcast("t", "one", nil))
		requireHears(t, "one", other)
		time.Sleep(age / 2)
		after := events(paused)
		requireHears(t, "one", after)
		require.Empty(t, h.slow)
		time.Sleep(age)
		require.Equal(t, "slow", now(t, h.slow).Conn.Value("user"))
		require.Equal(t, "slow", now(t, h.ended))
		require.Error(t, readEnd(slow))
		require.NoError(t, h.Broadcast("t", "two", nil))
		requireHears(t, "two", other, after)
		require.EqualValues(t, 2, h.Stats().Connections)
	})
}

// hear returns the next event of a client over a socket.
func hear(t *testing.T, got <-chan string) string {
	t.Helper()
	select {
	case event := <-got:
		return event
	case <-time.After(waitLimit):
		require.Fail(t, "timed out")
		return ""
	}
}

func TestClientThatReadsNothingOverASocketIsClosed(t *testing.T) {
	h := startHub(t)
	transport := serveWebsocket(t, h.Endpoint, h.handler, websocket.Config{OutboxBytes: 100_000, CloseTimeout: waitLimit})
	server := httptest.NewServer(transport)
	defer server.Close()
	url := "ws" + strings.TrimPrefix(server.URL, "http")
	slow := dial(t, gorilla.DefaultDialer, url, "slow", "t")
	others := []<-chan string{events(dial(t, gorilla.DefaultDialer, url, "a", "t")), events(dial(t, gorilla.DefaultDialer, url, "b", "t"))}
	sent := 0
	for ; len(h.slow) == 0; sent++ {
		require.Less(t, sent, 10_000, "the kernel does not take that much")
		require.NoError(t, h.Broadcast("t", fmt.Sprint(sent), large))
		for _, got := range others {
			require.Equal(t, fmt.Sprint(sent), hear(t, got), "while one reads nothing")
		}
	}
	require.Equal(t, "slow", (<-h.slow).Conn.Value("user"))
	require.NoError(t, slow.SetReadDeadline(time.Now().Add(waitLimit)))
	var closed *gorilla.CloseError
	require.ErrorAs(t, readEnd(slow), &closed)
	require.Equal(t, wire.CloseTryLater, closed.Code)
	require.Equal(t, "slow", hear(t, h.ended))
	require.NoError(t, h.Broadcast("t", "after", nil))
	for _, got := range others {
		require.Equal(t, "after", hear(t, got))
	}
	require.Empty(t, h.slow)
}

func TestClientThatStopsPollingEndsWhenTooMuchWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHub(t)
		transport, err := longpoll.New(h.Endpoint, h.handler, longpoll.Config{BufferBytes: 100_000})
		require.NoError(t, err)
		defer func() { require.NoError(t, transport.Close(context.Background())) }()
		slow, other := startPolling(t, transport, "slow"), startPolling(t, transport, "other")
		began := time.Now()
		for i := range 30 {
			require.NoError(t, h.Broadcast("t", fmt.Sprint(i), large))
			require.Equal(t, []string{fmt.Sprint(i)}, other.poll())
		}
		require.Zero(t, time.Since(began), "the sender has not waited")
		require.Equal(t, "slow", now(t, h.slow).Conn.Value("user"))
		require.Equal(t, "slow", now(t, h.ended))
		require.Empty(t, slow.poll())
		require.Equal(t, http.StatusGone, slow.status)
		require.Empty(t, h.slow)
	})
}

// poller is a client of long polling that has joined the topic t.
type poller struct {
	t         *testing.T
	transport http.Handler
	query     string
	token     string
	status    int
}

func startPolling(t *testing.T, transport http.Handler, user string) *poller {
	t.Helper()
	p := &poller{t: t, transport: transport, query: "/?vsn=2.0.0&user=" + user}
	require.Empty(t, p.poll())
	p.request(http.MethodPost, `["1","1","t","phx_join",{}]`)
	require.Equal(t, http.StatusOK, p.status)
	require.Equal(t, []string{"phx_reply"}, p.poll())
	return p
}

// poll returns the events of what the client is sent.
func (p *poller) poll() (events []string) {
	p.t.Helper()
	for _, text := range p.request(http.MethodGet, "") {
		events = append(events, decode(p.t, []byte(text)).event)
	}
	return events
}

func (p *poller) request(method, body string) (messages []string) {
	p.t.Helper()
	r := httptest.NewRequest(method, p.query+"&token="+p.token, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-ndjson")
	w := httptest.NewRecorder()
	p.transport.ServeHTTP(w, r)
	var answer struct {
		Status   int
		Token    string
		Messages []string
	}
	require.NoError(p.t, json.Unmarshal(w.Body.Bytes(), &answer))
	if answer.Token != "" {
		p.token = answer.Token
	}
	p.status = answer.Status
	return answer.Messages
}
