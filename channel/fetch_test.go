package channel

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
)

func TestSlowFetchHoldsUpItsOwnTopicOnlyAndKeepsOrder(t *testing.T) {
	proves(t, "B167")
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		h := presenceHandler(func(r *Route) {
			r.Fetch = func(ctx context.Context, topic string, list []presence.Presence) []presence.Presence {
				if topic == "slow" {
					time.Sleep(time.Minute)
				}
				return list
			}
		})
		slow, quick := connect(t, cl.endpoints[0], h, "user=s"), connect(t, cl.endpoints[0], h, "user=q")
		slow.send(`["1","1","slow","phx_join",{}]`)
		require.Len(t, quick.get(`["1","1","quick","phx_join",{}]`), 3, "the reply, the state, the diff")
		require.Len(t, slow.take(), 2, "the reply, and the state of nobody, which is not fetched")
		quick.get(`["1","2","quick","update",{"n":1}]`)
		slow.send(`["1","2","slow","update",{"n":1}]`, `["1","3","slow","update",{"n":2}]`)
		require.Empty(t, slow.take())
		time.Sleep(10 * time.Minute)
		frames := slow.take()
		model := &strict{client: slow, name: "s", synced: true, refs: map[string]map[string]bool{}}
		for _, f := range frames {
			slow.link.Send(&Frame{Data: []byte(f)})
		}
		model.read(t) // fails where a diff does not fit the one before
		checkClients(t, cl, "slow", model)
	})
}

func TestPresenceDiffCanBeIntercepted(t *testing.T) {
	proves(t, "B173")
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		h := handlerOf(script{
			intercept: []string{"presence_diff"},
			out: func(s *Socket, event string, payload Payload) Result {
				var d struct{ Joins, Leaves map[string]any }
				must(payload.Decode(&d))
				must(s.Push("changed", map[string]int{"joins": len(d.Joins), "leaves": len(d.Leaves)}))
				return NoReply()
			},
			in: func(s *Socket, event string, payload Payload) Result {
				_, err := s.Track(event, nil)
				must(err)
				return NoReply()
			},
		})
		c := connect(t, cl.endpoints[0], h, "")
		c.get(`["1","1","t","phx_join",{}]`)
		require.Equal(t, []string{`["1",null,"t","changed",{"joins":1,"leaves":0}]`}, c.get(`["1","2","t","alice",{}]`))
	})
}

func TestAnyKeyIsDeliveredUntouched(t *testing.T) {
	proves(t, "B162", "B180")
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		h := handlerOf(script{in: func(s *Socket, event string, payload Payload) Result {
			if event == "state" {
				must(s.PushPresenceState())
				return NoReply()
			}
			_, err := s.Track(event, map[string]int{"toString": 1})
			must(err)
			return NoReply()
		}})
		// Besides channels, whatever runs in the program can be present.
		session := cl.trackers[0].NewSession()
		defer session.Close()
		ref, err := session.Track("t", "toString", nil)
		require.NoError(t, err)
		c := connect(t, cl.endpoints[0], h, "")
		c.get(`["1","1","t","phx_join",{}]`)
		require.Equal(t, []string{`["1",null,"t","presence_state",{"toString":{"metas":[{"phx_ref":"` + ref + `"}]}}]`}, c.get(`["1","2","t","state",{}]`))
		for _, key := range []string{"__proto__", "constructor", "é\\\"</script>"} {
			frames := c.get(`["1","2","t",` + StringRef(key).json() + `,{}]`)
			require.Len(t, frames, 1)
			p, ok := cl.trackers[0].Get("t", key)
			require.True(t, ok)
			require.JSONEq(t, `[null,null,"t","presence_diff",{"joins":{`+StringRef(key).json()+`:{"metas":[{"phx_ref":"`+p.Metas[0].Ref+`","toString":1}]}},"leaves":{}}]`, frames[0])
		}
	})
}

func TestUpdateIsOneDiff(t *testing.T) {
	proves(t, "B148")
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		c := connect(t, cl.endpoints[0], presenceHandler(nil), "user=a")
		c.get(`["1","1","t","phx_join",{}]`)
		before, _ := cl.trackers[0].Get("t", "a")
		frames := c.get(`["1","2","t","update",{"n":1}]`)
		after, _ := cl.trackers[0].Get("t", "a")
		was, is := before.Metas[0].Ref, after.Metas[0].Ref
		require.NotEqual(t, was, is)
		require.Equal(t, []string{`[null,null,"t","presence_diff",{"joins":{"a":{"metas":[{"phx_ref":"` + is + `","phx_ref_prev":"` + was +
			`","n":1}]}},"leaves":{"a":{"metas":[{"phx_ref":"` + was + `","n":0}]}}}]`}, frames)
	})
}
