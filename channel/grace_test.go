package channel

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
)

// graceful is presenceHandler with a LeaveGrace, whose channels can be made to
// end in all ways.
func graceful(period time.Duration) *Handler {
	h := presenceHandler(func(r *Route) {
		old := r.New
		r.LeaveGrace = period
		r.New = func() Channel {
			c := old().(script)
			update := c.in
			c.in = func(s *Socket, event string, payload Payload) Result {
				switch event {
				case "crash":
					panic("boom")
				case "stop":
					return Stop(wire.ReasonNormal)
				case "disconnect":
					must(s.Endpoint().Broadcast("id", "disconnect", nil))
					return NoReply()
				}
				return update(s, event, payload)
			}
			return c
		}
	})
	connect := h.Connect
	h.Connect = func(ctx context.Context, c *ConnectRequest) error { c.SetID("id"); return connect(ctx, c) }
	return h
}

// watcher is a client that is not present, and sees who comes and goes.
func watcher(t *testing.T, e *Endpoint, topic string) *client {
	t.Helper()
	h := handlerOf(script{})
	h.Routes[0].PushState = true
	c := connect(t, e, h, "")
	c.send(`["1","1","` + topic + `","phx_join",{}]`)
	time.Sleep(time.Second)
	c.take()
	return c
}

func (cl *cluster) refOf(t *testing.T, topic, key string) string {
	t.Helper()
	p, ok := cl.trackers[0].Get(topic, key)
	require.True(t, ok)
	require.Len(t, p.Metas, 1)
	return p.Metas[0].Ref
}

func TestWhoComesBackWithinTheGraceWasNeverAway(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 2, nil)
		h := graceful(10 * time.Second)
		local, remote := watcher(t, cl.endpoints[0], "t"), watcher(t, cl.endpoints[1], "t")
		a := connect(t, cl.endpoints[0], h, "user=a")
		a.send(`["1","1","t","phx_join",{}]`)
		time.Sleep(time.Second)
		local.take()
		remote.take()
		was := cl.refOf(t, "t", "a")
		a.drop()
		time.Sleep(9 * time.Second)
		require.Empty(t, local.take())
		require.Equal(t, int64(1), cl.endpoints[0].Stats().Graces)
		var session *presence.Session
		for g := range cl.endpoints[0].graces.all {
			session = g.session
		}

		again := connect(t, cl.endpoints[0], h, "user=a")
		again.send(`["1","1","t","phx_join",{}]`)
		time.Sleep(time.Second)
		is := cl.refOf(t, "t", "a")
		want := []string{`[null,null,"t","presence_diff",{"joins":{"a":{"metas":[{"phx_ref":"` + is + `","phx_ref_prev":"` + was +
			`","n":0}]}},"leaves":{"a":{"metas":[{"phx_ref":"` + was + `","n":0}]}}}]`}
		require.Equal(t, want, local.take())
		require.Equal(t, want, remote.take())
		require.Zero(t, cl.endpoints[0].Stats().Graces)
		_, err := session.Track("t", "b", nil)
		require.ErrorIs(t, err, presence.ErrSessionClosed, "with its last presence")
		time.Sleep(time.Minute)
		require.Empty(t, local.take(), "the old grace is over, and took nothing along")
		again.send(`["1","2","t","update",{"n":1}]`)
		require.Contains(t, local.take()[0], `"phx_ref_prev":"`+is+`"`, "it is the new channel's")
	})
}

func TestTheGraceEnds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 2, nil)
		remote := watcher(t, cl.endpoints[1], "t")
		a := connect(t, cl.endpoints[0], graceful(10*time.Second), "user=a")
		a.get(`["1","1","t","phx_join",{}]`)
		time.Sleep(time.Second)
		require.Contains(t, remote.take()[0], `"joins":{"a"`)
		a.drop()
		time.Sleep(9999 * time.Millisecond)
		require.Empty(t, remote.take())
		time.Sleep(20 * time.Millisecond)
		require.Contains(t, remote.take()[0], `"leaves":{"a"`)
		require.Zero(t, cl.endpoints[0].Stats().Graces)
	})
}

func TestOnlyALossHasAGrace(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, c *client){
		"leave":      func(t *testing.T, c *client) { c.send(`["1","2","t","phx_leave",{}]`) },
		"stop":       func(t *testing.T, c *client) { c.send(`["1","2","t","stop",{}]`) },
		"crash":      func(t *testing.T, c *client) { c.send(`["1","2","t","crash",{}]`) },
		"disconnect": func(t *testing.T, c *client) { c.send(`["1","2","t","disconnect",{}]`) },
		"drain":      func(t *testing.T, c *client) { require.NoError(t, c.conn.Endpoint().Drain(t.Context())) },
		"loss, while draining": func(t *testing.T, c *client) {
			c.conn.endpoint.graces.close()
			c.drop()
		},
		"leave, then loss": func(t *testing.T, c *client) {
			c.send(`["1","2","t","phx_leave",{}]`)
			c.drop()
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				cl := startCluster(t, 2, nil)
				remote := watcher(t, cl.endpoints[1], "t")
				c := connect(t, cl.endpoints[0], graceful(time.Hour), "user=a")
				c.get(`["1","1","t","phx_join",{}]`)
				time.Sleep(time.Second)
				remote.take()
				end(t, c)
				time.Sleep(100 * time.Millisecond)
				require.Contains(t, remote.take()[0], `"leaves":{"a"`)
				require.Zero(t, cl.endpoints[0].Stats().Graces)
			})
		})
	}
	t.Run("another join of the topic", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			cl := startCluster(t, 1, nil)
			c := connect(t, cl.endpoints[0], graceful(time.Hour), "user=a")
			c.get(`["1","1","t","phx_join",{}]`, `["2","2","t","phx_join",{}]`)
			cl.refOf(t, "t", "a")
			require.Zero(t, cl.endpoints[0].Stats().Graces)
		})
	})
	t.Run("none by default", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			cl := startCluster(t, 1, nil)
			c := connect(t, cl.endpoints[0], presenceHandler(nil), "user=a")
			c.get(`["1","1","t","phx_join",{}]`)
			c.drop()
			synctest.Wait()
			require.Empty(t, cl.trackers[0].Peek("t").Presences)
		})
	})
}

// On another replica it is a join and then a leave: the key is there all the time.
func TestWhoComesBackOnAnotherReplica(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 2, nil)
		h := graceful(time.Hour)
		watchers := []*client{watcher(t, cl.endpoints[0], "t"), watcher(t, cl.endpoints[1], "t")}
		a, tab := connect(t, cl.endpoints[0], h, "user=a"), connect(t, cl.endpoints[0], h, "user=a")
		for _, c := range []*client{a, tab} {
			c.send(`["1","1","t","phx_join",{}]`)
			time.Sleep(time.Second)
		}
		a.drop()
		time.Sleep(time.Second)
		tab.send(`["1","2","t","update",{"n":7}]`)
		time.Sleep(time.Second)
		require.Equal(t, int64(1), cl.endpoints[0].Stats().Graces, "another tab's update is no return")
		tab.send(`["1","3","t","phx_leave",{}]`)
		time.Sleep(time.Second)
		for _, w := range watchers {
			w.take()
		}
		was := cl.refOf(t, "t", "a")
		connect(t, cl.endpoints[1], h, "user=a").send(`["1","1","t","phx_join",{}]`)
		time.Sleep(time.Second)
		is := cl.refOf(t, "t", "a")
		require.NotEqual(t, was, is)
		for _, w := range watchers {
			frames := w.take()
			require.Contains(t, frames[0], `"joins":{"a":{"metas":[{"phx_ref":"`+is+`","n":0}]}}`, "before the leave, or with it")
			require.Contains(t, frames[len(frames)-1], `"leaves":{"a":{"metas":[{"phx_ref":"`+was+`","n":0}]}}`)
			require.LessOrEqual(t, len(frames), 2)
		}
		require.Zero(t, cl.endpoints[0].Stats().Graces)
	})
}

func TestTwoTabsComeBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		h := graceful(10 * time.Second)
		var tabs []*client
		for range 2 {
			tabs = append(tabs, connect(t, cl.endpoints[0], h, "user=a"))
			tabs[len(tabs)-1].get(`["1","1","t","phx_join",{}]`)
		}
		for _, tab := range tabs {
			tab.drop()
		}
		synctest.Wait()
		require.Equal(t, int64(2), cl.endpoints[0].Stats().Graces)
		for i := range 3 {
			connect(t, cl.endpoints[0], h, "user=a").get(`["1","1","t","phx_join",{}]`)
			p, _ := cl.trackers[0].Get("t", "a")
			require.Len(t, p.Metas, max(2, i+1), "the third is new")
		}
		require.Zero(t, cl.endpoints[0].Stats().Graces)
	})
}

func TestCloseEndsEveryGraceAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 2, nil)
		remote := watcher(t, cl.endpoints[1], "t")
		for i := range 5 {
			c := connect(t, cl.endpoints[0], graceful(time.Hour), fmt.Sprintf("user=u%d", i))
			c.get(`["1","1","t","phx_join",{}]`)
			c.drop()
		}
		time.Sleep(time.Minute)
		remote.take()
		require.Equal(t, int64(5), cl.endpoints[0].Stats().Graces)
		began := time.Now()
		require.NoError(t, cl.endpoints[0].Close(t.Context()))
		require.Zero(t, time.Since(began))
		time.Sleep(time.Second)
		require.Equal(t, 5, strings.Count(strings.Join(remote.take(), ""), `"phx_ref"`))
		require.Empty(t, cl.trackers[1].Peek("t").Presences)
	})
}

func TestAFloodOfReconnectsPilesNothingUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, func(cfg *Config) { cfg.MaxGraces = 5 })
		h := graceful(time.Hour)
		e := cl.endpoints[0]
		come := func(user string) *client {
			c := connect(t, e, h, "user="+user)
			c.get(`["1","1","t","phx_join",{}]`)
			return c
		}
		for range 100 { // one user, again and again
			come("a").drop()
			synctest.Wait()
			require.Equal(t, int64(1), e.Stats().Graces)
		}
		cl.refOf(t, "t", "a")
		for i := range 20 { // many, at once
			come(fmt.Sprintf("u%d", i)).drop()
		}
		synctest.Wait()
		require.Equal(t, int64(5), e.Stats().Graces)
		require.Len(t, cl.trackers[0].Peek("t").Presences, 5, "the others left at once")
		time.Sleep(2 * time.Hour)
		require.Zero(t, e.Stats().Graces)
		require.Empty(t, cl.trackers[0].Peek("t").Presences)
		require.Empty(t, e.graces.topics)
		require.Empty(t, e.graces.byPlace)
	})
}

func TestTrackInOtherTopicsAndForOtherSessions(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 2, nil)
		h := presenceHandler(func(r *Route) {
			old := r.New
			r.LeaveGrace = 10 * time.Second
			r.New = func() Channel {
				c := old().(script)
				c.in = func(s *Socket, event string, payload Payload) Result {
					var err error
					switch event {
					case "enter":
						_, err = s.TrackIn("lobby", user(s), payload)
					case "change":
						_, err = s.UpdateIn("lobby", user(s), presence.Replace(payload))
					case "exit":
						err = s.UntrackIn("lobby", user(s))
					}
					if err != nil {
						return Error(map[string]string{"reason": err.Error()})
					}
					return OK(nil)
				}
				return c
			}
		})
		lobby := watcher(t, cl.endpoints[1], "lobby")
		saw := func(parts ...string) {
			t.Helper()
			time.Sleep(time.Second)
			frames := lobby.take()
			require.Len(t, frames, 1)
			for _, part := range parts {
				require.Contains(t, frames[0], part)
			}
		}
		a := connect(t, cl.endpoints[0], h, "user=a")
		a.get(`["1","1","t","phx_join",{}]`)
		require.Contains(t, a.get(`["1","2","t","change",{}]`)[0], "presence: not tracked")
		a.get(`["1","3","t","enter",{"at":"door"}]`)
		saw(`"joins":{"a"`, `"at":"door"`)
		require.Contains(t, a.get(`["1","4","t","enter",{}]`)[0], "already tracked")
		a.get(`["1","5","t","change",{"at":"bar"}]`)
		saw(`"at":"bar"`, `"at":"door"`)
		a.get(`["1","6","t","exit",{}]`)
		saw(`"leaves":{"a"`)
		a.get(`["1","7","t","enter",{}]`)
		saw(`"joins":{"a"`)
		a.drop()
		time.Sleep(5 * time.Second)
		require.Empty(t, lobby.take(), "its grace, as in its own topic")
		a = connect(t, cl.endpoints[0], h, "user=a")
		a.get(`["1","1","t","phx_join",{}]`)
		require.Equal(t, int64(1), cl.endpoints[0].Stats().Graces, "it is back in one of two topics")
		time.Sleep(5 * time.Second)
		saw(`"leaves":{"a"`)
		require.Zero(t, cl.endpoints[0].Stats().Graces)

		// A session of the application's own: a device, a job. It ends when it ends.
		b := connect(t, cl.endpoints[1], h, "user=b")
		b.send(`["1","1","t","phx_join",{}]`)
		time.Sleep(time.Second)
		b.take()
		device := cl.endpoints[0].Presence().NewSession()
		_, err := device.Track("t", "a", map[string]string{"device": "watch"})
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.Contains(t, b.take()[0], `"device":"watch"`)
		a.send(`["1","9","t","phx_leave",{}]`)
		time.Sleep(time.Second)
		require.NotContains(t, b.take()[0], "watch", "the channel's presence left, not the device's")
		device.Close()
		time.Sleep(time.Second)
		require.Contains(t, b.take()[0], `"device":"watch"`)
	})
}
