package channeltest_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/channeltest"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chat is a channel as an application has it.
type chat struct{}

func (chat) Join(_ context.Context, s *channel.Socket, params channel.Payload) (any, error) {
	var p struct{ Name string }
	if err := params.Decode(&p); err != nil || p.Name == "" {
		return nil, channel.Refuse("no name")
	}
	s.Send("welcome")
	return map[string]string{"hello": p.Name}, nil
}

func (chat) HandleInfo(s *channel.Socket, msg any) channel.Result {
	_ = s.Push("info", map[string]any{"msg": msg, "deep": map[string]int{"a": 1, "b": 2}})
	return channel.NoReply()
}

func (chat) HandleIn(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	switch event {
	case "shout", "secret":
		_ = s.Broadcast(event, payload)
		return channel.NoReply()
	case "later":
		ref, _ := s.Ref()
		time.AfterFunc(3*time.Second, func() { _ = ref.Reply("ok", nil) })
		return channel.NoReply()
	case "crash":
		panic("boom")
	case "stop":
		return channel.Stop(wire.ReasonNormal)
	}
	return channel.OK(payload)
}

func (chat) Intercept() []string { return []string{"secret"} }

func (chat) HandleOut(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	_ = s.Push("told", payload)
	return channel.NoReply()
}

var handler = mustHandler(channel.Handler{
	Connect: func(_ context.Context, c *channel.ConnectRequest) error {
		if c.Params.String("user") == "" {
			return errors.New("no user")
		}
		c.SetID("users:" + c.Params.String("user"))
		return nil
	},
	Routes: []channel.Route{{Pattern: "chat:*", New: func() channel.Channel { return chat{} }}},
})

func TestAConversation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := channeltest.Start(t, channel.Config{})
		a := channeltest.Connect(t, e, handler, url.Values{"user": {"a"}})
		b := channeltest.Connect(t, e, handler, url.Values{"user": {"b"}})
		_, refusal := a.Join("chat:1", nil)
		require.JSONEq(t, `{"reason":"no name"}`, string(refusal.JSON()))

		alice, bob := a.MustJoin("chat:1", map[string]string{"name": "alice"}), b.MustJoin("chat:1", map[string]string{"name": "bob"})
		require.JSONEq(t, `{"hello":"alice"}`, string(alice.Response().JSON()))
		require.Equal(t, "chat:1", alice.Topic())
		alice.RefutePush("info", map[string]any{"deep": map[string]int{"a": 2}})
		alice.AwaitPush("info", map[string]any{"msg": "welcome", "deep": map[string]int{"a": 1}})
		alice.RefutePush("info", nil)

		alice.AwaitReply(alice.Push("echo", map[string]int{"n": 1}), "ok", map[string]int{"n": 1})
		alice.AwaitReply(alice.Push("echo", channel.Binary([]byte{1})), "ok", channel.Binary([]byte{1}))
		ref, began := alice.Push("later", nil), time.Now()
		alice.RefuteReply(ref)
		alice.AwaitReply(ref, "ok", nil)
		require.Equal(t, 3*time.Second, time.Since(began))

		alice.Push("shout", map[string]string{"text": "hi"})
		for _, ch := range []*channeltest.Channel{alice, bob} {
			p := ch.AwaitBroadcast("shout", func(p channel.Payload) bool { return !p.IsBinary() })
			require.JSONEq(t, `{"text":"hi"}`, string(p.JSON()))
		}
		alice.Push("secret", nil)
		bob.AwaitPush("told", nil)
		bob.RefuteBroadcast("secret", nil)

		alice.AwaitReply(alice.Leave(), "ok", nil)
		require.Equal(t, wire.ReasonLeft, alice.AwaitEnd())
		bob.Push("crash", nil)
		bob.AwaitPush("phx_error", nil)
		require.ErrorContains(t, bob.AwaitEnd().Err, "boom")

		again := b.MustJoin("chat:1", map[string]string{"name": "bob"})
		b.Close()
		require.Equal(t, wire.ReasonClosed, again.AwaitEnd())
		require.NoError(t, e.Broadcast("users:a", "disconnect", nil))
		require.Equal(t, wire.CloseGoingAway, a.AwaitClose())
	})
}

func TestRefusedConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := channeltest.TryConnect(t, channeltest.Start(t, channel.Config{}), handler, wire.ConnectInfo{})
		refusal := &channel.ConnectError{}
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, 403, refusal.Status)
	})
}

// exampleT stands for the *testing.T of a test that may fail. finish ends it.
type exampleT struct {
	testing.TB
	cleanups []func()
	failure  string
}

func newT() *exampleT { return &exampleT{} }

func (t *exampleT) Helper()           {}
func (t *exampleT) Cleanup(f func())  { t.cleanups = append(t.cleanups, f) }
func (t *exampleT) Fatal(args ...any) { t.Fatalf("%s", fmt.Sprint(args...)) }

func (t *exampleT) Fatalf(format string, args ...any) {
	t.failure = fmt.Sprintf(format, args...)
	panic(t)
}

func (t *exampleT) finish() {
	if v := recover(); v != nil && v != t {
		panic(v)
	}
	for _, f := range slices.Backward(t.cleanups) {
		f()
	}
	if t.failure != "" {
		fmt.Println("FAIL:", t.failure)
	}
}

// fails is what a test said when it failed.
func fails(t *testing.T, test func(t *exampleT)) string {
	t.Helper()
	ft := &exampleT{TB: t}
	defer func() {
		for _, f := range slices.Backward(ft.cleanups) {
			f()
		}
	}()
	require.PanicsWithValue(t, ft, func() { test(ft) })
	return ft.failure
}

func TestWhatDoesNotComeFailsTheTest(t *testing.T) {
	for name, c := range map[string]struct {
		test func(ch *channeltest.Channel)
		says string
	}{
		"no such push":    {func(ch *channeltest.Channel) { ch.AwaitPush("other", nil) }, `no push "other" within 5s`},
		"another payload": {func(ch *channeltest.Channel) { ch.AwaitPush("info", map[string]any{"msg": "bye"}) }, `no push "info" with {"msg":"bye"} within 5s`},
		"no such payload": {func(ch *channeltest.Channel) {
			ch.AwaitPush("info", channeltest.Where(func(map[string]any) bool { return false }))
		}, `with what the function wants`},
		"another status":   {func(ch *channeltest.Channel) { ch.AwaitReply(ch.Push("echo", nil), "error", nil) }, `no reply "error" to 2 within`},
		"a push, no shout": {func(ch *channeltest.Channel) { ch.AwaitBroadcast("info", nil) }, `no broadcast "info"`},
		"it did come":      {func(ch *channeltest.Channel) { ch.RefutePush("info", nil) }, `push "info" was not to come, and did:`},
		"it was answered":  {func(ch *channeltest.Channel) { ch.RefuteReply(ch.Push("echo", nil)) }, "reply to 2 was not to come"},
		"it does not end":  {func(ch *channeltest.Channel) { ch.AwaitEnd() }, `no end of the channel "chat:1"`},
		"not soon enough":  {func(ch *channeltest.Channel) { ch.Within(2*time.Second).AwaitReply(ch.Push("later", nil), "ok", nil) }, "within 2s"},
		"it was broadcast": {func(ch *channeltest.Channel) { ch.Push("shout", nil); ch.RefuteBroadcast("shout", nil) }, `broadcast "shout" on "chat:1": {}`},
		"text, not binary": {func(ch *channeltest.Channel) {
			ch.AwaitReply(ch.Push("echo", nil), "ok", channel.Binary([]byte{1, 2}))
		}, `with the bytes 0102`},
		"no JSON is wanted": {func(ch *channeltest.Channel) { ch.AwaitPush("info", make(chan int)) }, "what is wanted has no JSON"},
		"what is there": {func(ch *channeltest.Channel) { ch.AwaitEnd() }, `; there is:
	push "info" on "chat:1": {"deep":{"a":1,"b":2},"msg":"welcome"}
taken before:
	reply "ok" to 1 on "chat:1": {"hello":"x"}`},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				e := channeltest.Start(t, channel.Config{})
				said := fails(t, func(ft *exampleT) {
					c.test(channeltest.Connect(ft, e, handler, url.Values{"user": {"a"}}).MustJoin("chat:1", map[string]string{"name": "x"}))
				})
				require.Contains(t, said, "channeltest: ")
				require.Contains(t, said, c.says)
			})
		})
	}
}

// What the test broadcasts, channels intercept; what is broadcast, the test gets,
// as the value that it was. It may leave itself out.
func TestTheTestIsASubscriber(t *testing.T) {
	type note struct{ Text string }
	synctest.Test(t, func(t *testing.T) {
		e := channeltest.Start(t, channel.Config{})
		alice := channeltest.Connect(t, e, handler, url.Values{"user": {"a"}}).MustJoin("chat:1", map[string]string{"name": "alice"})
		test := channeltest.Subscribe(t, e, "chat:1")

		test.BroadcastFrom("secret", note{"psst"})
		require.Equal(t, note{"psst"}, alice.AwaitPush("told", map[string]string{"Text": "psst"}).Value())
		test.BroadcastFrom("open", note{"hear"})
		require.Equal(t, note{"hear"}, alice.AwaitBroadcast("open", map[string]string{"Text": "hear"}).Value())
		require.Equal(t, map[string]string{"hello": "alice"}, alice.Response().Value())
		ref := alice.Push("echo", note{"me"})
		require.Equal(t, map[string]any{"Text": "me"}, alice.AwaitReply(ref, "ok", nil).Value(), "what a client pushed is JSON")
		test.Refute("secret", nil)
		test.Refute("open", nil)

		test.Broadcast("secret", note{"psst"})
		alice.AwaitPush("told", nil)
		require.Equal(t, note{"psst"}, test.Await("secret", channeltest.Where(func(n note) bool { return n.Text == "psst" })).Value())
		require.Contains(t, fails(t, func(ft *exampleT) { channeltest.Subscribe(ft, e, "chat:1").Within(time.Second).Await("secret", nil) }), "within 1s")
		require.Contains(t, fails(t, func(ft *exampleT) { channeltest.Subscribe(ft, e, "chat:1").Broadcast("no object", 1) }), "payload")
		require.Contains(t, fails(t, func(ft *exampleT) { channeltest.Subscribe(ft, e, "") }), "topic")
	})
}

// busy is a channel that goes on for a while.
type busy struct{}

func (busy) Join(_ context.Context, s *channel.Socket, params channel.Payload) (any, error) {
	return nil, nil
}

func (busy) HandleIn(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	switch event {
	case "hang":
		<-s.Value("released").(chan struct{})
	case "track":
		_ = s.PushPresenceState()
		_, _ = s.Track("me", nil)
	default:
		s.Send(1000)
	}
	return channel.NoReply()
}

func (busy) HandleInfo(s *channel.Socket, msg any) channel.Result {
	if n := msg.(int); n > 0 {
		s.Send(n - 1)
	} else {
		_ = s.Push("done", nil)
	}
	return channel.NoReply()
}

// Outside of a bubble too, refuting waits for all that was caused, and for no
// longer.
func TestRefutesInRealTime(t *testing.T) {
	tracker, err := presence.Start(t.Context(), presence.Config{Name: "a", Bus: membus.New().Bus()})
	require.NoError(t, err)
	defer func() { require.NoError(t, tracker.Close(context.Background())) }()
	_, err = tracker.List(t.Context(), "b") // from now on it is complete
	require.NoError(t, err)
	released := make(chan struct{})
	handler := mustHandler(channel.Handler{Routes: []channel.Route{{
		Pattern: "*", New: func() channel.Channel { return busy{} }, Assigns: map[string]any{"released": released},
	}}})
	for range 20 {
		e := channeltest.Start(t, channel.Config{Presence: tracker})
		said := fails(t, func(ft *exampleT) {
			ch := channeltest.Connect(ft, e, handler, nil).MustJoin("a", nil)
			ch.RefutePush("done", nil)
			ch.Push("work", nil)
			ch.RefutePush("done", nil)
		})
		require.Contains(t, said, `push "done" on "a"`)
		said = fails(t, func(ft *exampleT) {
			ch := channeltest.Connect(ft, e, handler, nil).MustJoin("b", nil)
			ch.Push("track", nil)
			ch.RefutePush("done", nil)
			ch.Within(0).AwaitPush("done", nil) // what is there now
		})
		require.Regexp(t, `there is:\s+push "presence_state"[^{]+{"me":|presence_diff[^{]+{"joins":{"me":`, said)
	}

	e := channeltest.Start(t, channel.Config{})
	said := fails(t, func(ft *exampleT) {
		ch := channeltest.Connect(ft, e, handler, nil).MustJoin("a", nil)
		defer close(released)
		ch.Push("hang", nil)
		ch.Within(time.Millisecond).RefutePush("done", nil)
	})
	require.Contains(t, said, "not idle within 1ms: 1 callbacks have not returned")
}

// mustHandler checks a handler.
func mustHandler(h channel.Handler) *channel.Handler {
	checked, err := channel.NewHandler(h)
	if err != nil {
		panic(err)
	}
	return checked
}
