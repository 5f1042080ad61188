package channel

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
)

// following is a MetasHandler that notes what it is told, and counts its calls:
// its state.
type following struct {
	tr    *trace
	name  string
	calls int
	slow  time.Duration
}

func keysOf(list []presence.Presence) string {
	var keys []string
	for _, p := range list {
		for range p.Metas {
			keys = append(keys, p.Key)
		}
	}
	return strings.Join(keys, ",")
}

func (f *following) HandleMetas(diff presence.Diff, presences map[string][]presence.Meta) {
	f.calls++
	var here []string
	for key, metas := range presences {
		if len(metas) == 0 {
			here = append(here, key+" without metas")
		}
		for _, m := range metas {
			var v struct{ N int }
			must(m.Decode(&v))
			here = append(here, fmt.Sprintf("%s%d", key, v.N))
		}
	}
	slices.Sort(here)
	f.tr.add("%s %d: +%s -%s = %s", f.name, f.calls, keysOf(diff.Joins), keysOf(diff.Leaves), strings.Join(here, " "))
	time.Sleep(f.slow)
	if strings.Contains(keysOf(diff.Leaves), "boom") {
		panic("boom")
	}
}

func TestHandleMetasFollowsATopicOnEveryReplicaThatHasIt(t *testing.T) {
	proves(t, "B170")
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 3, nil)
		var tr trace
		var slow time.Duration
		h := presenceHandler(func(r *Route) {
			r.NewMetas = func(e *Endpoint, topic string) MetasHandler {
				tr.add("%s begins %s", e.Name(), topic)
				return &following{tr: &tr, name: e.Name(), slow: slow}
			}
		})
		take := func() []string {
			time.Sleep(time.Second)
			lines := tr.take()
			slices.SortStableFunc(lines, func(a, b string) int { return strings.Compare(a[:2], b[:2]) })
			return lines
		}
		a := connect(t, cl.endpoints[0], h, "user=a")
		a.get(`["1","1","t","phx_join",{}]`)
		require.Equal(t, []string{"r1 begins t", "r1 1: +a - = a0"}, take())
		b := connect(t, cl.endpoints[1], h, "user=b")
		b.get(`["1","1","t","phx_join",{}]`)
		lines := take()
		require.Equal(t, "r1 2: +b - = a0 b0", lines[0])
		require.Equal(t, "r2 begins t", lines[1], "and not on r3, where nobody is")
		require.Equal(t, "a0 b0", lines[len(lines)-1][len(lines[len(lines)-1])-5:])

		bot := cl.trackers[2].NewSession()
		_, err := bot.Track("t", "b", presence.Hidden{Meta: map[string]int{"n": 7}})
		require.NoError(t, err)
		lines = take()
		require.Len(t, lines, 2)
		require.Equal(t, "r1 3: +b - = a0 b0 b7", lines[0], "who is hidden is not hidden from the program")
		a.get(`["1","2","t","update",{"n":5}]`)
		require.Equal(t, "r1 4: +a -a = a5 b0 b7", take()[0])
		bot.Close()
		require.Len(t, take(), 2)
		b.drop()
		lines = take()
		require.Contains(t, lines[len(lines)-1], "= a5")
		for _, line := range lines {
			require.True(t, strings.HasPrefix(line, "r1"), "r2 follows it no longer: %s", line)
		}

		a.get(`["1","3","t","phx_leave",{}]`)
		require.Empty(t, take(), "the last channel is gone, and what follows with it")
		slow = time.Second
		a.get(`["2","4","t","phx_join",{}]`)
		require.Equal(t, []string{"r1 begins t", "r1 1: +a - = a0"}, take(), "with a new state")
	})
}

func TestHandleMetasOfATopicThatIsEmptied(t *testing.T) {
	proves(t, "B170")
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		var tr trace
		h := handlerOf(script{}) // tracks nobody, and pushes no state
		h.Routes[0].Presence = PresenceNone
		h.Routes[0].NewMetas = func(e *Endpoint, topic string) MetasHandler {
			return &following{tr: &tr, name: e.Name(), slow: time.Second}
		}
		c := connect(t, cl.endpoints[0], h, "")
		c.get(`["1","1","t","phx_join",{}]`)
		require.Empty(t, tr.take(), "nobody is there: nothing to tell")
		s := cl.trackers[0].NewSession()
		track := func(key string) {
			_, err := s.Track("t", key, map[string]int{"n": 1})
			require.NoError(t, err)
		}
		track("x")
		require.Equal(t, []string{"r1 1: +x - = x1"}, tr.take())
		track("y")
		track("z")
		require.NoError(t, s.Untrack("t", "z"))
		require.Empty(t, tr.take(), "one call at a time")
		time.Sleep(time.Minute)
		require.Equal(t, []string{"r1 2: +y - = x1 y1"}, tr.take(), "what came meanwhile is one diff")
		s.UntrackAll()
		time.Sleep(time.Minute)
		require.Equal(t, []string{"r1 3: + -x,y = "}, tr.take())
		require.Empty(t, c.take())
	})
}

func TestAPanicOfHandleMetasBeginsAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		cl := startCluster(t, 1, nil)
		var tr trace
		h := handlerOf(script{})
		h.Routes[0].NewMetas = func(e *Endpoint, topic string) MetasHandler { return &following{tr: &tr, name: "r1"} }
		c := connect(t, cl.endpoints[0], h, "")
		require.Len(t, c.get(`["1","1","t","phx_join",{}]`), 1)
		s := cl.trackers[0].NewSession()
		defer s.Close()
		for _, key := range []string{"a", "boom"} {
			_, err := s.Track("t", key, nil)
			require.NoError(t, err)
			synctest.Wait()
		}
		require.NoError(t, s.Untrack("t", "boom"))
		require.Equal(t, []string{"r1 1: +a - = a0", "r1 2: +boom - = a0 boom0", "r1 3: + -boom = a0"}, tr.take())
		require.Equal(t, uint64(1), cl.endpoints[0].Stats().Panics)
		_, err := s.Track("t", "b", nil)
		require.NoError(t, err)
		require.Equal(t, []string{"r1 1: +a,b - = a0 b0"}, tr.take())
		require.Len(t, c.take(), 4, "clients get their diffs all the same")
	})
}
