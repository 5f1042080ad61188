package channeltest_test

import (
	"context"
	"fmt"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/channeltest"
)

// vote is the channel that is tested: everybody votes once, what others voted is
// told by its number alone, and the moderator may close it.
type vote struct{ voted bool }

type ballot struct {
	Points int `json:"points"`
}

func (v *vote) Join(_ context.Context, s *channel.Socket, params channel.Payload) (any, error) {
	var p struct{ Code string }
	if err := params.Decode(&p); err != nil || p.Code != "1234" {
		return nil, channel.Refuse("wrong code")
	}
	return map[string]string{"hello": s.Topic()}, nil
}

func (v *vote) HandleIn(s *channel.Socket, event string, payload channel.Payload) channel.Result {
	var b ballot
	if err := payload.Decode(&b); event != "vote" || err != nil || v.voted {
		return channel.Error(map[string]string{"reason": "no vote"})
	}
	v.voted = true
	_ = s.BroadcastFrom("voted", b)
	return channel.OK(nil)
}

func (v *vote) Intercept() []string { return []string{"voted"} }

func (v *vote) HandleOut(s *channel.Socket, event string, _ channel.Payload) channel.Result {
	_ = s.Push("somebody voted", nil) // and what is nobody's business
	return channel.NoReply()
}

func Example() {
	t := newT() // in a test: its *testing.T
	defer t.finish()

	handler := &channel.Handler{Routes: []channel.Route{
		{Pattern: "vote:*", New: func() channel.Channel { return new(vote) }},
	}}
	endpoint := channeltest.Start(t, channel.Config{})
	alice := channeltest.Connect(t, endpoint, handler, nil)
	bob := channeltest.Connect(t, endpoint, handler, nil)

	// Joining: refused, then accepted.
	_, refusal := alice.Join("vote:tea", nil)
	fmt.Printf("refused: %s\n", refusal.JSON())
	a := alice.MustJoin("vote:tea", map[string]string{"code": "1234"})
	b := bob.MustJoin("vote:tea", map[string]string{"code": "1234"})
	fmt.Printf("joined: %s\n", a.Response().JSON())

	// Messages, their answers, and what they cause.
	program := channeltest.Subscribe(t, endpoint, "vote:tea")
	ref := a.Push("vote", ballot{Points: 5})
	a.AwaitReply(ref, "ok", nil)
	b.AwaitPush("somebody voted", nil)
	fmt.Println("broadcast:", program.Await("voted", channeltest.Where(func(b ballot) bool { return b.Points > 3 })).Value())

	// What does not happen.
	a.RefutePush("somebody voted", nil)
	b.RefuteBroadcast("voted", nil) // it is intercepted
	a.AwaitReply(a.Push("vote", ballot{Points: 8}), "error", map[string]string{"reason": "no vote"})
	program.Refute("voted", nil)

	// The program broadcasts.
	program.BroadcastFrom("closed", nil)
	a.AwaitBroadcast("closed", nil)
	b.AwaitBroadcast("closed", nil)

	// The end.
	a.Leave()
	fmt.Println("a:", a.AwaitEnd())
	bob.Close()
	fmt.Println("b:", b.AwaitEnd())

	// A failure shows what there is.
	b.Within(0).AwaitPush("winner", ballot{Points: 5})

	// Output:
	// refused: {"reason":"wrong code"}
	// joined: {"hello":"vote:tea"}
	// broadcast: {5}
	// a: left
	// b: closed
	// FAIL: channeltest: no push "winner" with {"points":5} within 0s; there is: nothing
	// taken before:
	// 	reply "ok" to 1 on "vote:tea": {"hello":"vote:tea"}
	// 	push "somebody voted" on "vote:tea": {}
	// 	broadcast "closed" on "vote:tea": {}
}
