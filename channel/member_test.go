package channel

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

func TestSlowJoinHoldsUpNobodyElse(t *testing.T) {
	proves(t, "B045")
	bubble(t, func(t *testing.T) {
		release := make(chan struct{})
		c := connect(t, startOne(t, Config{}), handlerOf(script{
			join: func(s *Socket, params Payload) (any, error) {
				if s.Topic() == "slow" {
					<-release
				}
				return nil, nil
			},
			in: func(s *Socket, event string, payload Payload) Result { return OK(nil) },
		}), "")
		require.ElementsMatch(t, []string{
			`[null,"3","phoenix","phx_reply",{"status":"ok","response":{}}]`,
			`["2","2","fast","phx_reply",{"status":"ok","response":{}}]`,
		}, c.get(
			`["1","1","slow","phx_join",{}]`,
			`["2","2","fast","phx_join",{}]`,
			`[null,"3","phoenix","heartbeat",{}]`,
			`["1","4","slow","ping",{}]`,
		))
		close(release)
		require.Equal(t, []string{
			`["1","1","slow","phx_reply",{"status":"ok","response":{}}]`,
			`["1","4","slow","phx_reply",{"status":"ok","response":{}}]`,
		}, c.take())
		c.drop()
	})
}

func TestDuplicateJoinOrderOnTheWire(t *testing.T) {
	proves(t, "B050", "B051")
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{})
		h := handlerOf(script{
			join: func(s *Socket, params Payload) (any, error) {
				tr.add("join %s", s.JoinRef())
				s.Send(s.JoinRef())
				return nil, nil
			},
			info: func(s *Socket, msg any) Result {
				must(s.Push("hello", map[string]any{"join": msg}))
				return NoReply()
			},
			in: func(s *Socket, event string, payload Payload) Result {
				time.Sleep(time.Second)
				return OK(nil)
			},
			terminate: func(s *Socket, reason Reason) {
				tr.add("terminate %s: %v", s.JoinRef(), reason)
				must(s.Push("bye", nil))
			},
		})
		c, other := connect(t, e, h, ""), connect(t, e, h, "")
		require.Len(t, c.get(`["1","1","t","phx_join",{}]`), 2)
		require.Len(t, other.get(`["1","1","t","phx_join",{}]`), 2)
		tr.take()

		c.send(`["1","2","t","slow",{}]`, `["3","3","t","phx_join",{}]`)
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{
			`["1","2","t","phx_reply",{"status":"ok","response":{}}]`,
			`["1",null,"t","bye",{}]`,
			`["3","3","t","phx_reply",{"status":"ok","response":{}}]`,
			`["1","1","t","phx_close",{}]`,
			`["3",null,"t","hello",{"join":"3"}]`,
		}, c.take())
		require.Equal(t, []string{"terminate 1: duplicate join", "join 3"}, tr.take())
		require.Empty(t, other.take(), "the same topic on another connection is independent")
	})
}

func TestDuplicateJoinDoesNotWaitForeverForTheOldChannel(t *testing.T) {
	proves(t, "B050")
	bubble(t, func(t *testing.T) {
		var tr trace
		release := make(chan struct{})
		c := connect(t, startOne(t, Config{}), handlerOf(script{
			in: func(s *Socket, event string, payload Payload) Result {
				<-release
				tr.add("push: %v", s.Push("late", nil))
				return OK(nil)
			},
			terminate: func(s *Socket, reason Reason) { tr.add("terminate %s: %v", s.JoinRef(), reason) },
		}), "")
		c.get(`["1","1","t","phx_join",{}]`)
		c.send(`["1","2","t","stuck",{}]`, `["3","3","t","phx_join",{}]`)
		time.Sleep(4 * time.Second)
		require.Empty(t, c.take())
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{
			`["3","3","t","phx_reply",{"status":"ok","response":{}}]`,
			`["1","1","t","phx_close",{}]`,
		}, c.take())
		close(release)
		require.Equal(t, []string{
			`push: push on "t": channel: closed`,
			"terminate 1: duplicate join",
		}, tr.take())
		c.drop()
		require.Equal(t, []string{"terminate 3: closed"}, tr.take())
	})
}

func TestTerminateRunsOnceAfterEveryAcceptedJoin(t *testing.T) {
	proves(t, "B047", "B062", "B067", "B082", "B083")
	in := func(s *Socket, event string, payload Payload) Result {
		switch event {
		case "stop":
			return StopReply(wire.ReasonShutdown, "ok", map[string]any{"bye": true})
		case "fail":
			return Stop(wire.Crashed(errors.New("fault")))
		case "bad":
			return OK(make(chan int))
		}
		panic("boom")
	}
	for name, c := range map[string]struct {
		params string
		do     func(c *client)
		reason string
		frames []string
	}{
		"leave": {
			do:     func(c *client) { c.send(`["1","2","t","phx_leave",{}]`) },
			reason: "left",
			frames: []string{
				`["1","2","t","phx_reply",{"status":"ok","response":{}}]`,
				`["1","1","t","phx_close",{}]`,
				`["1",null,"t","bye",{}]`,
			},
		},
		"stop with a reply": {
			do:     func(c *client) { c.send(`["1","2","t","stop",{}]`) },
			reason: "shutdown",
			frames: []string{
				`["1","2","t","phx_reply",{"status":"ok","response":{"bye":true}}]`,
				`["1","1","t","phx_close",{}]`,
				`["1",null,"t","bye",{}]`,
			},
		},
		"stop for an unplanned reason": {
			do:     func(c *client) { c.send(`["1","2","t","fail",{}]`) },
			reason: "crashed: fault",
			frames: []string{
				`["1","1","t","phx_error",{"reason":"channel_crash"}]`,
				`["1",null,"t","bye",{}]`,
			},
		},
		"panic": {
			do:     func(c *client) { c.send(`["1","2","t","panic",{}]`) },
			reason: "crashed: panic in HandleIn: boom",
			frames: []string{
				`["1","1","t","phx_error",{"reason":"channel_crash"}]`,
				`["1",null,"t","bye",{}]`,
			},
		},
		"reply that cannot be encoded": {
			do:     func(c *client) { c.send(`["1","2","t","bad",{}]`) },
			reason: `crashed: reply on "t": channel: payload must be a JSON object or channel.Binary: json: unsupported type: chan int`,
			frames: []string{
				`["1","1","t","phx_error",{"reason":"channel_crash"}]`,
				`["1",null,"t","bye",{}]`,
			},
		},
		"connection closed": {
			do:     func(c *client) { c.drop(); c.drop() },
			reason: "closed",
			frames: []string{`["1",null,"t","bye",{}]`},
		},
		"refused": {
			params: `{"refuse":true}`,
			do:     func(c *client) {},
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var tr trace
				client := connect(t, startOne(t, Config{}), handlerOf(script{
					join: func(s *Socket, params Payload) (any, error) {
						var p struct{ Refuse bool }
						must(params.Decode(&p))
						if p.Refuse {
							return nil, Refuse("no")
						}
						return nil, nil
					},
					in: in,
					terminate: func(s *Socket, reason Reason) {
						tr.add("%v", reason)
						if err := s.Push("bye", nil); err != nil && !errors.Is(err, ErrClosed) {
							panic(err)
						}
					},
				}), "")
				if c.params == "" {
					c.params = "{}"
				}
				client.get(`["1","1","t","phx_join",` + c.params + `]`)
				c.do(client)
				want := []string{c.reason}
				if c.reason == "" {
					want = nil
				}
				require.Equal(t, want, tr.take())
				if c.reason == "closed" {
					c.frames = nil // there is no client any more
				}
				require.ElementsMatch(t, c.frames, client.take())
				client.drop()
				require.Empty(t, tr.take())
			})
		})
	}
}

func TestLeaveOrderOnTheWire(t *testing.T) {
	proves(t, "B052")
	bubble(t, func(t *testing.T) {
		c := connect(t, startOne(t, Config{}), handlerOf(script{
			in: func(s *Socket, event string, payload Payload) Result { return OK(nil) },
			terminate: func(s *Socket, reason Reason) {
				must(s.Push("bye", nil))
			},
		}), "")
		require.Equal(t, []string{
			`["1","1","t","phx_reply",{"status":"ok","response":{}}]`,
			`["1","2","t","phx_reply",{"status":"ok","response":{}}]`,
			`["1","3","t","phx_reply",{"status":"ok","response":{}}]`,
			`["1","1","t","phx_close",{}]`,
			`["1",null,"t","bye",{}]`,
		}, c.get(`["1","1","t","phx_join",{}]`, `["1","2","t","ping",{}]`, `["1","3","t","phx_leave",{}]`))
	})
}

func TestNothingCanBeSentInJoin(t *testing.T) {
	proves(t, "B060")
	bubble(t, func(t *testing.T) {
		var tr trace
		c := connect(t, startOne(t, Config{}), handlerOf(script{
			join: func(s *Socket, params Payload) (any, error) {
				tr.add("%v", s.Push("e", nil))
				require.ErrorIs(t, s.Broadcast("e", nil), ErrNotJoined)
				require.ErrorIs(t, s.BroadcastFrom("e", nil), ErrNotJoined)
				_, ok := s.Ref()
				require.False(t, ok)
				return nil, nil
			},
		}), "")
		require.Len(t, c.get(`["1","1","t","phx_join",{}]`), 1)
		require.Equal(t, []string{
			`push on "t": channel: not joined yet: push, broadcast and reply after Join has returned, for instance from HandleInfo after s.Send(msg) in Join`,
		}, tr.take())
	})
}

func TestSentInJoinIsHandledAfterTheReply(t *testing.T) {
	proves(t, "B061")
	bubble(t, func(t *testing.T) {
		c := connect(t, startOne(t, Config{}), handlerOf(script{
			join: func(s *Socket, params Payload) (any, error) {
				s.Send("first")
				s.Send("second")
				time.Sleep(time.Second)
				return "welcome", nil
			},
			info: func(s *Socket, msg any) Result {
				must(s.Push("info", map[string]any{"msg": msg}))
				return NoReply()
			},
		}), "")
		c.send(`["1","1","t","phx_join",{}]`)
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{
			`["1","1","t","phx_reply",{"status":"ok","response":"welcome"}]`,
			`["1",null,"t","info",{"msg":"first"}]`,
			`["1",null,"t","info",{"msg":"second"}]`,
		}, c.take())
	})
}

func TestMessagesBehindARefusedJoinAreUnmatched(t *testing.T) {
	proves(t, "B056")
	bubble(t, func(t *testing.T) {
		c := connect(t, startOne(t, Config{}), handlerOf(script{
			join: func(s *Socket, params Payload) (any, error) {
				time.Sleep(time.Second)
				return nil, errors.New("no database") // no Refusal
			},
		}), "")
		c.send(`["1","1","t","phx_join",{}]`, `["1","2","t","ping",{}]`, `["1","3","t","phx_leave",{}]`)
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{
			`["1","1","t","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]`,
			`[null,"2","t","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`,
			`[null,"3","t","phx_reply",{"status":"ok","response":{}}]`,
		}, c.take())
	})
}

func TestReplyLaterFromAnyGoroutine(t *testing.T) {
	proves(t, "B065", "B066")
	bubble(t, func(t *testing.T) {
		var kept ReplyRef
		var socket *Socket
		c := connect(t, startOne(t, Config{}), handlerOf(script{
			in: func(s *Socket, event string, payload Payload) Result {
				ref, ok := s.Ref()
				require.Equal(t, event == "with ref", ok)
				if ok {
					kept, socket = ref, s
				}
				return NoReply()
			},
		}), "")
		c.get(`["1","1","t","phx_join",{}]`, `["1",null,"t","without",{}]`, `["1",9,"t","with ref",{}]`)
		_, ok := socket.Ref()
		require.False(t, ok, "the ref is that of the message being handled")
		require.NoError(t, kept.Reply("ok", nil))
		require.NoError(t, kept.Reply("teapot", []int{1}))
		require.ErrorIs(t, kept.Reply("ok", make(chan int)), wire.ErrPayload)
		require.Equal(t, []string{
			`["1",9,"t","phx_reply",{"status":"ok","response":{}}]`,
			`["1",9,"t","phx_reply",{"status":"teapot","response":[1]}]`,
		}, c.take())
		c.drop()
		synctest.Wait()
		require.ErrorIs(t, kept.Reply("ok", nil), ErrClosed)
		require.ErrorIs(t, socket.Push("e", nil), ErrClosed)
		socket.Send("nobody")
	})
}

func TestExternalSubscriptions(t *testing.T) {
	proves(t, "B071", "B138")
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		var tr trace
		var socket *Socket
		c := connect(t, e, handlerOf(script{
			intercept: []string{"news"},
			join: func(s *Socket, params Payload) (any, error) {
				socket = s
				must(s.Subscribe("other"))
				must(s.Subscribe("other"))
				return nil, s.Subscribe("third")
			},
			out: func(s *Socket, event string, payload Payload) Result {
				tr.add("out %s", event)
				return NoReply()
			},
			info: func(s *Socket, msg any) Result {
				b := msg.(Broadcast)
				tr.add("%s %s %v", b.Topic, b.Event, b.Payload.Value())
				return NoReply()
			},
		}), "")
		require.Len(t, c.get(`["1","1","t","phx_join",{}]`), 1)
		require.NoError(t, e.Broadcast("other", "news", map[string]int{"n": 1}))
		require.Equal(t, []string{"other news map[n:1]", "other news map[n:1]"}, tr.take())
		socket.Unsubscribe("other")
		require.NoError(t, e.Broadcast("other", "news", nil))
		require.NoError(t, e.Broadcast("third", "news", nil))
		require.NoError(t, e.Broadcast("t", "news", nil))
		require.Equal(t, []string{"third news map[]", "out news"}, tr.take())
		require.Empty(t, c.take(), "nothing goes to the client of itself")
		c.drop()
		synctest.Wait()
		require.NoError(t, e.Broadcast("third", "news", nil))
		require.Empty(t, tr.take())
		require.ErrorIs(t, socket.Subscribe("third"), ErrClosed)
	})
}

// plain is a channel without the optional callbacks.
type plain struct{}

func (plain) Join(_ context.Context, s *Socket, params Payload) (any, error) {
	s.Send("for nobody")
	return nil, nil
}

func (plain) HandleIn(s *Socket, event string, payload Payload) Result { return OK(payload) }

func TestChannelWithoutHandleInfoLogsAndContinues(t *testing.T) {
	proves(t, "B069")
	bubble(t, func(t *testing.T) {
		logger, log := testLog()
		c := connect(t, startOne(t, Config{Logger: logger}), mustHandler(Handler{Routes: []Route{{Pattern: "t", New: func() Channel { return plain{} }}}}), "")
		require.Len(t, c.get(`["1","1","t","phx_join",{}]`, `["1","2","t","ping",{}]`), 2)
		require.Contains(t, log.String(), "channel without HandleInfo")
		require.Contains(t, log.String(), "type=string")
	})
}

func TestChannelThatDoesNotKeepUpEndsAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{MailboxSize: 10})
		release := make(chan struct{})
		c := connect(t, e, handlerOf(script{
			in: func(s *Socket, event string, payload Payload) Result {
				if event == "stuck" {
					<-release
				}
				return OK(nil)
			},
			terminate: func(s *Socket, reason Reason) { tr.add("%s: %v", s.Topic(), reason) },
		}), "")
		c.get(`["1","1","t","phx_join",{}]`, `["2","2","other","phx_join",{}]`, `["1","3","t","stuck",{}]`)
		for i := range 20 {
			c.send(fmt.Sprintf(`["1","%d","t","more",{}]`, 10+i))
		}
		require.Equal(t, []string{`["2","4","other","phx_reply",{"status":"ok","response":{}}]`}, c.get(`["2","4","other","ping",{}]`))
		close(release)
		require.Equal(t, []string{
			`["1","3","t","phx_reply",{"status":"ok","response":{}}]`,
			`["1","1","t","phx_error",{"reason":"channel_crash"}]`,
		}, c.take())
		require.Equal(t, []string{"t: crashed: channel: mailbox full: 10 pieces of mail"}, tr.take())
		require.Equal(t, uint64(1), e.Stats().MailboxOverflows)
		require.Equal(t, int64(1), e.Stats().Channels)
		require.Len(t, c.get(`["5","5","t","phx_join",{}]`), 1, "it can be joined again")
	})
}

func TestRouteAssignsStandBeforeThoseOfTheConnection(t *testing.T) {
	proves(t, "B018", "B019")
	bubble(t, func(t *testing.T) {
		var tr trace
		h := handlerOf(script{join: func(s *Socket, params Payload) (any, error) {
			tr.add("%v %v %v", s.Value("a"), s.Value("b"), s.Value("c"))
			return nil, nil
		}})
		h.Routes[0].Assigns = map[string]any{"a": "route"}
		c := connect(t, startOne(t, Config{}), h, "")
		c.conn.Assign("a", "conn")
		c.conn.Assign("b", 2)
		c.get(`["1","1","t","phx_join",{}]`)
		require.Equal(t, []string{"route 2 <nil>"}, tr.take())
	})
}

// Three joins of one topic, the first of which hangs in Join: the second gets
// its turn after DuplicateTimeout, and the third after the second.
func TestJoinThatHangsDoesNotHoldItsTopicForever(t *testing.T) {
	proves(t, "B183")
	bubble(t, func(t *testing.T) {
		var tr trace
		release := make(chan struct{})
		c := connect(t, startOne(t, Config{MailboxSize: 4}), handlerOf(script{
			join: func(s *Socket, params Payload) (any, error) {
				tr.add("join %s", s.JoinRef())
				if s.JoinRef() == "1" {
					<-release
				}
				return nil, nil
			},
			terminate: func(s *Socket, reason Reason) { tr.add("terminate %s: %v", s.JoinRef(), reason) },
		}), "")
		c.send(`["1","1","t","phx_join",{}]`, `["2","2","t","phx_join",{}]`, `["3","3","t","phx_join",{}]`)
		for range 9 { // the mailbox of one that has not begun overflows
			c.send(`["3","4","t","ping",{}]`)
		}
		c.send(`["5","5","t","phx_join",{}]`)
		time.Sleep(20 * time.Second)
		require.Contains(t, c.take(), `["5","5","t","phx_reply",{"status":"ok","response":{}}]`, "while the first still hangs")
		close(release)
		time.Sleep(time.Second)
		c.take() // the first join's answer, which its client has long given up
		require.Equal(t, int64(1), c.conn.endpoint.Stats().Channels)
		require.Len(t, c.get(`["5","6","t","phx_leave",{}]`), 2)
		lines := tr.take()
		joins, ends := 0, 0
		for _, line := range lines {
			if line[0] == 'j' {
				joins++
			} else {
				ends++
			}
		}
		require.Equal(t, joins, ends, "%v", lines)
		require.Zero(t, c.conn.endpoint.Stats().Channels)
	})
}
