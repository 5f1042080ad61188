package channel

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

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
		require.Less(t, frames, 200*40, "without merging there are about 20,000")
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
			require.LessOrEqual(t, c.diffs, 35)
			require.GreaterOrEqual(t, c.diffs, 10)
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
		time.Sleep(10 * time.Second) // phoenix.js's patience
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
	handle    func(presence.Event)
	refreshes atomic.Int32
	stopped   atomic.Bool
}

func (f *fakeSource) session() *presence.Session { return nil }

func (f *fakeSource) watch(topic string, handle func(presence.Event)) (presenceWatch, error) {
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

func TestStateWithinAWindowIsThatOfItsBeginning(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		source := &fakeSource{}
		e.rooms = newRooms(e, source)
		h := handlerOf(script{})
		h.Routes[0].PushState = true
		var clients []*client
		for range smallRoom {
			c := connect(t, e, h, "")
			c.send(`["1","1","t","phx_join",{}]`)
			synctest.Wait()
			if source.handle != nil && len(clients) < 2 { // the first state is not kept
				source.handle(presence.Event{State: &presence.List{Topic: "t"}, Complete: true})
				synctest.Wait()
			}
			require.Len(t, c.take(), 2)
			clients = append(clients, c)
		}
		require.Equal(t, int32(1), source.refreshes.Load(), "nothing was sent since the second state: all others are given the same")
		diff := func(key string) {
			source.handle(presence.Event{Diff: presence.Diff{Joins: entry1(key, key)}, Complete: true})
		}
		diff("a")
		require.Equal(t, []string{joinDiff("a")}, clients[0].take(), "at once")
		sent, waits := []string{"a"}, ""
		for key := 'b'; waits == ""; key++ { // those that may go before their time, and one that may not
			diff(string(key))
			if len(clients[0].take()) == 0 {
				waits = string(key)
			} else {
				sent = append(sent, string(key))
			}
		}
		require.LessOrEqual(t, len(sent), 1+roundBurst)

		for range 2 { // the second shares the state of the first
			c := connect(t, e, h, "")
			frames := c.get(`["1","1","t","phx_join",{}]`)
			require.Len(t, frames, 2)
			for _, key := range sent {
				require.Contains(t, frames[1], `"`+key+`":`)
			}
			require.NotContains(t, frames[1], `"`+waits+`":`, "what was not sent is not in it")
			clients = append(clients, c)
		}
		require.Equal(t, int32(1), source.refreshes.Load())
		diff("own") // tracked after it asked
		for _, c := range clients[:smallRoom] {
			c.take()
		}
		require.Empty(t, clients[0].take())
		time.Sleep(time.Second)
		for _, c := range clients {
			require.Equal(t, []string{`[null,null,"t","presence_diff",{"joins":{"` + waits + `":{"metas":[{"phx_ref":"` + waits + `"}]},"own":{"metas":[{"phx_ref":"own"}]}},"leaves":{}}]`}, c.take())
			c.drop()
		}
		synctest.Wait()
		e.rooms = nil
	})
}

func joinDiff(key string) string {
	return `[null,null,"t","presence_diff",{"joins":{"` + key + `":{"metas":[{"phx_ref":"` + key + `"}]}},"leaves":{}}]`
}

// unchanged is a Fetch that adds nothing.
func unchanged(_ context.Context, _ string, list []presence.Presence) ([]presence.Presence, error) {
	return list, nil
}

// A client that had a diff before it asked for the state keeps it and applies it
// after the state. Were the leave withheld, the one who joined and left would
// stay with it for ever.
func TestDiffsBeforeTheStateAreSentUpToIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		source := &fakeSource{}
		e.rooms = newRooms(e, source)
		h := handlerOf(script{in: func(s *Socket, event string, payload Payload) Result {
			must(s.PushPresenceState())
			return NoReply()
		}})
		h.Routes[0].Fetch = unchanged // so that each state is asked for
		first, c := connect(t, e, h, ""), connect(t, e, h, "")
		require.Len(t, first.get(`["1","1","t","phx_join",{}]`, `["1",null,"t","state",{}]`), 1)
		require.Len(t, c.get(`["1","1","t","phx_join",{}]`), 1)
		source.handle(presence.Event{State: &presence.List{Topic: "t"}, Complete: true})
		source.handle(presence.Event{Diff: presence.Diff{Joins: entry1("x", "x")}, Complete: true})
		require.Equal(t, []string{joinDiff("x")}, c.take())
		require.Empty(t, c.get(`["1",null,"t","state",{}]`))
		source.handle(presence.Event{Diff: presence.Diff{Leaves: entry1("x", "x")}, Complete: true})
		source.handle(presence.Event{State: &presence.List{Topic: "t"}, Complete: true})
		require.Equal(t, []string{
			`[null,null,"t","presence_diff",{"joins":{},"leaves":{"x":{"metas":[{"phx_ref":"x"}]}}}]`,
			`["1",null,"t","presence_state",{}]`,
		}, c.take())
		// From here on it is in step, and a state that it asks for again holds
		// back what is in it.
		require.Len(t, c.get(`["1",null,"t","state",{}]`), 1, "the state has not changed: at once")
		c.drop()
		first.drop()
		synctest.Wait()
		e.rooms = nil
	})
}

func TestDiffsOfTheMomentOfJoining(t *testing.T) {
	for name, asks := range map[string]bool{"are in the state of a channel that asks": true, "come as one to a channel that does not": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				e := startOne(t, Config{})
				source := &fakeSource{}
				e.rooms = newRooms(e, source)
				h := handlerOf(script{
					join: func(s *Socket, params Payload) (any, error) {
						s.Send(0)
						return nil, nil
					},
					info: func(s *Socket, msg any) Result {
						time.Sleep(time.Second)
						if asks {
							must(s.PushPresenceState())
						}
						return NoReply()
					},
				})
				watching := handlerOf(script{})
				watching.Routes[0].PushState = true
				first := connect(t, e, watching, "")
				first.get(`["1","1","t","phx_join",{}]`)
				source.handle(presence.Event{State: &presence.List{Topic: "t"}, Complete: true})
				c := connect(t, e, h, "")
				require.Len(t, c.get(`["1","1","t","phx_join",{}]`), 1)
				for _, key := range []string{"x", "y"} {
					source.handle(presence.Event{Diff: presence.Diff{Joins: entry1(key, key)}, Complete: true})
					synctest.Wait()
				}
				source.handle(presence.Event{Diff: presence.Diff{Leaves: entry1("y", "y")}, Complete: true})
				require.Empty(t, c.take())
				require.Len(t, first.take(), 4)
				time.Sleep(2 * time.Second)
				if asks {
					synctest.Wait()
					source.handle(presence.Event{State: &presence.List{Topic: "t", Presences: entry1("x", "x")}, Complete: true})
					require.Equal(t, []string{`["1",null,"t","presence_state",{"x":{"metas":[{"phx_ref":"x"}]}}]`}, c.take())
				} else {
					require.Equal(t, []string{joinDiff("x")}, c.take())
				}
				source.handle(presence.Event{Diff: presence.Diff{Joins: entry1("z", "z")}, Complete: true})
				require.Equal(t, []string{joinDiff("z")}, c.take())
				c.drop()
				first.drop()
				synctest.Wait()
				e.rooms = nil
			})
		})
	}
}

// Both found no room, and made one.
func TestTwoWhoEnterAtOnceAreInOneRoom(t *testing.T) {
	rs := newRooms(nil, &fakeSource{})
	key, route := roomKey{topic: "t"}, &Route{}
	require.Nil(t, rs.count(key, nil))
	first, second := newRoom(rs, key, route), newRoom(rs, key, route)
	require.Same(t, first, rs.count(key, first))
	require.Same(t, first, rs.count(key, second))
	require.Equal(t, 2, first.inside)
	rs.leave(first)
	require.Same(t, first, rs.count(key, nil))
}
