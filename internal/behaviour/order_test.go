package behaviour_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/transport/websocket"
)

// A number is the payload of the broadcasts of one sender.
type number struct{ Sender, N int }

// requireNumbers requires that got has the numbers of each sender in order, none
// missing.
func requireNumbers(t *testing.T, senders, each int, got []number, name string) {
	t.Helper()
	next := make([]int, senders)
	for _, n := range got {
		require.Equal(t, next[n.Sender], n.N, "%s: of sender %d", name, n.Sender)
		next[n.Sender]++
	}
	for sender, n := range next {
		require.Equal(t, each, n, "%s: of sender %d", name, sender)
	}
}

func TestBroadcastsOfAGoroutineArriveInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const senders, each = 4, 60
		cl := startCluster(t, 2, channel.Config{})
		// The client of an intercepting channel gets the odd numbers from HandleOut,
		// which takes its time.
		intercepting := route("*", script{
			intercept: []string{"odd"},
			out: func(s *channel.Socket, event string, payload channel.Payload) channel.Result {
				time.Sleep(3 * time.Millisecond)
				must(s.Push(event, payload))
				return channel.NoReply()
			},
		})
		var clients []*client
		var mu sync.Mutex
		subscribed := make([][]number, len(cl.endpoints))
		for i, e := range cl.endpoints {
			for _, r := range []channel.Route{route("*", script{}), intercepting} {
				c := connect(t, e, serve(t, r), "u")
				c.join("t")
				clients = append(clients, c)
			}
			_, err := e.Subscribe("t", func(b channel.Broadcast) {
				var n number
				must(b.Payload.Decode(&n))
				mu.Lock()
				defer mu.Unlock()
				subscribed[i] = append(subscribed[i], n)
			})
			require.NoError(t, err)
		}
		time.Sleep(time.Second)

		var group sync.WaitGroup
		for sender := range senders {
			group.Go(func() {
				for n := range each {
					must(cl.endpoints[sender%2].Broadcast("t", []string{"even", "odd"}[n/2%2], number{sender, n}))
					if n%7 == 0 {
						time.Sleep(time.Millisecond)
					}
				}
			})
		}
		group.Wait()
		time.Sleep(time.Minute)
		for i, c := range clients {
			var got []number
			for _, m := range c.take() {
				if m.event == "phx_reply" {
					continue
				}
				var n number
				require.NoError(t, json.Unmarshal(m.payload, &n))
				got = append(got, n)
			}
			requireNumbers(t, senders, each, got, fmt.Sprint("client ", i))
		}
		for i, got := range subscribed {
			requireNumbers(t, senders, each, got, fmt.Sprint("subscriber ", i))
		}
	})
}

// A diff may give way to frames of other connections, but the frames of one
// connection arrive in the order of Send. The roster fails if states and diffs
// overtake each other. Broadcasts and the messages that are replied to are
// numbered.
func TestWhatAConnectionIsSentArrivesInOrder(t *testing.T) {
	const rooms, each, rounds, ahead = 5, 5, 300, 5
	cl := newCluster(t, 1, channel.Config{})
	e := cl.endpoints[0]
	r := route("*", script{in: func(s *channel.Socket, event string, _ channel.Payload) channel.Result {
		pushState(s)
		return channel.OK(nil)
	}})
	r.PushState = true
	h := serve(t, r)
	transport := serveWebsocket(t, e, h, websocket.Config{OutboxBytes: 64 << 20})
	server := httptest.NewServer(transport)
	defer server.Close()
	_, err := cl.trackers[0].List(t.Context(), "room0") // waits until the list is complete
	require.NoError(t, err)

	var readers []*reader
	var topics []string
	var group sync.WaitGroup
	readNow := make(chan struct{})
	for i := range rooms * each {
		rd := &reader{topic: fmt.Sprint("room", i%rooms), heard: make(chan struct{}, rounds)}
		rd.conn = dial(t, gorilla.DefaultDialer, "ws"+strings.TrimPrefix(server.URL, "http"), "u", rd.topic)
		require.NoError(t, rd.conn.SetReadDeadline(time.Now().Add(2*waitLimit)))
		_, state, err := rd.conn.ReadMessage()
		require.NoError(t, err)
		rd.got = append(rd.got, state)
		readers, topics = append(readers, rd), append(topics, rd.topic)
		group.Go(func() {
			if i%4 == 0 { // frames for it pile up
				<-readNow
			}
			rd.read()
		})
	}
	crowd := newCrowd(cl, rand.New(rand.NewPCG(1, 4)))
	crowd.most = 2 * rooms // small rooms merge little
	for n := range rounds {
		rd := readers[n%len(readers)]
		require.NoError(t, rd.conn.WriteMessage(gorilla.TextMessage, fmt.Appendf(nil, `["1","%d",%q,"state",{}]`, n, rd.topic)))
		crowd.stir(t, topics...)
		for _, topic := range topics[:rooms] {
			require.NoError(t, e.Broadcast(topic, "number", number{0, n}))
		}
		if n >= ahead { // or all changes would be merged into few diffs
			<-readers[1].heard
		}
	}
	for _, topic := range topics[:rooms] {
		_, err := crowd.sessions[0].Track(topic, "last", struct{}{})
		require.NoError(t, err)
		require.NoError(t, e.Broadcast(topic, "end", nil))
	}
	close(readNow)
	group.Wait()

	diffs := 0
	for i, rd := range readers {
		require.NoError(t, rd.err)
		roster := newRoster(t, fmt.Sprint("client ", i))
		var numbers []number
		asked := i
		for _, m := range rd.messages(t) {
			switch m.event {
			case "number":
				var n number
				require.NoError(t, json.Unmarshal(m.payload, &n))
				numbers = append(numbers, n)
			case "phx_reply":
				require.Equal(t, fmt.Sprint(asked), m.ref, "replies come in the order of the messages")
				asked += len(readers)
			default:
				roster.fold([]message{m})
			}
		}
		requireNumbers(t, 1, rounds, numbers, roster.name)
		list, err := e.ListPresence(t.Context(), h, rd.topic)
		require.NoError(t, err)
		roster.holds(list)
		diffs += roster.diffs
	}
	require.Positive(t, diffs)
}

// A reader keeps what a client is sent, up to the event "end" and the presence
// "last".
type reader struct {
	topic string
	conn  *gorilla.Conn
	heard chan struct{} // has an element for each number; closed at the end
	got   [][]byte
	err   error
}

func (r *reader) read() {
	defer close(r.heard)
	for told, ended := false, false; !told || !ended; {
		var data []byte
		if _, data, r.err = r.conn.ReadMessage(); r.err != nil {
			return
		}
		r.got = append(r.got, data)
		if strings.Contains(string(data), `"number",`) {
			select {
			case r.heard <- struct{}{}:
			default: // a repeated number, which fails the test later
			}
		}
		told = told || strings.Contains(string(data), `"last":`)
		ended = ended || strings.Contains(string(data), `"end",`)
	}
}

func (r *reader) messages(t *testing.T) (all []message) {
	for _, data := range r.got {
		all = append(all, decode(t, data))
	}
	return all
}
