package behaviour_test

import (
	"context"
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
	"github.com/rollcall-go/rollcall/transport/websocket"
)

// A lineProtocol is a protocol that has nothing in common with Phoenix's: it greets
// first, a frame is several lines "verb topic text", each a message, and a message is
// answered with a frame for its head and one for its content. Its topics are those of
// the connection's tenant, and clients number their rooms. It carries metadata.
type lineProtocol struct{}

func (lineProtocol) Open(p wire.Peer) wire.Codec {
	c := &lineCodec{tenant: p.Value("tenant").(string), rooms: map[string]string{}}
	p.Send(&wire.Frame{Data: []byte("hello " + c.tenant + " over " + p.Transport())})
	return c
}

// Clients number rooms in their own way, so no two are sent the same frames.
func (lineProtocol) Broadcast([]*wire.Frame, wire.Message) ([]*wire.Frame, error) {
	return nil, wire.ErrNotShared
}

type lineCodec struct {
	tenant string

	mu    sync.Mutex
	count int               // messages received
	rooms map[string]string // the client's number of a topic
}

func (c *lineCodec) Decode(messages []wire.Message, _ bool, data []byte) ([]wire.Message, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for line := range strings.Lines(string(data)) {
		verb, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		room, text, _ := strings.Cut(rest, " ")
		number, name, _ := strings.Cut(room, "=")
		if verb == "join" {
			c.rooms[c.tenant+"/"+name] = number
		}
		topic := ""
		for t, n := range c.rooms {
			if n == number {
				topic = t
			}
		}
		event := map[string]string{"join": wire.EventJoin, "leave": wire.EventLeave}[verb]
		if event == "" {
			event = verb
		}
		c.count++
		payload, err := wire.NewPayload(map[string]string{"text": text})
		if err != nil {
			return nil, err
		}
		messages = append(messages, wire.Message{
			JoinRef: wire.StringRef(number), Ref: wire.StringRef(fmt.Sprint(c.count)), Topic: topic, Event: event,
			Payload: payload.WithMetadata([]byte("no. " + fmt.Sprint(c.count))),
		})
	}
	return messages, nil
}

func (c *lineCodec) Encode(frames []*wire.Frame, m wire.Message) ([]*wire.Frame, error) {
	if m.Event == "unsayable" {
		return nil, fmt.Errorf("no word for %s", m.Event)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	head := fmt.Sprintf("%s %s%s %s", m.Event, m.Status, m.Payload.Metadata(), c.rooms[m.Topic])
	return append(frames, &wire.Frame{Data: []byte(head)}, &wire.Frame{Data: m.Payload.JSON()}), nil
}

// lineClient is a client of it.
type lineClient struct {
	t    *testing.T
	conn *gorilla.Conn
}

func (c lineClient) say(lines ...string) {
	require.NoError(c.t, c.conn.WriteMessage(gorilla.TextMessage, []byte(strings.Join(lines, "\n"))))
}

func (c lineClient) hear(want ...string) {
	c.t.Helper()
	require.NoError(c.t, c.conn.SetReadDeadline(time.Now().Add(10*time.Second)))
	for _, text := range want {
		_, got, err := c.conn.ReadMessage()
		require.NoError(c.t, err)
		require.Equal(c.t, text, string(got))
	}
}

// A protocol that is unlike Phoenix's in all that the seam allows serves its clients
// over the WebSocket transport, beside Phoenix's.
func TestAProtocolOfTheApplicationServesItsClients(t *testing.T) {
	e := start(t, channel.Config{})
	shout := script{
		in: func(s *channel.Socket, event string, payload channel.Payload) channel.Result {
			require.NoError(t, s.Broadcast(event, payload))
			return channel.NoReply()
		},
	}
	h, err := channel.NewHandler(channel.Handler{
		Routes: []channel.Route{route("*", shout)},
		Connect: func(_ context.Context, c *channel.ConnectRequest) error {
			c.Assign("tenant", c.Params.String("tenant"))
			return nil
		},
		Protocols: map[string]wire.Protocol{"7.0": lineProtocol{}},
	})
	require.NoError(t, err)
	transport, err := websocket.New(e, h, websocket.Config{})
	require.NoError(t, err)
	server := httptest.NewServer(transport)
	t.Cleanup(server.Close)
	t.Cleanup(func() { require.NoError(t, transport.Close(context.Background())) })
	dial := func(query string) lineClient {
		conn, _, err := gorilla.DefaultDialer.Dial("ws"+strings.TrimPrefix(server.URL, "http")+"?"+query, nil)
		require.NoError(t, err)
		t.Cleanup(func() { conn.Close() })
		return lineClient{t, conn}
	}

	a, b := dial("vsn=7.0.0&tenant=acme"), dial("vsn=7.0.0&tenant=acme")
	phoenix, other := dial("vsn=2.0.0&tenant=acme"), dial("vsn=7.0.0&tenant=evil")
	for _, c := range []lineClient{a, b} {
		c.hear("hello acme over websocket")
	}
	other.hear("hello evil over websocket")

	// One frame brings several messages, and each is answered with two frames.
	a.say("join 1=lobby", "join 2=attic")
	replies := map[string]bool{}
	for range 2 { // joins of different topics run side by side
		_, head, err := a.conn.ReadMessage()
		require.NoError(t, err)
		_, content, err := a.conn.ReadMessage()
		require.NoError(t, err)
		replies[string(head)+" "+string(content)] = true
	}
	require.Equal(t, map[string]bool{
		`phx_reply ok 1 {}`: true,
		`phx_reply ok 2 {}`: true,
	}, replies)
	b.say("join 9=attic")
	b.hear("phx_reply ok 9", "{}")
	other.say("join 2=attic")
	other.hear("phx_reply ok 2", "{}")
	phoenix.say(`["1","1","acme/attic","phx_join",{}]`)
	phoenix.hear(`["1","1","acme/attic","phx_reply",{"status":"ok","response":{}}]`)

	// A broadcast is encoded for each, under its own number, with its metadata; the
	// other tenant's room of that name is another.
	a.say("shout 2 hey")
	a.hear("shout no. 3 2", `{"text":"hey"}`)
	b.hear("shout no. 3 9", `{"text":"hey"}`)
	phoenix.hear(`[null,null,"acme/attic","shout",{"text":"hey"}]`)

	// What cannot be said is not sent, and nothing else is lost for it.
	b.say("unsayable 9 x", "shout 9 bye", "leave 9")
	a.hear("shout no. 3 2", `{"text":"bye"}`)
	b.hear("shout no. 3 9", `{"text":"bye"}`, "phx_reply ok 9", "{}", "phx_close  9", "{}")
	phoenix.hear(`[null,null,"acme/attic","unsayable",{"text":"x"}]`, `[null,null,"acme/attic","shout",{"text":"bye"}]`)
	other.say("shout 2 alone")
	other.hear("shout no. 2 2", `{"text":"alone"}`)
}
