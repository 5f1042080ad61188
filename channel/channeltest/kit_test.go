package channeltest_test

import (
	"context"
	"errors"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/channeltest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// chat is a channel as an application has it.
type chat struct{}

func (chat) Join(s *channel.Socket, params channel.Payload) (any, error) {
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
		return channel.Stop(channel.ReasonNormal)
	}
	return channel.OK(payload)
}

func (chat) Intercept() []string { return []string{"secret"} }

func (chat) HandleOut(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	_ = s.Push("told", payload)
	return channel.NoReply()
}

var handler = &channel.Handler{
	Connect: func(_ context.Context, c *channel.Conn) error {
		if c.Params.String("user") == "" {
			return errors.New("no user")
		}
		c.SetID("users:" + c.Params.String("user"))
		return nil
	},
	Routes: []channel.Route{{Pattern: "chat:*", New: func() channel.Channel { return chat{} }}},
}

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
		require.Equal(t, channel.ReasonLeft, alice.AwaitEnd())
		bob.Push("crash", nil)
		bob.AwaitPush("phx_error", nil)
		require.ErrorContains(t, bob.AwaitEnd().Err, "boom")

		again := b.MustJoin("chat:1", map[string]string{"name": "bob"})
		b.Close()
		require.Equal(t, channel.ReasonClosed, again.AwaitEnd())
		require.NoError(t, e.Broadcast("users:a", "disconnect", nil))
		require.Equal(t, channel.CloseGoingAway, a.AwaitClose())
	})
}

func TestRefusedConnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := channeltest.TryConnect(t, channeltest.Start(t, channel.Config{}), handler, channel.ConnectInfo{})
		refusal := &channel.ConnectError{}
		require.ErrorAs(t, err, &refusal)
		require.Equal(t, 403, refusal.Status)
	})
}

// A failing is a test that may fail.
type failing struct {
	testing.TB
	failure string
}

func (f *failing) Fatalf(format string, args ...any) {
	f.failure = format
	panic(f)
}

func TestWhatDoesNotComeFailsTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := channeltest.Start(t, channel.Config{})
		for name, fails := range map[string]func(ch *channeltest.Channel){
			"no such push":      func(ch *channeltest.Channel) { ch.AwaitPush("other", nil) },
			"another payload":   func(ch *channeltest.Channel) { ch.AwaitPush("info", map[string]any{"msg": "bye"}) },
			"another status":    func(ch *channeltest.Channel) { ch.AwaitReply(ch.Push("echo", nil), "error", nil) },
			"a push, no shout":  func(ch *channeltest.Channel) { ch.AwaitBroadcast("info", nil) },
			"it did come":       func(ch *channeltest.Channel) { ch.RefutePush("info", nil) },
			"it was answered":   func(ch *channeltest.Channel) { ch.RefuteReply(ch.Push("echo", nil)) },
			"it does not end":   func(ch *channeltest.Channel) { ch.AwaitEnd() },
			"it was broadcast":  func(ch *channeltest.Channel) { ch.Push("shout", nil); ch.RefuteBroadcast("shout", nil) },
			"text, not binary":  func(ch *channeltest.Channel) { ch.AwaitReply(ch.Push("echo", nil), "ok", channel.Binary(nil)) },
			"no JSON is wanted": func(ch *channeltest.Channel) { ch.AwaitPush("info", make(chan int)) },
		} {
			ft := &failing{TB: t}
			ch := channeltest.Connect(ft, e, handler, url.Values{"user": {"a"}}).MustJoin("chat:1", map[string]string{"name": "x"})
			require.PanicsWithValue(t, ft, func() { fails(ch) }, name)
			require.Contains(t, ft.failure, "channeltest: ", name)
		}
	})
}
