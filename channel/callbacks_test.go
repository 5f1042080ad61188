package channel

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

func TestJoinIsAnsweredWithWhatJoinReturns(t *testing.T) {
	proves(t, "B044", "B046")
	bubble(t, func(t *testing.T) {
		c := connect(t, startOne(t, Config{}), handlerOf(script{join: func(s *Socket, params Payload) (any, error) {
			switch s.Topic() {
			case "reply":
				return params, nil
			case "refuse":
				return nil, &Refusal{Response: map[string]int{"code": 7}}
			case "panic":
				panic("boom")
			case "error":
				return nil, errors.New("no database")
			case "bad":
				return make(chan int), nil
			}
			return nil, nil
		}}), "")
		for _, frames := range [][2]string{
			{`["1","1","bare","phx_join",{}]`, `["1","1","bare","phx_reply",{"status":"ok","response":{}}]`},
			{`["2","2","reply","phx_join",{"a":1}]`, `["2","2","reply","phx_reply",{"status":"ok","response":{"a":1}}]`},
			{`["3","3","refuse","phx_join",{}]`, `["3","3","refuse","phx_reply",{"status":"error","response":{"code":7}}]`},
			{`["4","4","panic","phx_join",{}]`, `["4","4","panic","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]`},
			{`["5","5","error","phx_join",{}]`, `["5","5","error","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]`},
			{`["6","6","bad","phx_join",{}]`, `["6","6","bad","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]`},
			{`["1","7","bare","phx_leave",{}]`, `["1","7","bare","phx_reply",{"status":"ok","response":{}}]`}, // all the same
		} {
			require.Equal(t, frames[1], c.get(frames[0])[0])
		}
		require.Zero(t, c.closeCode())
	})
}

func TestResultsOfHandleIn(t *testing.T) {
	proves(t, "B036", "B063", "B064", "B072", "B073")
	bubble(t, func(t *testing.T) {
		c := connect(t, startOne(t, Config{}), handlerOf(script{in: func(s *Socket, event string, payload Payload) Result {
			switch event {
			case "ok":
				return OK(nil)
			case "error":
				return Error("a string")
			case "custom":
				return Reply("teapot", payload)
			case "push":
				must(s.Push("pushed", payload))
			case "first", "second":
				time.Sleep(time.Second) // the second would overtake if it could
				must(s.Push(event, nil))
				must(s.Push(event+" again", nil))
			}
			return NoReply()
		}}), "")
		c.get(`["1","1","t","phx_join",{}]`)
		require.Equal(t, []string{
			`["1","2","t","phx_reply",{"status":"ok","response":{}}]`,
			`["1",3,"t","phx_reply",{"status":"error","response":"a string"}]`,
			`["1","4","t","phx_reply",{"status":"teapot","response":{"x":1}}]`,
			`["1",null,"t","pushed",{"y":2}]`,
		}, c.get(
			`["1","2","t","ok",{}]`, `["1",3,"t","error",{}]`, `["1","4","t","custom",{"x":1}]`,
			`["1","5","t","noreply",{}]`, `["1","6","t","push",{"y":2}]`,
		))
		c.send(`["1","7","t","first",{}]`, `["1","8","t","second",{}]`)
		time.Sleep(3 * time.Second)
		require.Equal(t, []string{
			`["1",null,"t","first",{}]`, `["1",null,"t","first again",{}]`,
			`["1",null,"t","second",{}]`, `["1",null,"t","second again",{}]`,
		}, c.take())

		// The same with bytes.
		binary := func(ref, event string, data ...byte) {
			head := []byte{0, 1, byte(len(ref)), 1, byte(len(event))}
			require.Nil(t, c.conn.Receive(true, append(append(head, "1"+ref+"t"+event...), data...)))
		}
		binary("9", "custom", 1, 255)
		require.Equal(t, []string{fmt.Sprintf("0101010106%x01ff", "19tteapot")}, c.take())
		binary("10", "push", 2)
		require.Equal(t, []string{fmt.Sprintf("00010106%x02", "1tpushed")}, c.take())
	})
}

func TestCrashEndsOneChannelOnly(t *testing.T) {
	proves(t, "B068")
	bubble(t, func(t *testing.T) {
		c := connect(t, startOne(t, Config{}), handlerOf(script{in: func(s *Socket, event string, payload Payload) Result {
			if event == "crash" {
				panic("boom")
			}
			return OK(nil)
		}}), "")
		c.get(`["1","1","a","phx_join",{}]`, `["2","2","b","phx_join",{}]`)
		require.Equal(t, []string{`["1","1","a","phx_error",{"reason":"channel_crash"}]`}, c.get(`["1","3","a","crash",{}]`))
		require.Equal(t, []string{
			`[null,"4","a","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
			`["2","5","b","phx_reply",{"status":"ok","response":{}}]`,
		}, c.get(`["1","4","a","ping",{}]`, `["2","5","b","ping",{}]`))
		require.Equal(t, []string{
			`["6","6","a","phx_reply",{"status":"ok","response":{}}]`,
			`["6","7","a","phx_reply",{"status":"ok","response":{}}]`,
		}, c.get(`["6","6","a","phx_join",{}]`, `["6","7","a","ping",{}]`))
	})
}

// What comes behind a leave while the channel is busy goes to the channel, and
// with it; a join behind it waits for the end.
func TestMessagesBehindALeave(t *testing.T) {
	proves(t, "B058")
	bubble(t, func(t *testing.T) {
		var tr trace
		c := connect(t, startOne(t, Config{}), handlerOf(script{
			in: func(s *Socket, event string, payload Payload) Result {
				tr.add("%s", event)
				time.Sleep(time.Second)
				return OK(nil)
			},
			terminate: func(s *Socket, reason Reason) { tr.add("%v", reason) },
		}), "")
		c.get(`["1","1","t","phx_join",{}]`)
		c.send(`["1","2","t","slow",{}]`, `["1","3","t","phx_leave",{}]`, `["1","4","t","late",{}]`)
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{
			`["1","2","t","phx_reply",{"status":"ok","response":{}}]`,
			`["1","3","t","phx_reply",{"status":"ok","response":{}}]`,
			`["1","1","t","phx_close",{}]`,
		}, c.take())
		require.Equal(t, []string{"slow", "left"}, tr.take())
		c.get(`["5","5","t","phx_join",{}]`)
		c.send(`["5","6","t","slow",{}]`, `["5","7","t","phx_leave",{}]`, `["8","8","t","phx_join",{}]`)
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{
			`["5","6","t","phx_reply",{"status":"ok","response":{}}]`,
			`["5","7","t","phx_reply",{"status":"ok","response":{}}]`,
			`["5","5","t","phx_close",{}]`,
			`["8","8","t","phx_reply",{"status":"ok","response":{}}]`,
		}, c.take())
		require.Equal(t, []string{"slow", "left"}, tr.take(), "a plain leave, no duplicate join")
	})
}

func TestBroadcastsOfAChannelCrossReplicas(t *testing.T) {
	proves(t, "B073", "B074", "B075")
	bubble(t, func(t *testing.T) {
		a, b, _ := startPair(t)
		h := handlerOf(script{in: func(s *Socket, event string, payload Payload) Result {
			if event == "others" {
				must(s.BroadcastFrom(event, payload))
			} else {
				must(s.Broadcast(event, payload))
			}
			return NoReply()
		}})
		self, near, far := connect(t, a, h, ""), connect(t, a, h, ""), connect(t, b, h, "")
		all := []*client{self, near, far}
		for _, c := range all {
			c.get(`["1","1","t","phx_join",{}]`)
		}
		self.send(`["1","2","t","everybody",{"n":1}]`)
		for _, c := range all {
			require.Equal(t, []string{`[null,null,"t","everybody",{"n":1}]`}, c.take())
		}
		require.Empty(t, self.get(`["1","3","t","others",{}]`))
		for _, c := range all[1:] {
			require.Equal(t, []string{`[null,null,"t","others",{}]`}, c.take())
		}
		require.Nil(t, self.conn.Receive(true, []byte("\x00\x01\x01\x01\x0514tbytes\xff")))
		for _, c := range all {
			require.Equal(t, []string{fmt.Sprintf("020105%xff", "tbytes")}, c.take())
		}
	})
}

func TestInterceptedBroadcasts(t *testing.T) {
	proves(t, "B070", "B077", "B078")
	bubble(t, func(t *testing.T) {
		a, b, _ := startPair(t)
		type card struct{ Title string }
		var tr trace
		route := func(name string, seen int) *Handler {
			return handlerOf(script{
				intercept: []string{"card"},
				out: func(s *Socket, event string, payload Payload) Result {
					_, native := payload.Value().(card)
					var c card
					must(payload.Decode(&c))
					seen++ // the channel's own state
					tr.add("%s %d: %s, native %t", name, seen, c.Title, native)
					switch c.Title {
					case "drop":
					case "rename":
						must(s.Push("renamed", map[string]any{"for": name}))
						must(s.Push("twice", nil))
					case "stop":
						return Stop(wire.ReasonShutdown)
					default:
						must(s.Push(event, payload))
					}
					return NoReply()
				},
			})
		}
		near, far := connect(t, a, route("near", 0), ""), connect(t, b, route("far", 0), "")
		near.get(`["1","1","t","phx_join",{}]`)
		far.get(`["1","1","t","phx_join",{}]`)
		shout := func(title string) { require.NoError(t, a.Broadcast("t", "card", card{title})) }

		shout("first")
		require.ElementsMatch(t, []string{"near 1: first, native true", "far 1: first, native false"}, tr.take())
		require.Equal(t, []string{`["1",null,"t","card",{"Title":"first"}]`}, near.take())
		require.Equal(t, []string{`["1",null,"t","card",{"Title":"first"}]`}, far.take())
		shout("drop")
		require.Empty(t, near.take())
		shout("rename")
		require.Equal(t, []string{`["1",null,"t","renamed",{"for":"near"}]`, `["1",null,"t","twice",{}]`}, near.take())
		require.Equal(t, []string{`["1",null,"t","renamed",{"for":"far"}]`, `["1",null,"t","twice",{}]`}, far.take())
		tr.take()
		require.NoError(t, a.Broadcast("t", "plain", nil))
		require.Equal(t, []string{`[null,null,"t","plain",{}]`}, near.take())
		require.Empty(t, tr.take(), "an event that is not intercepted runs no code")
		shout("stop")
		require.Equal(t, []string{`["1","1","t","phx_close",{}]`}, near.take())
	})
}

func TestHandleInfoMayStop(t *testing.T) {
	proves(t, "B070")
	bubble(t, func(t *testing.T) {
		c := connect(t, startOne(t, Config{}), handlerOf(script{
			join: func(s *Socket, params Payload) (any, error) {
				s.Send("stop")
				s.Send("nobody")
				return nil, nil
			},
			info: func(s *Socket, msg any) Result {
				must(s.Push("info", map[string]any{"msg": msg}))
				return Stop(wire.ReasonNormal)
			},
		}), "")
		require.Equal(t, []string{
			`["1","1","t","phx_reply",{"status":"ok","response":{}}]`,
			`["1",null,"t","info",{"msg":"stop"}]`,
			`["1","1","t","phx_close",{}]`,
		}, c.get(`["1","1","t","phx_join",{}]`))
	})
}

// Each join has a channel of its own, whose fields nobody else sees.
type noted struct{ notes int }

func (*noted) Join(_ context.Context, s *Socket, params Payload) (any, error) { return nil, nil }

func (n *noted) HandleIn(s *Socket, event string, payload Payload) Result {
	n.notes++
	return OK(map[string]int{"notes": n.notes})
}

func TestStateOfAChannelIsItsOwn(t *testing.T) {
	proves(t, "B019")
	bubble(t, func(t *testing.T) {
		c := connect(t, startOne(t, Config{}), mustHandler(Handler{Routes: []Route{{Pattern: "*", New: func() Channel { return &noted{} }}}}), "")
		c.get(`["1","1","a","phx_join",{}]`, `["2","2","b","phx_join",{}]`, `["1","3","a","e",{}]`)
		require.Equal(t, []string{
			`["1","4","a","phx_reply",{"status":"ok","response":{"notes":2}}]`,
		}, c.get(`["1","4","a","e",{}]`))
		require.Equal(t, []string{
			`["2","5","b","phx_reply",{"status":"ok","response":{"notes":1}}]`,
		}, c.get(`["2","5","b","e",{}]`))
	})
}
