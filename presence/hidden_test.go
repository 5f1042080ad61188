package presence_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// told collects the diffs of a topic as clients would be told them, in short:
// "+alice=red -bob=blue".
func told(t *testing.T, tracker *presence.Tracker, topic string) func() string {
	t.Helper()
	var text []string
	w, err := tracker.Watch(topic, func(e presence.Event) {
		d := e.Diff.Visible()
		if join := here(&presence.List{Presences: d.Joins}); join != "" {
			text = append(text, "+"+join)
		}
		if leave := here(&presence.List{Presences: d.Leaves}); leave != "" {
			text = append(text, "-"+leave)
		}
	})
	require.NoError(t, err)
	t.Cleanup(w.Stop)
	return func() string {
		time.Sleep(time.Second)
		synctest.Wait()
		defer func() { text = nil }()
		return strings.Join(text, " ")
	}
}

func TestHiddenPresencesAreKnownEverywhereAndShownNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := membus.New()
		trackers := []*presence.Tracker{start(t, "eu", network.Bus()), start(t, "us", network.Bus())}
		time.Sleep(5 * time.Second)
		var tell []func() string
		for _, tracker := range trackers {
			tell = append(tell, told(t, tracker, "room"))
		}
		tells := func(want, visible, all string) {
			t.Helper()
			for i, tracker := range trackers {
				require.Equal(t, want, tell[i](), "%d", i)
				list, err := tracker.List(t.Context(), "room")
				require.NoError(t, err)
				require.Equal(t, visible, here(list.Visible()))
				require.Equal(t, all, here(list))
				count, err := tracker.Count(context.Background(), "room")
				require.NoError(t, err)
				require.Equal(t, strings.Count(all, "="), count.Sessions)
				require.NotContains(t, string(list.Visible().JSON()), "hidden")
				require.NotContains(t, string(list.Visible().JSON()), "phx_ref_prev")
			}
		}
		s, bot := trackers[0].NewSession(), trackers[0].NewSession()
		_, err := s.Track("room", "alice", color("red"))
		require.NoError(t, err)
		_, err = bot.Track("room", "alice", presence.Hidden{Meta: color("grey")})
		require.NoError(t, err)
		_, err = bot.Track("room", "bot", presence.Hidden{Meta: presence.Hidden{}})
		require.NoError(t, err)
		tells("+alice=red", "alice=red", "alice=red,alice=grey,bot=")

		_, err = bot.Update("room", "alice", presence.Patch(color("black")))
		require.NoError(t, err)
		tells("", "alice=red", "alice=red,alice=black,bot=")
		_, err = bot.Update("room", "bot", presence.Replace(color("blue")))
		require.NoError(t, err)
		tells("+bot=blue", "alice=red,bot=blue", "alice=red,alice=black,bot=blue")
		_, err = bot.Update("room", "bot", presence.Func(func(current presence.Meta) (any, error) {
			return presence.Hidden{Meta: current.Data}, nil
		}))
		require.NoError(t, err)
		tells("-bot=blue", "alice=red", "alice=red,alice=black,bot=blue")
		bot.Close()
		tells("", "alice=red", "alice=red")
	})
}

func TestAClientCannotHideByItsMeta(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := start(t, "eu", membus.New().Bus())
		s := tracker.NewSession()
		for key, meta := range map[string]string{
			"first":   `{"phx_hidden":true,"color":"red"}`,
			"spaced":  ` { "phx_hidden" : true }`,
			"escaped": `{"\u0070hx_hidden":true}`,
			"twice":   `{"phx_hidden":true,"phx_hidden":true}`,
			"within":  `{"a":{"phx_hidden":true}}`,
		} {
			_, err := s.Track("room", key, json.RawMessage(meta))
			require.NoError(t, err)
			p, ok := tracker.Peek("room").Visible().Get(key)
			require.True(t, ok, key)
			require.False(t, p.Metas[0].Hidden(), key)
		}
		require.Same(t, tracker.Peek("room"), tracker.Peek("room").Visible(), "nothing to leave out")

		_, err := s.Track("room", "large", presence.Hidden{Meta: map[string]string{"a": strings.Repeat("x", 8<<10-20)}})
		require.ErrorIs(t, err, presence.ErrMetaTooLarge, "the mark counts")
		_, err = s.Track("room", "array", presence.Hidden{Meta: []int{1}})
		require.ErrorIs(t, err, presence.ErrMetaNotObject)
	})
}
