package channel

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
)

// views are handlers that show more or less of the same topics.
func views(t *testing.T, change func(*Route)) map[string]*Handler {
	t.Helper()
	handlers := map[string]*Handler{}
	for name, view := range map[string]PresenceView{"full": PresenceFull, "counts": PresenceCounts, "none": PresenceNone} {
		h, err := NewHandler(*presenceHandler(func(r *Route) {
			r.Presence = view
			if change != nil {
				change(r)
			}
		}))
		require.NoError(t, err)
		handlers[name] = h
	}
	return handlers
}

func countFrame(keys, sessions int) string {
	return fmt.Sprintf(`[null,null,"t","presence_count",{"keys":%d,"sessions":%d}]`, keys, sessions)
}

func TestARouteShowsEverybodyOrCountsOrNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 2, nil)
		h := views(t, func(r *Route) {
			if r.Presence == PresenceCounts {
				r.Fetch = func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
					t.Error("Fetch for counts")
					return list, nil
				}
			}
		})
		const reply = `["1","1","t","phx_reply",{"status":"ok","response":{}}]`
		counts := connect(t, cl.endpoints[0], h["counts"], "user=c")
		counts.send(`["1","1","t","phx_join",{}]`)
		time.Sleep(time.Second)
		frames := counts.take()
		if len(frames) == 3 { // the topic was complete before the client was tracked
			require.Equal(t, []string{reply, `["1",null,"t","presence_count",{"keys":0,"sessions":0}]`, countFrame(1, 1)}, frames)
		} else {
			require.Equal(t, []string{reply, `["1",null,"t","presence_count",{"keys":1,"sessions":1}]`}, frames)
		}
		none := connect(t, cl.endpoints[0], h["none"], "user=n")
		require.Equal(t, []string{reply}, none.get(`["1","1","t","phx_join",{}]`))
		require.Equal(t, []string{countFrame(2, 2)}, counts.take())
		full := connect(t, cl.endpoints[1], h["full"], "user=c")
		full.send(`["1","1","t","phx_join",{}]`)
		time.Sleep(time.Second)
		frames = full.take()
		require.Contains(t, frames[1], `"presence_state",{"c":`)
		require.Contains(t, frames[1], `"n":{`)
		require.Equal(t, []string{countFrame(2, 3)}, counts.take(), "a second session of one key, on another replica")

		require.Empty(t, none.get(`["1","2","t","update",{"n":1}]`))
		require.Empty(t, counts.take(), "an update changes no number")
		time.Sleep(time.Second)
		require.Len(t, full.take(), 1)
		late := connect(t, cl.endpoints[0], h["counts"], "user=l")
		require.Equal(t, []string{reply, `["1",null,"t","presence_count",{"keys":2,"sessions":3}]`, countFrame(3, 4)},
			late.get(`["1","1","t","phx_join",{}]`))
		none.drop()
		full.drop()
		time.Sleep(time.Second)
		synctest.Wait()
		got := counts.take()
		require.Equal(t, countFrame(2, 2), got[len(got)-1])
		again := connect(t, cl.endpoints[0], h["counts"], "user=l")
		require.Equal(t, []string{reply, `["1",null,"t","presence_count",{"keys":2,"sessions":2}]`, countFrame(2, 3)},
			again.get(`["1","1","t","phx_join",{}]`))
	})
}

func TestCountsAreOneSharedFrameAndMergedInABusyRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		h := views(t, nil)["counts"]
		var clients []*client
		for i := range 20 {
			c := connect(t, cl.endpoints[0], h, fmt.Sprintf("user=u%d", i))
			c.send(`["1","1","t","phx_join",{}]`)
			clients = append(clients, c)
		}
		time.Sleep(time.Second)
		for _, c := range clients {
			frames := c.take()
			require.Less(t, len(frames), 15, "the reply, the state, 20 joins")
			require.Equal(t, countFrame(20, 20), frames[len(frames)-1])
		}
		clients[19].drop()
		synctest.Wait()
		frame := clients[0].link.frames[0]
		require.True(t, frame.Shared)
		require.Same(t, frame, clients[1].link.frames[0])
		require.Equal(t, []string{countFrame(19, 19)}, clients[0].take())
	})
}

func TestHiddenPresencesNeverReachAClient(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 2, nil)
		h := views(t, func(r *Route) {
			if r.Presence == PresenceFull {
				r.Fetch = func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
					require.NotContains(t, string((&presence.List{Presences: list}).JSON()), "ghost")
					return list, nil
				}
			}
		})
		bot := cl.trackers[0].NewSession()
		track := func(topic, key string, meta any) {
			_, err := bot.Track(topic, key, meta)
			require.NoError(t, err)
		}
		track("t", "bot", presence.Hidden{Meta: map[string]string{"ghost": "early"}})
		var everywhere []*client
		for i, e := range cl.endpoints {
			for _, view := range []string{"full", "counts"} {
				c := connect(t, e, h[view], fmt.Sprintf("user=%s%d", view, i))
				c.send(`["1","1","t","phx_join",{}]`)
				time.Sleep(time.Second)
				everywhere = append(everywhere, c)
			}
		}
		take := func() (diffs, counts string) {
			time.Sleep(time.Second)
			for i, c := range everywhere {
				frames := strings.Join(c.take(), "\n")
				require.NotContains(t, frames, "ghost")
				require.NotContains(t, frames, "hidden")
				require.NotContains(t, frames, "phx_ref_prev")
				switch {
				case i < 2:
					diffs, counts = [2]string{frames, diffs}[i], [2]string{"", frames}[i]
				case i == 2:
					require.Equal(t, diffs, frames)
				default:
					require.Equal(t, counts, frames)
				}
			}
			return diffs, counts
		}
		for _, c := range everywhere {
			text := strings.Join(c.take(), "\n")
			require.NotContains(t, text, "bot")
			require.NotContains(t, text, "ghost")
		}
		track("t", "ghost", presence.Hidden{Meta: nil})
		_, err := bot.Update("t", "bot", presence.Patch(map[string]string{"ghost": "late"}))
		require.NoError(t, err)
		diffs, counts := take()
		require.Empty(t, diffs)
		require.Empty(t, counts)

		_, err = bot.Update("t", "bot", presence.Replace(map[string]int{"n": 1}))
		require.NoError(t, err)
		diffs, counts = take()
		p, _ := cl.trackers[1].Get("t", "bot")
		meta := `{"phx_ref":"` + p.Metas[0].Ref + `","n":1}`
		require.Equal(t, `[null,null,"t","presence_diff",{"joins":{"bot":{"metas":[`+meta+`]}},"leaves":{}}]`, diffs)
		require.Equal(t, countFrame(5, 5), counts)

		_, err = bot.Update("t", "bot", presence.Replace(presence.Hidden{Meta: nil}))
		require.NoError(t, err)
		diffs, counts = take()
		require.Equal(t, `[null,null,"t","presence_diff",{"joins":{},"leaves":{"bot":{"metas":[`+meta+`]}}}]`, diffs)
		require.Equal(t, countFrame(4, 4), counts)

		list, err := cl.endpoints[1].ListPresence(t.Context(), h["full"], "t")
		require.NoError(t, err)
		require.Len(t, list.Presences, 4)
		_, ok, err := cl.endpoints[1].GetPresence(t.Context(), h["full"], "t", "bot")
		require.NoError(t, err)
		require.False(t, ok)
		count, err := cl.trackers[1].Count(t.Context(), "t")
		require.NoError(t, err)
		require.Equal(t, 6, count.Sessions, "the program counts them")
		bot.Close()
		diffs, counts = take()
		require.Empty(t, diffs+counts)
	})
}
