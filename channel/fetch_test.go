package channel

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
)

func TestSlowFetchHoldsUpItsOwnTopicOnlyAndKeepsOrder(t *testing.T) {
	proves(t, "B167")
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, func(cfg *Config) { cfg.FetchTimeout = time.Hour })
		h := presenceHandler(func(r *Route) {
			r.Fetch = func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
				if topic == "slow" {
					time.Sleep(time.Minute)
				}
				return list, nil
			}
		})
		slow, quick := connect(t, cl.endpoints[0], h, "user=s"), connect(t, cl.endpoints[0], h, "user=q")
		slow.send(`["1","1","slow","phx_join",{}]`)
		require.Len(t, slow.take(), 2, "the reply, and the state of nobody, which is not fetched")
		require.Len(t, quick.get(`["1","1","quick","phx_join",{}]`), 3, "the reply, the state, the diff")
		require.Len(t, quick.get(`["1","2","quick","update",{"n":1}]`), 1, "while the other is slow")
		slow.send(`["1","2","slow","update",{"n":1}]`, `["1","3","slow","update",{"n":2}]`)
		require.Empty(t, slow.take())
		time.Sleep(10 * time.Minute)
		frames := slow.take()
		model := &strict{client: slow, name: "s", synced: true, refs: map[string]map[string]bool{}}
		for _, f := range frames {
			slow.link.Send(&wire.Frame{Data: []byte(f)})
		}
		model.read(t) // fails where a diff does not fit the one before
		checkClients(t, cl, "slow", model)
	})
}

func TestAChannelLeavesWhileFetchRuns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, func(cfg *Config) { cfg.FetchTimeout = time.Hour })
		h := presenceHandler(func(r *Route) {
			r.Fetch = func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
				time.Sleep(time.Minute)
				return list, nil
			}
		})
		stays, leaves := connect(t, cl.endpoints[0], h, "user=s"), connect(t, cl.endpoints[0], h, "user=l")
		stays.get(`["1","1","t","phx_join",{}]`)
		leaves.get(`["1","1","t","phx_join",{}]`)
		require.Equal(t, []string{
			`["1","2","t","phx_reply",{"status":"ok","response":{}}]`,
			`["1","1","t","phx_close",{}]`,
		}, leaves.get(`["1","2","t","phx_leave",{}]`), "at once")
		time.Sleep(time.Hour)
		require.Empty(t, leaves.take())
		model := &strict{client: stays, name: "s", refs: map[string]map[string]bool{}}
		model.synced = true // the state of nobody
		model.read(t)
		checkClients(t, cl, "t", model)
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
			frames := c.get(`["1","2","t",` + string(wire.StringRef(key).AppendJSON(nil)) + `,{}]`)
			require.Len(t, frames, 1)
			p, ok := cl.trackers[0].Get("t", key)
			require.True(t, ok)
			require.JSONEq(t, `[null,null,"t","presence_diff",{"joins":{`+string(wire.StringRef(key).AppendJSON(nil))+`:{"metas":[{"phx_ref":"`+p.Metas[0].Ref+`","toString":1}]}},"leaves":{}}]`, frames[0])
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

// adding is a Fetch that adds what a database knows.
func adding(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
	out := slices.Clone(list)
	for i, p := range out {
		out[i].Fields = map[string]any{"user": map[string]string{"name": strings.ToUpper(p.Key)}, "metas2": len(p.Metas)}
	}
	return out, nil
}

func TestFetchAddsFieldsBesideTheMetas(t *testing.T) {
	proves(t, "B165")
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		h := presenceHandler(func(r *Route) { r.Fetch = adding })
		c := connect(t, cl.endpoints[0], h, "user=a")
		c.get(`["1","1","t","phx_join",{}]`)
		before, _ := cl.trackers[0].Get("t", "a")
		was := before.Metas[0].Ref
		update := c.get(`["1","2","t","update",{"n":1}]`)
		after, _ := cl.trackers[0].Get("t", "a")
		is := after.Metas[0].Ref
		require.Equal(t, []string{`[null,null,"t","presence_diff",{"joins":{"a":{"metas":[{"phx_ref":"` + is + `","phx_ref_prev":"` + was +
			`","n":1}],"metas2":2,"user":{"name":"A"}}},"leaves":{"a":{"metas":[{"phx_ref":"` + was + `","n":0}],"metas2":2,"user":{"name":"A"}}}}]`}, update)

		late := connect(t, cl.endpoints[0], h, "user=b")
		frames := late.get(`["1","1","t","phx_join",{}]`)
		require.Equal(t, `["1",null,"t","presence_state",{"a":{"metas":[{"phx_ref":"`+is+`","phx_ref_prev":"`+was+`","n":1}],"metas2":1,"user":{"name":"A"}}}]`, frames[1])
	})
}

// Diffs that a client is held back, and is then sent as one, keep the fields.
func TestFieldsOutliveMerging(t *testing.T) {
	d := presence.Diff{Joins: []presence.Presence{{Key: "a", Metas: entry1("a", "1")[0].Metas, Fields: map[string]any{"n": 1}}}}
	next := presence.Diff{
		Joins:  []presence.Presence{{Key: "a", Metas: entry1("a", "2")[0].Metas, Fields: map[string]any{"n": 2}}},
		Leaves: []presence.Presence{{Key: "a", Metas: entry1("a", "1")[0].Metas, Fields: map[string]any{"n": 2}}},
	}
	require.Equal(t, `{"joins":{"a":{"metas":[{"phx_ref":"2"}],"n":2}},"leaves":{}}`, string(d.Merge(next).JSON()))
	require.Equal(t, `{"joins":{"a":{"metas":[{"phx_ref":"1"}],"n":1},"b":{"metas":[{"phx_ref":"1"}]}},"leaves":{}}`,
		string(d.Merge(presence.Diff{Joins: entry1("b", "1")}).JSON()))
}

func TestWhereFetchFailsClientsDoWithout(t *testing.T) {
	type fetch = func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error)
	with := func(change func(p *presence.Presence)) fetch {
		return func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
			out := slices.Clone(list)
			out[0].Metas = slices.Clone(out[0].Metas)
			change(&out[0])
			return out, nil
		}
	}
	for name, fails := range map[string]fetch{
		"an error": func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
			return list, errors.New("no database")
		},
		"a panic": func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
			panic("boom")
		},
		"it waits for its deadline": func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
			<-ctx.Done()
			return list, nil
		},
		"it hangs": func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
			time.Sleep(10 * time.Second)
			return list, nil
		},
		"a key less": func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
			return nil, nil
		},
		"another key":         with(func(p *presence.Presence) { p.Key = "x" }),
		"a meta less":         with(func(p *presence.Presence) { p.Metas = nil }),
		"another Ref":         with(func(p *presence.Presence) { p.Metas[0].Ref = "x" }),
		"no Data":             with(func(p *presence.Presence) { p.Metas[0].Data = nil }),
		"Data is no object":   with(func(p *presence.Presence) { p.Metas[0].Data = json.RawMessage(`[1]`) }),
		"Data is no JSON":     with(func(p *presence.Presence) { p.Metas[0].Data = json.RawMessage(`{]`) }),
		"a field has no JSON": with(func(p *presence.Presence) { p.Fields = map[string]any{"f": func() {}} }),
		"a field named metas": with(func(p *presence.Presence) { p.Fields = map[string]any{"metas": 1} }),
	} {
		for _, onlyAdds := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, only adds: %t", name, onlyAdds), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					log, text := testLog()
					cl := startCluster(t, 1, func(cfg *Config) { cfg.Logger = log })
					var broken atomic.Bool
					broken.Store(true)
					h := presenceHandler(func(r *Route) {
						r.FetchOnlyAdds = onlyAdds
						r.Fetch = func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
							if broken.Load() {
								return fails(ctx, topic, list)
							}
							return adding(ctx, topic, list)
						}
					})
					e := cl.endpoints[0]
					a := connect(t, e, h, "user=a")
					a.send(`["1","1","t","phx_join",{}]`)
					time.Sleep(time.Minute)
					meta := cl.trackers[0].Peek("t").Presences[0].Metas[0]
					shown := `{"phx_ref":"` + meta.Ref + `"}`
					if onlyAdds {
						shown = `{"phx_ref":"` + meta.Ref + `","n":0}`
					}
					require.Equal(t, []string{`[null,null,"t","presence_diff",{"joins":{"a":{"metas":[` + shown + `]}},"leaves":{}}]`}, a.take()[2:])
					require.Equal(t, uint64(1), e.Stats().FetchFailures)
					require.Equal(t, 1, strings.Count(text.String(), "Fetch failed"))

					b := connect(t, e, h, "user=b")
					b.send(`["1","1","t","phx_join",{}]`)
					time.Sleep(time.Minute)
					require.Contains(t, b.take()[1], `"presence_state",{"a":{"metas":[`+shown+`]}`)
					require.Equal(t, 1, strings.Count(text.String(), "Fetch failed"), "said once")
					require.GreaterOrEqual(t, e.Stats().FetchFailures, uint64(3), "the state, and the diff")

					broken.Store(false)
					a.take()
					require.Contains(t, a.get(`["1","2","t","update",{"n":1}]`)[0], `"user":{"name":"A"}`)
					c := connect(t, e, h, "user=c")
					require.Contains(t, c.get(`["1","1","t","phx_join",{}]`)[1], `"user":{"name":"A"}`)
				})
			})
		}
	}
}

// A Fetch that never came back must not be called again and again: one call of
// a topic runs, and its clients do without meanwhile, without waiting.
func TestAFetchThatHangsIsNotCalledBesideItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		var running, most atomic.Int32
		hang := make(chan struct{})
		h := presenceHandler(func(r *Route) {
			r.Fetch = func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				<-hang
				return list, nil
			}
		})
		c := connect(t, cl.endpoints[0], h, "user=a")
		c.get(`["1","1","t","phx_join",{}]`)
		time.Sleep(3 * time.Second)
		require.Len(t, c.take(), 1)
		for range 5 {
			require.Len(t, c.get(`["1","2","t","update",{"n":1}]`), 1, "at once")
		}
		require.Equal(t, int32(1), most.Load())
		close(hang)
		synctest.Wait()
		require.Contains(t, c.get(`["1","2","t","update",{"n":7}]`)[0], `"n":7`)
	})
}

func TestFetchesAtOnceAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, func(cfg *Config) { cfg.MaxFetches = 3 })
		var running, most atomic.Int32
		h := presenceHandler(func(r *Route) {
			r.Fetch = func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
				most.Store(max(most.Load(), running.Add(1)))
				defer running.Add(-1)
				time.Sleep(100 * time.Millisecond)
				return adding(ctx, topic, list)
			}
		})
		c := connect(t, cl.endpoints[0], h, "user=a")
		for i := range 30 {
			c.send(fmt.Sprintf(`["1","1","t%d","phx_join",{}]`, i))
		}
		time.Sleep(time.Minute)
		require.Equal(t, int32(3), most.Load())
		require.Equal(t, 30, strings.Count(strings.Join(c.take(), "\n"), `"name":"A"`))
		require.Zero(t, cl.endpoints[0].Stats().FetchFailures)
	})
}

func TestListAndGetGoThroughFetchOnce(t *testing.T) {
	proves(t, "B163", "B164")
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 2, nil)
		var calls atomic.Int32
		var fails error
		h, err := NewHandler(Handler{Routes: []Route{
			{Pattern: "plain", New: func() Channel { return script{} }},
			{Pattern: "*", New: func() Channel { return script{} }, Fetch: func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
				calls.Add(1)
				if fails != nil {
					return nil, fails
				}
				return adding(ctx, topic, list)
			}},
		}})
		require.NoError(t, err)
		for i, tracker := range cl.trackers {
			s := tracker.NewSession()
			for _, topic := range []string{"t", "plain"} {
				for _, key := range []string{"1", fmt.Sprint("k", i)} {
					_, err := s.Track(topic, key, map[string]int{"n": i})
					require.NoError(t, err)
				}
			}
		}
		e := cl.endpoints[1]
		list, err := e.ListPresence(t.Context(), h, "t")
		require.NoError(t, err)
		require.True(t, list.Complete)
		require.Equal(t, int32(1), calls.Load())
		var shown map[string]struct {
			Metas []map[string]any
			User  struct{ Name string }
		}
		require.NoError(t, json.Unmarshal(list.JSON(), &shown))
		require.Len(t, shown, 3)
		require.Len(t, shown["1"].Metas, 2)
		require.Contains(t, shown["k0"].Metas[0], "phx_ref")
		require.Equal(t, "K0", shown["k0"].User.Name)

		p, ok, err := e.GetPresence(t.Context(), h, "t", "k1")
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, int32(2), calls.Load())
		text, err := json.Marshal(p)
		require.NoError(t, err)
		require.JSONEq(t, `{"metas":[{"phx_ref":"`+p.Metas[0].Ref+`","n":1}],"user":{"name":"K1"},"metas2":1}`, string(text))
		_, ok, err = e.GetPresence(t.Context(), h, "t", "nobody")
		require.NoError(t, err)
		require.False(t, ok)
		require.Equal(t, int32(2), calls.Load(), "nothing to fetch")

		list, err = e.ListPresence(t.Context(), h, "plain")
		require.NoError(t, err)
		require.Len(t, list.Presences, 3)
		require.Nil(t, list.Presences[0].Fields)

		fails = errors.New("no database")
		_, err = e.ListPresence(t.Context(), h, "t")
		require.ErrorIs(t, err, errFetch)
		require.ErrorIs(t, err, fails)
		_, err = e.ListPresence(t.Context(), h, "")
		require.ErrorIs(t, err, presence.ErrTopicInvalid)
		_, err = startOne(t, Config{}).ListPresence(t.Context(), h, "t")
		require.ErrorIs(t, err, ErrNoPresence)
		require.NoError(t, e.Close(t.Context()))
		_, _, err = e.GetPresence(t.Context(), h, "t", "1")
		require.ErrorIs(t, err, ErrClosed)
	})
}

func TestAChannelListsItsTopic(t *testing.T) {
	proves(t, "B163", "B164")
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		h := presenceHandler(func(r *Route) {
			old := r.New
			r.Fetch = adding
			r.New = func() Channel {
				c := old().(script)
				c.in = func(s *Socket, event string, payload Payload) Result {
					list, err := s.ListPresence(context.Background())
					must(err)
					p, ok, err := s.GetPresence(context.Background(), user(s))
					must(err)
					return OK(map[string]any{"n": len(list.Presences), "user": p.Fields["user"], "ok": ok})
				}
				return c
			}
		})
		c := connect(t, cl.endpoints[0], h, "user=a")
		c.get(`["1","1","t","phx_join",{}]`)
		require.Contains(t, c.get(`["1","2","t","list",{}]`)[0], `{"n":1,"ok":true,"user":{"name":"A"}}`)
	})
}

func TestCloseWaitsForFetches(t *testing.T) {
	proves(t, "B137")
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		var fetched atomic.Int32
		h := presenceHandler(func(r *Route) {
			r.Fetch = func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
				time.Sleep(5 * time.Second) // longer than its deadline: given up, and waited for
				fetched.Add(1)
				return list, nil
			}
		})
		c := connect(t, cl.endpoints[0], h, "user=a")
		c.get(`["1","1","t","phx_join",{}]`)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		require.ErrorIs(t, cl.endpoints[0].Close(ctx), context.DeadlineExceeded)
		require.Zero(t, fetched.Load())
		require.NoError(t, cl.endpoints[0].Close(t.Context()))
		require.Equal(t, int32(1), fetched.Load())
	})
}
