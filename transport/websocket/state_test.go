package websocket

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// shown is a channel that shows its clients the presences.
type shown struct{}

func (shown) Join(context.Context, *channel.Socket, channel.Payload) (any, error) { return nil, nil }

func (shown) HandleIn(_ *channel.Socket, _ string, p channel.Payload) channel.Result {
	return channel.OK(p)
}

func (shown) Terminate(context.Context, *channel.Socket, channel.Reason) {}

// serveShown serves rooms with so many users, of 8 KB each, named by their number.
func serveShown(t *testing.T, k kind, rooms ...int) *shownServer {
	t.Helper()
	bus := membus.New().Bus()
	tracker, err := presence.Start(t.Context(), presence.Config{Name: "r", Bus: bus})
	require.NoError(t, err)
	endpoint, err := channel.New(channel.Config{Bus: bus, Presence: tracker})
	require.NoError(t, err)
	handler, err := channel.NewHandler(channel.Handler{Routes: []channel.Route{
		{Pattern: "*", PushState: true, New: func() channel.Channel { return shown{} }},
	}})
	require.NoError(t, err)
	transport, err := New(endpoint, handler, Config{Compress: k.compress})
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(transport)
	k.start(server)
	t.Cleanup(func() {
		closeTransport(t, transport)
		server.Close()
		require.NoError(t, endpoint.Close(context.Background()))
		require.NoError(t, tracker.Close(context.Background()))
	})
	session := tracker.NewSession()
	for _, users := range rooms {
		for i := range users {
			_, err := session.Track(fmt.Sprint(users), fmt.Sprint("user", i), map[string]string{"about": strings.Repeat("x", 8000)})
			require.NoError(t, err)
		}
	}
	return &shownServer{server, tracker, endpoint, handler}
}

type shownServer struct {
	*httptest.Server
	tracker  *presence.Tracker
	endpoint *channel.Endpoint
	handler  *channel.Handler
}

// A pieceLink tells of what it is sent.
type pieceLink chan *wire.Frame

func (l pieceLink) Send(frames ...*wire.Frame) {
	for _, f := range frames {
		l <- f
	}
}
func (l pieceLink) Close(int, string) {}
func (l pieceLink) Gathers() bool     { return true }

// What a frame that others share the most of counts for is the whole of it.
func TestAFrameInPiecesCountsWhole(t *testing.T) {
	f := framesInPieces(t, 5)[0]
	require.Less(t, len(f.Data), 200)
	o := newTestOutbox(1<<20, newWriters(new(sync.WaitGroup)))
	o.taken = true // it is not written to
	o.send(f)
	require.Equal(t, f.Len()+frameHeader, o.queue.bytes)
	require.Greater(t, o.queue.bytes, 5*8000)
}

// A state that is copied into a frame, one whose frame is gathered for the writers
// and one that is written by itself are the same to a client, as is what comes
// before and after them; whatever it comes over.
func TestStatesOfAnySizeArriveWhole(t *testing.T) {
	rooms := []int{0, 1, 3, 6, 9, 40}
	eachKind(t, func(t *testing.T, k kind) {
		server := serveShown(t, k, rooms...)
		for _, room := range rooms {
			topic := fmt.Sprint(room)
			want := string(server.tracker.Peek(topic).JSON())
			for _, vsn := range []string{"2.0.0", "2.0.0", "2.0.0", "1.0.0"} { // the first has no state made for others
				c := &shownClient{T: t, topic: topic, vsn: vsn}
				var err error
				c.Conn, _, err = dialerFor(server.Server).Dial(wsURL(server.Server)+"?vsn="+vsn, nil)
				require.NoError(t, err)
				defer c.Close()
				require.NoError(t, c.SetReadDeadline(time.Now().Add(20*time.Second)))
				c.say("phx_join", "1")
				c.say("ask", "2")
				c.hears("phx_reply", `{"status":"ok","response":{}}`)
				if got := c.hear("presence_state"); got == want {
					c.hears("phx_reply", `{"status":"ok","response":{"of":"2"}}`)
				} else { // it had to be asked for, and the answer was sooner
					require.Equal(t, `{"status":"ok","response":{"of":"2"}}`, got)
					c.hears("presence_state", want)
				}
			}
		}
		require.Eventually(t, func() bool { return server.endpoint.Stats().JoinsRunning == 0 }, 10*time.Second, time.Millisecond)
	})
}

// shownClient speaks either version.
type shownClient struct {
	*testing.T
	*gorilla.Conn
	topic, vsn string
}

func (c *shownClient) say(event, ref string) {
	text := fmt.Sprintf(`["1",%q,%q,%q,{"of":%q}]`, ref, c.topic, event, ref)
	if c.vsn == "1.0.0" {
		text = fmt.Sprintf(`{"join_ref":"1","ref":%q,"topic":%q,"event":%q,"payload":{"of":%q}}`, ref, c.topic, event, ref)
	}
	require.NoError(c, c.WriteMessage(gorilla.TextMessage, []byte(text)))
}

// hear returns the payload of the next message, of event or of a reply.
func (c *shownClient) hear(event string) string {
	c.Helper()
	_, data, err := c.ReadMessage()
	require.NoError(c, err)
	var got, topic string
	var payload json.RawMessage
	if c.vsn == "1.0.0" {
		var m struct {
			Topic, Event string
			Payload      json.RawMessage
		}
		require.NoError(c, json.Unmarshal(data, &m))
		topic, got, payload = m.Topic, m.Event, m.Payload
	} else {
		var m [5]json.RawMessage
		require.NoError(c, json.Unmarshal(data, &m))
		require.NoError(c, json.Unmarshal(m[2], &topic))
		require.NoError(c, json.Unmarshal(m[3], &got))
		payload = m[4]
	}
	require.Equal(c, c.topic, topic)
	require.Contains(c, []string{event, "phx_reply"}, got)
	return string(payload)
}

func (c *shownClient) hears(event, payload string) {
	c.Helper()
	require.Equal(c, payload, c.hear(event))
}
