package channel

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
)

func TestPresenceFramesInOrder(t *testing.T) {
	proves(t, "B168")
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		h := referenceHandler(t)
		a := connect(t, cl.endpoints[0], h, "user=alice")
		got := a.get(`["1","1","room:lobby","phx_join",{"meta":{"color":"red"}}]`)
		ref := cl.trackers[0].Peek("room:lobby").Presences[0].Metas[0].Ref
		require.Equal(t, []string{
			`["1","1","room:lobby","phx_reply",{"status":"ok","response":{}}]`,
			`["1",null,"room:lobby","presence_state",{}]`,
			`[null,null,"room:lobby","presence_diff",{"joins":{"alice":{"metas":[{"phx_ref":"` + ref + `","color":"red"}]}},"leaves":{}}]`,
		}, got)

		b := connect(t, cl.endpoints[0], h, "user=bob")
		got = b.get(`["7","7","room:lobby","phx_join",{"track_first":true}]`)
		require.Equal(t, `["7","7","room:lobby","phx_reply",{"status":"ok","response":{}}]`, got[0])
		require.Contains(t, got[1], `["7",null,"room:lobby","presence_state",{"alice":{"metas":[{"phx_ref":"`+ref+`","color":"red"}]}`)
		require.Len(t, got, 2, "no diff before the state, and none after it: it is in the state")
		require.Contains(t, got[1], `"bob":`)
		diff := a.take()
		require.Len(t, diff, 1)
		require.Contains(t, diff[0], `[null,null,"room:lobby","presence_diff",{"joins":{"bob":{"metas":[`)
		checkClients(t, cl, "room:lobby")

		// A leave is seen by the others, not by the one who leaves.
		got = b.get(`["7","8","room:lobby","phx_leave",{}]`)
		require.Equal(t, []string{
			`["7","8","room:lobby","phx_reply",{"status":"ok","response":{}}]`,
			`["7","7","room:lobby","phx_close",{}]`,
		}, got)
		require.Contains(t, a.take()[0], `"presence_diff",{"joins":{},"leaves":{"bob":`)
	})
}

// presenceHandler is a channel that shows presence and lets its client update.
func presenceHandler(change func(*Route)) *Handler {
	h := handlerOf(script{
		join: func(s *Socket, params Payload) (any, error) {
			s.Send(0)
			return nil, nil
		},
		info: func(s *Socket, msg any) Result {
			must(s.PushPresenceState())
			_, err := s.Track(user(s), map[string]int{"n": 0})
			must(err)
			return NoReply()
		},
		in: func(s *Socket, event string, payload Payload) Result {
			_, err := s.Update(user(s), presence.Replace(payload))
			must(err)
			return NoReply()
		},
	})
	h.Connect = func(ctx context.Context, c *ConnectRequest) error {
		c.Assign("user", c.Params.String("user"))
		return nil
	}
	if change != nil {
		change(&h.Routes[0])
	}
	return h
}

func (cl *cluster) fill(t *testing.T, h *Handler, n int) []*strict {
	var clients []*strict
	for i := range n {
		name := fmt.Sprintf("u%d", i)
		c := &strict{client: connect(t, cl.endpoints[i%len(cl.endpoints)], h, "user="+name), name: name, refs: map[string]map[string]bool{}}
		c.send(`["1","1","t","phx_join",{}]`)
		clients = append(clients, c)
	}
	return clients
}

func TestManyJoinAtOnce(t *testing.T) { // "200 clients in and out of one room are 80,400 messages"
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		clients := cl.fill(t, presenceHandler(nil), 200)
		time.Sleep(time.Second)
		frames := 0
		for _, c := range clients {
			c.read(t)
			require.Equal(t, 1, c.states)
			frames += c.diffs
		}
		checkClients(t, cl, "t", clients...)
		require.Less(t, frames, 200*200/4, "without merging there are about 20,000")
	})
}

func TestDiffsOfABusyRoomAreMerged(t *testing.T) {
	proves(t, "B166")
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		clients := cl.fill(t, presenceHandler(nil), 20)
		time.Sleep(time.Second)
		for _, c := range clients {
			c.read(t)
			c.diffs = 0
		}
		clients[0].send(`["1","2","t","update",{"n":1}]`)
		clients[1].read(t)
		require.Equal(t, 1, clients[1].diffs, "the first in a quiet topic goes at once")
		for i := range 100 {
			time.Sleep(10 * time.Millisecond)
			clients[i%20].send(fmt.Sprintf(`["1","2","t","update",{"n":%d}]`, i))
		}
		time.Sleep(time.Second)
		for _, c := range clients {
			c.read(t)
			require.LessOrEqual(t, c.diffs, 50, "of 100 changes")
			require.Greater(t, c.diffs, 1)
		}
		checkClients(t, cl, "t", clients...)
	})
}

func TestDiffsAreSharedFrames(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		clients := cl.fill(t, presenceHandler(nil), 3)
		time.Sleep(time.Second)
		for _, c := range clients {
			c.read(t)
		}
		clients[0].send(`["1","2","t","update",{"n":1}]`)
		synctest.Wait()
		frame := clients[0].link.frames[0]
		require.True(t, frame.Shared)
		for _, c := range clients {
			require.Same(t, frame, c.link.frames[0])
		}
	})
}

func TestFetchMasksWhatClientsSee(t *testing.T) {
	proves(t, "B165")
	for _, panics := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			cl := startCluster(t, 2, nil)
			var calls atomic.Int32
			h := presenceHandler(func(route *Route) {
				route.Fetch = func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
					calls.Add(1)
					if panics {
						panic("no database")
					}
					_, ok := ctx.Deadline()
					require.True(t, ok)
					out := make([]presence.Presence, len(list))
					for i, p := range list {
						out[i].Key = p.Key
						for _, m := range p.Metas {
							m.Data = json.RawMessage(`{"masked":true}`)
							out[i].Metas = append(out[i].Metas, m)
						}
					}
					return out, nil
				}
			})
			clients := cl.fill(t, h, 6)
			time.Sleep(time.Second)
			clients[0].send(`["1","2","t","update",{"n":99}]`)
			synctest.Wait()
			for _, c := range clients {
				for _, f := range c.link.frames {
					require.NotContains(t, string(f.Data), `"n"`)
					require.Equal(t, !panics && strings.Contains(string(f.Data), "phx_ref"), strings.Contains(string(f.Data), "masked"), "%s", f.Data)
				}
				c.read(t)
			}
			checkClients(t, cl, "t", clients...)
			before := calls.Load()
			clients[0].send(`["1","2","t","update",{"n":100}]`)
			time.Sleep(time.Second)
			require.Equal(t, before+2, calls.Load(), "once for the diff, on each replica")
		})
	}
}

func TestPushStateOfTheRoute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		h := handlerOf(script{})
		h.Routes[0].PushState = true
		require.Equal(t, []string{
			`["1","1","t","phx_reply",{"status":"ok","response":{}}]`,
			`["1",null,"t","presence_state",{}]`,
		}, connect(t, cl.endpoints[0], h, "").get(`["1","1","t","phx_join",{}]`))
	})
}

func TestStateOnAReplicaThatIsNewToTheTopic(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 2, nil)
		h := presenceHandler(nil)
		a := connect(t, cl.endpoints[0], h, "user=a")
		a.get(`["1","1","t","phx_join",{}]`)
		b := &strict{client: connect(t, cl.endpoints[1], h, "user=b"), name: "b"}
		b.send(`["1","1","t","phx_join",{}]`)
		began := time.Now()
		for b.read(t); !b.synced; b.read(t) {
			time.Sleep(time.Millisecond)
		}
		require.Less(t, time.Since(began), 400*time.Millisecond)
		require.Contains(t, b.refs, "a", "the first state is complete")
	})
}

func TestPresenceOfAnEndedChannelEndsAfterTerminate(t *testing.T) {
	proves(t, "B150")
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 2, nil)
		var tr trace
		h := presenceHandler(func(route *Route) {
			old := route.New
			route.New = func() Channel {
				c := old().(script)
				c.terminate = func(s *Socket, reason Reason) {
					_, ok := s.Endpoint().Presence().Get("t", user(s))
					tr.add("%v: present %t", reason, ok)
				}
				return c
			}
		})
		a := connect(t, cl.endpoints[0], h, "user=a")
		a.get(`["1","1","t","phx_join",{}]`)
		a.get(`["2","2","t","phx_join",{}]`)
		p, ok := cl.trackers[0].Get("t", "a")
		require.True(t, ok)
		require.Len(t, p.Metas, 1)
		a.drop()
		require.Equal(t, []string{"duplicate join: present true", "closed: present true"}, tr.take())
		_, ok = cl.trackers[0].Get("t", "a")
		require.False(t, ok)
	})
}

// A join that takes so long that its client gives it up, leaves, and joins again:
// one presence is there, whatever the first join did meanwhile.
func TestAJoinThatItsClientGaveUpLeavesOnePresence(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 2, nil)
		h := presenceHandler(func(route *Route) {
			old := route.New
			route.New = func() Channel {
				c := old().(script)
				join := c.join
				c.join = func(s *Socket, params Payload) (any, error) {
					_, err := s.Track("early", nil)
					must(err)
					if s.JoinRef() == "1" {
						time.Sleep(12 * time.Second)
					}
					if join == nil {
						return nil, nil
					}
					return join(s, params)
				}
				return c
			}
		})
		a := connect(t, cl.endpoints[0], h, "user=a")
		a.send(`["1","1","t","phx_join",{}]`)
		time.Sleep(10 * time.Second) // phoenix.js's join timeout
		a.send(`["1","2","t","phx_leave",{}]`, `["3","3","t","phx_join",{}]`)
		time.Sleep(5 * time.Second)
		require.Contains(t, a.take(), `["3","3","t","phx_reply",{"status":"ok","response":{}}]`)
		for _, tracker := range cl.trackers {
			list, err := tracker.List(t.Context(), "t")
			require.NoError(t, err)
			p, ok := list.Get("early")
			require.True(t, ok)
			require.Len(t, p.Metas, 1)
		}
	})
}

func TestPresenceWithoutATracker(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		c := connect(t, startOne(t, Config{}), handlerOf(script{
			in: func(s *Socket, event string, payload Payload) Result {
				_, err := s.Track("k", nil)
				require.ErrorIs(t, err, ErrNoPresence)
				_, err = s.Update("k", presence.Replace(nil))
				require.ErrorIs(t, err, ErrNoPresence)
				require.ErrorIs(t, s.Untrack("k"), ErrNoPresence)
				require.ErrorIs(t, s.PushPresenceState(), ErrNoPresence)
				tr.add("done")
				return NoReply()
			},
		}), "")
		c.get(`["1","1","t","phx_join",{}]`, `["1","2","t","e",{}]`)
		require.Equal(t, []string{"done"}, tr.take())
	})
}

// fakeSource is a tracker whose events the test makes.
type fakeSource struct {
	fault     error // of watch
	handle    func(presence.Event)
	refreshes atomic.Int32
	stopped   atomic.Bool
}

func (f *fakeSource) session() *presence.Session { return nil }

func (f *fakeSource) watch(topic string, handle func(presence.Event)) (presenceWatch, error) {
	if f.fault != nil {
		return nil, f.fault
	}
	f.handle = handle
	return f, nil
}

func (f *fakeSource) Refresh() { f.refreshes.Add(1) }
func (f *fakeSource) Stop()    { f.stopped.Store(true) }

func entry1(key, ref string) []presence.Presence {
	return []presence.Presence{{Key: key, Metas: []presence.Meta{{Ref: ref, Data: json.RawMessage(`{}`)}}}}
}

func TestStateWaitsForCompleteness(t *testing.T) {
	proves(t, "B169")
	for name, complete := range map[string]bool{"until it is there": true, "no longer than StateTimeout": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := startOne(t, Config{StateTimeout: time.Second})
				source := &fakeSource{}
				e.rooms = newRooms(e, source)
				h := handlerOf(script{})
				h.Routes[0].PushState = true
				c := connect(t, e, h, "")
				require.Len(t, c.get(`["1","1","t","phx_join",{}]`), 1, "the reply does not wait")
				source.handle(presence.Event{Topic: "t", State: &presence.List{Topic: "t"}})
				require.Empty(t, c.take())
				require.Zero(t, source.refreshes.Load(), "it is known to be incomplete: nothing to ask for")
				time.Sleep(900 * time.Millisecond)
				late := connect(t, e, h, "")
				require.Len(t, late.get(`["1","1","t","phx_join",{}]`), 1)
				source.handle(presence.Event{Topic: "t", Diff: presence.Diff{Joins: entry1("a", "1")}, Complete: complete})
				require.Empty(t, c.take(), "no diff before the state")
				if !complete {
					require.Zero(t, source.refreshes.Load())
					time.Sleep(101 * time.Millisecond)
				}
				synctest.Wait()
				require.Equal(t, int32(1), source.refreshes.Load())
				source.handle(presence.Event{Topic: "t", State: &presence.List{Topic: "t", Presences: entry1("a", "1")}, Complete: complete})
				source.handle(presence.Event{Topic: "t", Diff: presence.Diff{Leaves: entry1("a", "1")}, Complete: complete})
				want := []string{
					`["1",null,"t","presence_state",{"a":{"metas":[{"phx_ref":"1"}]}}]`,
					`[null,null,"t","presence_diff",{"joins":{},"leaves":{"a":{"metas":[{"phx_ref":"1"}]}}}]`,
				}
				require.Equal(t, want, c.take())
				require.Equal(t, want, late.take())
				c.drop()
				late.drop()
				synctest.Wait()
				require.True(t, source.stopped.Load())
				e.rooms = nil
			})
		})
	}
}

// A blockingLink takes a presence_diff when the test lets it.
type blockingLink struct {
	testLink
	begun, goOn chan struct{}
}

func (l *blockingLink) Send(frames ...*wire.Frame) {
	for _, f := range frames {
		if strings.Contains(string(f.Data), eventPresenceDiff) {
			l.begun <- struct{}{}
			<-l.goOn
		}
		l.testLink.Send(f)
	}
}

// inARound calls during while a diff of x is being sent to a room: a client is blocked in
// it, and another is still to be sent it.
func inARound(t *testing.T, during func(source *fakeSource, e *Endpoint, h *Handler, other *client, goOn func())) {
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		source := &fakeSource{}
		e.rooms = newRooms(e, source)
		h := handlerOf(script{})
		h.Routes[0].PushState = true
		link := &blockingLink{begun: make(chan struct{}, 2), goOn: make(chan struct{})}
		conn, err := e.Connect(t.Context(), h, wire.ConnectInfo{Params: url.Values{"vsn": {"2.0.0"}}})
		require.NoError(t, err)
		conn.Start(link)
		require.Nil(t, conn.Receive(false, []byte(`["1","1","t","phx_join",{}]`)))
		synctest.Wait()
		other := connect(t, e, h, "")
		other.get(`["1","1","t","phx_join",{}]`)
		source.handle(presence.Event{State: &presence.List{Topic: "t"}, Complete: true})
		require.Len(t, other.take(), 1)
		source.handle(presence.Event{Diff: presence.Diff{Joins: entry1("x", "x")}, Complete: true})
		<-link.begun
		during(source, e, h, other, func() { close(link.goOn) })
		synctest.Wait()
		conn.Closed(wire.ReasonClosed)
		other.drop()
		synctest.Wait()
		require.True(t, source.stopped.Load())
		require.Empty(t, e.rooms.all)
		e.rooms = nil
	})
}

func joinDiff(key string) string {
	return `[null,null,"t","presence_diff",{"joins":{"` + key + `":{"metas":[{"phx_ref":"` + key + `"}]}},"leaves":{}}]`
}

func TestTheTrackerDoesNotWaitForARound(t *testing.T) {
	inARound(t, func(source *fakeSource, e *Endpoint, h *Handler, other *client, goOn func()) {
		source.handle(presence.Event{Diff: presence.Diff{Joins: entry1("y", "y")}, Complete: true}) // returns
		source.handle(presence.Event{Diff: presence.Diff{Joins: entry1("z", "z")}, Complete: true})
		require.Empty(t, other.take())
		goOn()
		require.Equal(t, []string{
			joinDiff("x"),
			`[null,null,"t","presence_diff",{"joins":{"y":{"metas":[{"phx_ref":"y"}]},"z":{"metas":[{"phx_ref":"z"}]}},"leaves":{}}]`,
		}, other.take(), "what came meanwhile is one diff")
	})
}

// A diff after the end of its channel would be taken for one of the next join.
func TestAChannelThatHasLeftIsSentNoDiff(t *testing.T) {
	inARound(t, func(source *fakeSource, e *Endpoint, h *Handler, other *client, goOn func()) {
		other.send(`["1","2","t","phx_leave",{}]`)
		require.Empty(t, other.take(), "it is not over while it may be sent the diff")
		goOn()
		require.Equal(t, []string{
			joinDiff("x"),
			`["1","2","t","phx_reply",{"status":"ok","response":{}}]`,
			`["1","1","t","phx_close",{}]`,
		}, other.take())
	})
}

func TestAJoinDuringARoundDoesNotHoldUpItsConnection(t *testing.T) {
	inARound(t, func(source *fakeSource, e *Endpoint, h *Handler, other *client, goOn func()) {
		c := connect(t, e, h, "")
		c.get(`["1","1","t","phx_join",{}]`)
		require.Len(t, c.get(`[null,"2","phoenix","heartbeat",{}]`), 1)
		goOn()
		require.Equal(t, []string{`["1",null,"t","presence_state",{"x":{"metas":[{"phx_ref":"x"}]}}]`}, c.take(), "the diff of the round is in it")
		c.drop()
	})
}

// A callback's frames go out in the order in which it sends them.
func TestTheStateGoesOutBeforeWhatIsSentAfterIt(t *testing.T) {
	inARound(t, func(source *fakeSource, e *Endpoint, h *Handler, other *client, goOn func()) {
		asking := handlerOf(script{in: func(s *Socket, event string, payload Payload) Result {
			must(s.PushPresenceState())
			return OK(nil)
		}})
		c := connect(t, e, asking, "")
		c.get(`["1","1","t","phx_join",{}]`)
		require.Empty(t, c.get(`["1","2","t","state",{}]`))
		goOn()
		require.Equal(t, []string{
			`["1",null,"t","presence_state",{"x":{"metas":[{"phx_ref":"x"}]}}]`,
			`["1","2","t","phx_reply",{"status":"ok","response":{}}]`,
		}, c.take())
		c.drop()
	})
}

func TestAChannelThatEndsIsGivenNoState(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		var said error
		c := connect(t, cl.endpoints[0], handlerOf(script{terminate: func(s *Socket, reason Reason) {
			said = s.PushPresenceState()
		}}), "")
		require.Len(t, c.get(`["1","1","t","phx_join",{}]`, `["1","2","t","phx_leave",{}]`), 3)
		require.ErrorIs(t, said, ErrClosed)
	})
}

func TestATopicThatCannotBeWatchedIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		source := &fakeSource{fault: presence.ErrTooManyTopics}
		e.rooms = newRooms(e, source)
		var said error
		h := handlerOf(script{in: func(s *Socket, event string, payload Payload) Result {
			said = s.PushPresenceState()
			return NoReply()
		}})
		c := connect(t, e, h, "")
		c.get(`["1","1","t","phx_join",{}]`, `["1",null,"t","state",{}]`)
		require.ErrorIs(t, said, presence.ErrTooManyTopics)
		source.fault = nil
		c.get(`["1",null,"t","state",{}]`)
		require.NoError(t, said)
		source.handle(presence.Event{State: &presence.List{Topic: "t"}, Complete: true})
		require.Equal(t, []string{`["1",null,"t","presence_state",{}]`}, c.take())
		c.drop()
		synctest.Wait()
		e.rooms = nil
	})
}

func TestARouteHasAWindowOfItsOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const window = 10 * time.Second
		cl := startCluster(t, 1, nil)
		fixed := presenceHandler(func(r *Route) { r.DiffWindow = window })
		slow, quick := connect(t, cl.endpoints[0], fixed, "user=s"), connect(t, cl.endpoints[0], presenceHandler(nil), "user=q")
		slow.get(`["1","1","t","phx_join",{}]`)
		quick.get(`["1","1","t","phx_join",{}]`)
		time.Sleep(2 * window)
		slow.take()
		quick.take()
		for i := range 3 {
			require.Len(t, quick.get(fmt.Sprintf(`["1","2","t","update",{"n":%d}]`, i)), 1)
		}
		require.Len(t, slow.take(), 1, "the first is sent at once")
		time.Sleep(window - time.Millisecond)
		require.Empty(t, slow.take())
		time.Sleep(time.Millisecond)
		require.Len(t, slow.take(), 1, "and the others together")

		fixed.Routes[0].DiffWindow = -1
		_, err := NewHandler(*fixed)
		require.ErrorContains(t, err, "DiffWindow is -1ns, must not be negative")
	})
}

// Both found no room, and made one.
func TestTwoWhoEnterAtOnceAreInOneRoom(t *testing.T) {
	rs := newRooms(&Endpoint{}, &fakeSource{})
	key, route := roomKey{topic: "t"}, &Route{}
	require.Nil(t, rs.count(key, nil))
	first, second := newTopicRoom(rs, key, route), newTopicRoom(rs, key, route)
	require.Same(t, first, rs.count(key, first))
	require.Same(t, first, rs.count(key, second))
	require.Equal(t, 2, first.inside)
	rs.leave(first)
	require.Same(t, first, rs.count(key, nil))
}
