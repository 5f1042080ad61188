package channel_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// events is a transport of an application's own, over server-sent events: a GET
// is a connection and carries its frames, a POST brings one message of the client
// that the stream's first event named. For the sake of brevity it looks at no
// origin and bounds neither the number of connections nor their silence.
type events struct {
	endpoint *channel.Endpoint
	handler  *channel.Handler
	streams  sync.Map // by name, *stream
}

const (
	maxMessage = 1 << 20
	maxWaiting = 1 << 20
)

// A stream is the wire.Link of one connection.
type stream struct {
	conn      *channel.Conn
	receiving sync.Mutex // one Receive at a time

	mu      sync.Mutex
	waiting []*wire.Frame
	bytes   int
	slow    bool
	end     *wire.Close   // what the client is told; nothing is queued after it
	wake    chan struct{} // of capacity 1: there is something to write
}

// Send neither blocks nor calls into conn: the goroutine of the stream writes. One
// for each stream, so Frame.LowPriority can be ignored.
func (s *stream) Send(frames ...*wire.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range frames {
		if s.end != nil {
			return
		}
		if s.bytes += len(f.Data); s.bytes > maxWaiting || f.Binary {
			s.slow = true
			s.close(wire.CloseTryLater, "too slow")
			return
		}
		s.waiting = append(s.waiting, f)
		s.signal()
	}
}

func (s *stream) Close(code int, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close(code, reason)
}

func (s *stream) close(code int, reason string) {
	if s.end == nil {
		s.end = &wire.Close{Code: code, Reason: reason}
		s.signal()
	}
}

func (s *stream) signal() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take is what there is to write, and whether it is the last.
func (s *stream) take() (frames []*wire.Frame, end *wire.Close) {
	s.mu.Lock()
	defer s.mu.Unlock()
	frames, s.waiting, s.bytes = s.waiting, nil, 0
	return frames, s.end
}

func (e *events) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPost {
		e.receive(w, r)
		return
	}
	conn, err := e.endpoint.Connect(r.Context(), e.handler, wire.ConnectInfo{
		Transport: "events", Params: r.URL.Query(), Host: r.Host, URI: r.URL, UserAgent: r.UserAgent(), TLS: r.TLS,
	})
	if err != nil {
		refusal := err.(*channel.ConnectError)
		http.Error(w, refusal.Body, refusal.Status)
		return
	}
	defer conn.Closed(wire.ReasonClosed) // however the connection ends
	s := &stream{conn: conn, wake: make(chan struct{}, 1)}
	name := rand.Text()
	e.streams.Store(name, s)
	defer e.streams.Delete(name)
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprintf(w, "event: name\ndata: %s\n\n", name)
	conn.Start(s)
	for {
		frames, end := s.take()
		for _, f := range frames {
			fmt.Fprintf(w, "data: %s\n\n", f.Data) // JSON without line ends
		}
		if end != nil {
			fmt.Fprintf(w, "event: close\ndata: %d %s\n\n", end.Code, end.Reason)
			if s.slow {
				conn.Reject(wire.Rejection{Cause: wire.CauseSlow, Limit: maxWaiting, Code: end.Code})
			}
			return
		}
		if http.NewResponseController(w).Flush() != nil {
			return
		}
		select {
		case <-s.wake:
		case <-r.Context().Done():
			return
		}
	}
}

func (e *events) receive(w http.ResponseWriter, r *http.Request) {
	found, ok := e.streams.Load(r.URL.Query().Get("name"))
	if !ok {
		http.Error(w, "no such stream", http.StatusGone)
		return
	}
	s := found.(*stream)
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxMessage))
	if err != nil {
		s.conn.Reject(wire.Rejection{Cause: wire.CauseFrameSize, Limit: maxMessage, Code: wire.CloseTooBig})
		s.Close(wire.CloseTooBig, "message too big")
		return
	}
	s.receiving.Lock()
	defer s.receiving.Unlock()
	if refused := s.conn.Receive(false, body); refused != nil {
		s.Close(refused.Code, refused.Reason)
	}
}

// A transport of one's own: what it has to do is said under "Transports" in the
// documentation of the package.
func Example_transport() {
	endpoint, _ := channel.New(channel.Config{})
	handler, _ := channel.NewHandler(channel.Handler{Routes: []channel.Route{{Pattern: "room:*", New: func() channel.Channel { return parrot{} }}}})
	server := httptest.NewServer(&events{endpoint: endpoint, handler: handler})

	// The client.
	answer, err := server.Client().Get(server.URL + "?vsn=2.0.0")
	if err != nil {
		fmt.Println(err)
		return
	}
	lines := bufio.NewScanner(answer.Body)
	next := func() (event string) {
		for lines.Scan() && lines.Text() != "" {
			event += strings.TrimPrefix(strings.TrimPrefix(lines.Text(), "data: "), "event: ") + " "
		}
		return strings.TrimSpace(event)
	}
	name := strings.TrimPrefix(next(), "name ")
	say := func(message string) {
		said, err := server.Client().Post(server.URL+"?name="+name, "application/json", strings.NewReader(message))
		if err == nil {
			said.Body.Close()
		}
	}
	say(`["1","1","room:1","phx_join",{}]`)
	fmt.Println(next())
	say(`["1","2","room:1","hello",{"n":1}]`)
	fmt.Println(next())

	// The end: clients are told to come back, and all are waited for.
	_ = endpoint.Drain(context.Background())
	fmt.Println(next())
	answer.Body.Close()
	server.Close()
	_ = endpoint.Close(context.Background())

	// Output:
	// ["1","1","room:1","phx_reply",{"status":"ok","response":{}}]
	// ["1","2","room:1","phx_reply",{"status":"ok","response":{"n":1}}]
	// close 1012 restart
}

// A parrot says what it hears.
type parrot struct{}

func (parrot) Join(context.Context, *channel.Socket, channel.Payload) (any, error) { return nil, nil }

func (parrot) HandleIn(_ *channel.Socket, _ string, payload channel.Payload) channel.Result {
	return channel.OK(payload)
}
