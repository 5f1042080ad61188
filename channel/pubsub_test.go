package channel

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/channel/internal/pubsub"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// recordingBus notes what is asked of a bus, and fails where it is told to.
type recordingBus struct {
	bus.Bus
	mu    sync.Mutex
	calls []string
	fail  error
}

func (b *recordingBus) Open(lane bus.Lane, h bus.Handler) (bus.Conn, error) {
	conn, err := b.Bus.Open(lane, h)
	return recordingConn{conn, lane, b}, err
}

func (b *recordingBus) note(call string, lane bus.Lane, dest string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = append(b.calls, fmt.Sprintf("%s %c %s", call, lane, dest))
	return b.fail
}

func (b *recordingBus) take() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	calls := b.calls
	b.calls = nil
	return calls
}

type recordingConn struct {
	bus.Conn
	lane bus.Lane
	bus  *recordingBus
}

func (c recordingConn) Subscribe(dest string) error {
	return errors.Join(c.bus.note("sub", c.lane, dest), c.Conn.Subscribe(dest))
}

func (c recordingConn) Unsubscribe(dest string) error {
	return errors.Join(c.bus.note("unsub", c.lane, dest), c.Conn.Unsubscribe(dest))
}

func (c recordingConn) Publish(dest string, data []byte) error {
	if err := c.bus.note("pub", c.lane, dest); err != nil {
		return err
	}
	return c.Conn.Publish(dest, data)
}

// startPair starts two replicas without presence.
func startPair(t *testing.T) (a, b *Endpoint, busA *recordingBus) {
	network := membus.New()
	busA = &recordingBus{Bus: network.Bus()}
	return startOne(t, Config{Name: "a", Bus: busA}), startOne(t, Config{Name: "b", Bus: network.Bus()}), busA
}

func TestBroadcastReachesAllSubscribersOnAllReplicas(t *testing.T) {
	proves(t, "B076", "B080", "B138", "B140", "B144")
	bubble(t, func(t *testing.T) {
		a, b, _ := startPair(t)
		require.NoError(t, a.Broadcast("nobody", "e", nil), "nobody listens")
		require.NoError(t, a.Broadcast("t", "early", nil))
		var tr trace
		listen := func(name string, e *Endpoint, topic string) *Subscription {
			s, err := e.Subscribe(topic, func(b Broadcast) { tr.add("%s: %s %s %v", name, b.Topic, b.Event, b.Payload.Value()) })
			require.NoError(t, err)
			return s
		}
		a1, a2, b1 := listen("a1", a, "t"), listen("a2", a, "t"), listen("b1", b, "t")
		listen("other", b, "other")
		require.Empty(t, tr.take(), "nothing is stored")
		require.Equal(t, "t", a1.Topic())

		type note struct{ Text string }
		require.NoError(t, a.Broadcast("t", "new", note{"hi"}))
		require.ElementsMatch(t, []string{
			"a1: t new {hi}", "a2: t new {hi}", // A010: the native value
			"b1: t new map[Text:hi]",
		}, tr.take())

		require.NoError(t, a.BroadcastFrom(a1, "t", "new", nil)) // A008
		require.ElementsMatch(t, []string{"a2: t new map[]", "b1: t new map[]"}, tr.take())
		require.NoError(t, a.LocalBroadcast("t", "new", nil))
		require.ElementsMatch(t, []string{"a1: t new map[]", "a2: t new map[]"}, tr.take())

		require.NoError(t, a.DirectBroadcast("b", "t", "direct", nil))
		require.Equal(t, []string{"b1: t direct map[]"}, tr.take())
		require.NoError(t, b.DirectBroadcast("b", "t", "direct", nil))
		require.Equal(t, []string{"b1: t direct map[]"}, tr.take())
		require.NoError(t, a.DirectBroadcast("gone", "t", "direct", nil))
		require.Empty(t, tr.take())

		a2.Unsubscribe()
		a2.Unsubscribe()
		b1.Unsubscribe()
		require.NoError(t, b.Broadcast("t", "last", nil))
		require.Equal(t, []string{"a1: t last map[]"}, tr.take())
	})
}

func TestBroadcastsOfOneSenderArriveInOrder(t *testing.T) {
	proves(t, "B072")
	bubble(t, func(t *testing.T) {
		a, b, _ := startPair(t)
		h := handlerOf(script{
			intercept: []string{"odd"},
			out: func(s *Socket, event string, payload Payload) Result {
				must(s.Push(event, payload))
				return NoReply()
			},
		})
		var clients []*client
		for _, e := range []*Endpoint{a, b} {
			c := connect(t, e, h, "")
			require.Len(t, c.get(`["1","1","t","phx_join",{}]`), 1)
			clients = append(clients, c)
		}
		var want []string
		for i := range 500 {
			event := []string{"even", "odd"}[i%2]
			require.NoError(t, a.Broadcast("t", event, map[string]int{"n": i}))
			want = append(want, fmt.Sprintf(`["1",null,"t","%s",{"n":%d}]`, event, i))
		}
		for _, c := range clients {
			got := c.take()
			for i := range got {
				got[i] = strings.Replace(got[i], "[null", `["1"`, 1)
			}
			require.Equal(t, want, got, "intercepted and not, in one order")
		}
	})
}

func TestBroadcastIsEncodedOnce(t *testing.T) {
	proves(t, "B037", "B059", "B081")
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		var clients []*client
		for range 100 {
			c := connect(t, e, handlerOf(script{}), "")
			c.get(`["1","1","t","phx_join",{}]`)
			clients = append(clients, c)
		}
		require.NoError(t, e.Broadcast("t", "e", nil))
		synctest.Wait()
		require.Len(t, clients[0].link.frames, 1)
		first := clients[0].link.frames[0]
		require.True(t, first.Shared)
		made := 0
		for _, c := range clients {
			require.Same(t, first, c.link.frames[0])
			require.Equal(t, "prepared", c.link.frames[0].Prepared(func() any { made++; return "prepared" }))
		}
		require.Equal(t, 1, made)
	})
}

func TestBroadcastFromLeavesOutOneChannelOnly(t *testing.T) {
	proves(t, "B074", "B075")
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		h := referenceHandler(t)
		tab1, tab2 := connect(t, e, h, "user=u"), connect(t, e, h, "user=u")
		tab1.get(`["1","1","echo:a","phx_join",{}]`)
		tab2.get(`["1","1","echo:a","phx_join",{}]`)
		require.Empty(t, tab1.get(`["1","2","echo:a","shout_from",{"n":1}]`))
		require.Equal(t, []string{`[null,null,"echo:a","shout_from",{"n":1}]`}, tab2.take())
		require.Equal(t, []string{`[null,null,"echo:a","shout",{"n":2}]`}, tab1.get(`["1","2","echo:a","shout",{"n":2}]`))
	})
}

func TestBusIsSubscribedWhileSomebodyIs(t *testing.T) {
	proves(t, "B142", "B143")
	bubble(t, func(t *testing.T) {
		a, _, bus := startPair(t)
		require.Equal(t, []string{"sub c c:a"}, bus.take())
		s1, err := a.Subscribe("t", func(Broadcast) {})
		require.NoError(t, err)
		s2, err := a.Subscribe("t", func(Broadcast) {})
		require.NoError(t, err)
		c := connect(t, a, handlerOf(script{}), "")
		c.get(`["1","1","t","phx_join",{}]`)
		require.Equal(t, []string{"sub c t:t"}, bus.take(), "one for all, at presence's destination")
		s1.Unsubscribe()
		s2.Unsubscribe()
		require.Empty(t, bus.take())
		c.get(`["1","2","t","phx_leave",{}]`)
		require.Equal(t, []string{"unsub c t:t"}, bus.take())
	})
}

func TestErrorOfTheBusIsAboutTheOthersOnly(t *testing.T) {
	proves(t, "B139")
	bubble(t, func(t *testing.T) {
		a, _, bus := startPair(t)
		var tr trace
		_, err := a.Subscribe("t", func(b Broadcast) { tr.add("%s", b.Event) })
		require.NoError(t, err)
		bus.fail = errors.New("no connection")
		require.ErrorIs(t, a.Broadcast("t", "e", nil), bus.fail)
		require.Equal(t, []string{"e"}, tr.take())
		_, err = a.Subscribe("u", func(b Broadcast) {})
		require.ErrorIs(t, err, bus.fail)
		c := connect(t, a, handlerOf(script{terminate: func(s *Socket, reason Reason) { tr.add("terminate") }}), "")
		require.Equal(t, []string{`["1","1","v","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]`}, c.get(`["1","1","v","phx_join",{}]`))
		require.Equal(t, []string{"terminate"}, tr.take())
		bus.fail = nil
	})
}

func TestBroadcastRefusesWhatCannotBeSaid(t *testing.T) {
	e := startOne(t, Config{Bus: membus.New(membus.MaxPayload(1000)).Bus()})
	require.ErrorIs(t, e.Broadcast("t", "e", 1), wire.ErrPayload)
	require.ErrorIs(t, e.Broadcast("", "e", nil), wire.ErrTopic)
	require.ErrorIs(t, e.Broadcast(strings.Repeat("t", 256), "e", nil), wire.ErrTooLong)
	require.ErrorIs(t, e.Broadcast("\xff", "e", nil), wire.ErrTopic)
	require.ErrorIs(t, e.Broadcast("t", strings.Repeat("e", 256), Binary(nil)), wire.ErrTooLong)
	require.ErrorIs(t, e.Broadcast("t", "e", map[string]string{"x": strings.Repeat("x", 1000)}), ErrTooLarge)
	require.NoError(t, e.Broadcast("t", "e", Binary(nil)))
	alone := startOne(t, Config{})
	require.ErrorIs(t, alone.DirectBroadcast("b", "t", "e", nil), pubsub.ErrNoReplica)
}

func TestGarbageOnTheBusIsCountedAndIgnored(t *testing.T) {
	bubble(t, func(t *testing.T) {
		network := membus.New()
		e := startOne(t, Config{Bus: network.Bus()})
		var tr trace
		_, err := e.Subscribe("t", func(b Broadcast) { tr.add("%s", b.Event) })
		require.NoError(t, err)
		other, err := network.Bus().Open(bus.LaneChannel, bus.Handler{Message: func([]byte) {}})
		require.NoError(t, err)
		defer other.Close()
		for _, data := range []string{"", "garbage", "\xc4\x02\x00aaaaaaaa\x01t\x01e{}", "\xc4\x01\x00aaaaaaaa\x01t\x01e{", "\xc4\x01\x00aaaaaaaa\xff\xff\xff\xff\xff\xff\xff\xff\x7f"} {
			require.NoError(t, other.Publish(bus.TopicDest("t"), []byte(data)))
		}
		require.NoError(t, other.Publish(bus.TopicDest("t"), []byte("\xc4\x01\x00aaaaaaaa\x01t\x01e{}")))
		require.Equal(t, []string{"e"}, tr.take())
		require.Equal(t, uint64(5), e.Stats().Garbage)
	})
}

func TestSubscriberThatDoesNotKeepUpLosesBroadcasts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{MailboxSize: 3})
		var tr trace
		release := make(chan struct{})
		s, err := e.Subscribe("t", func(b Broadcast) {
			<-release
			tr.add("%s", b.Event)
			if b.Event == "e1" {
				panic("one call")
			}
		})
		require.NoError(t, err)
		for i := range 6 {
			require.NoError(t, e.Broadcast("t", fmt.Sprintf("e%d", i), nil))
			synctest.Wait()
		}
		close(release)
		require.Equal(t, []string{"e0", "e1", "e2", "e3"}, tr.take())
		require.Equal(t, uint64(2), s.Dropped())
		require.Equal(t, uint64(1), e.Stats().Panics)
	})
}

func TestCloseEndsSubscriptionsAndWaitsForHandlers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e, err := New(Config{})
		require.NoError(t, err)
		ended := false
		_, err = e.Subscribe("t", func(b Broadcast) {
			time.Sleep(time.Second)
			ended = true
		})
		require.NoError(t, err)
		require.NoError(t, e.Broadcast("t", "e", nil))
		require.NoError(t, e.Broadcast("t", "e", nil))
		synctest.Wait()
		began := time.Now()
		require.NoError(t, e.Close(context.Background()))
		require.Equal(t, time.Second, time.Since(began), "the call that ran, not the one that waited")
		require.True(t, ended)
		_, err = e.Subscribe("t", func(Broadcast) {})
		require.ErrorIs(t, err, ErrClosed)
		require.NoError(t, e.Close(context.Background()))
	})
}
