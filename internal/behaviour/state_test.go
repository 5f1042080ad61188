package behaviour_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// A history is the diffs that a client was sent, and its roster before each.
type history struct {
	frames []*wire.Frame       // the diffs
	before []map[string]string // one more than frames: the last is that of the end
}

func historyOf(t *testing.T, all []message) (h history) {
	r := newRoster(t, "the first")
	for _, m := range all {
		if m.event == "presence_diff" {
			h.frames, h.before = append(h.frames, m.Frame), append(h.before, maps.Clone(r.keys))
		}
		r.fold([]message{m})
	}
	h.before = append(h.before, maps.Clone(r.keys))
	return h
}

func TestStateIsTakenBetweenTwoDiffs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl := startCluster(t, 1, channel.Config{})
		crowd := newCrowd(cl, rand.New(rand.NewPCG(1, 1)))
		h := serve(t, observing())
		first := connect(t, cl.endpoints[0], h, "first")
		first.join("t")
		second := connect(t, cl.endpoints[0], h, "second") // a state may be kept only for more than one
		second.join("t")
		var later []*client
		for step := range 100 {
			crowd.stir(t, "t")
			if step%3 == 0 {
				for range 2 { // at the same moment
					c := connect(t, cl.endpoints[0], h, "later")
					c.join("t")
					later = append(later, c)
				}
			}
			time.Sleep(7 * time.Millisecond)
		}
		time.Sleep(time.Minute)

		seen := historyOf(t, first.take())
		given := make([][]string, len(seen.frames)+1) // the states before each diff, encoded
		for _, c := range later {
			all := c.take()
			require.Equal(t, "phx_reply", all[0].event)
			require.Equal(t, "presence_state", all[1].event, "before all diffs")
			diffs := of("presence_diff", all)
			at := len(seen.frames) - len(diffs)
			for i, m := range diffs {
				require.Same(t, seen.frames[at+i], m.Frame, "it is sent each diff after its state")
			}
			r := newRoster(t, "a later one")
			r.fold(all[:2])
			require.Equal(t, seen.before[at], r.keys, "its state is that of all others at this moment")
			given[at] = append(given[at], string(all[1].payload))
		}
		shared := 0
		for _, states := range given {
			if len(states) > 2 {
				shared++
			}
			require.LessOrEqual(t, len(slices.Compact(states)), 1, "clients that join between two diffs are given the same bytes")
		}
		require.Positive(t, shared, "some joined at different moments between two diffs")
	})
}

func TestDiffIsOneFrameForAllClientsOfAVersion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl := startCluster(t, 1, channel.Config{})
		h := serve(t, observing())
		join := map[string]string{
			"1.0.0": `{"topic":"t","event":"phx_join","payload":{},"ref":"1","join_ref":"1"}`,
			"2.0.0": `["1","1","t","phx_join",{}]`,
		}
		links := map[string][]*recorder{}
		for range 3 {
			for _, vsn := range []string{"1.0.0", "2.0.0"} {
				link := &recorder{}
				conn := connectLink(t, cl.endpoints[0], h, "u", vsn, link)
				require.Nil(t, conn.Receive(false, []byte(join[vsn])))
				links[vsn] = append(links[vsn], link)
			}
		}
		synctest.Wait()
		_, err := cl.trackers[0].NewSession().Track("t", "key", struct{}{})
		require.NoError(t, err)
		synctest.Wait()
		for _, vsn := range []string{"1.0.0", "2.0.0"} {
			require.Len(t, links[vsn][0].frames, 3, "the reply, the state, the diff")
			diff := links[vsn][0].frames[2]
			require.Contains(t, string(diff.Data), "presence_diff")
			require.True(t, diff.Shared)
			for _, link := range links[vsn] {
				require.Len(t, link.frames, 3)
				require.Same(t, diff.Frame, link.frames[2].Frame)
			}
		}
	})
}

// A gatherer is a recorder that takes frames in pieces.
type gatherer struct{ recorder }

func (*gatherer) Gathers() bool { return true }

func TestLargeStateIsNotCopiedForEachClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cl := startCluster(t, 1, channel.Config{})
		session := cl.trackers[0].NewSession()
		for i := range 20 {
			_, err := session.Track("t", fmt.Sprint("key", i), map[string]string{"about": strings.Repeat("x", 1000)})
			require.NoError(t, err)
		}
		h := serve(t, observing())
		connect(t, cl.endpoints[0], h, "first").join("t")
		state := func(link wire.Link, frames *[]sent, ref string) *wire.Frame {
			conn := connectLink(t, cl.endpoints[0], h, "u", "2.0.0", link)
			require.Nil(t, conn.Receive(false, fmt.Appendf(nil, `[%q,%q,"t","phx_join",{}]`, ref, ref)))
			synctest.Wait()
			require.Len(t, *frames, 2)
			return (*frames)[1].Frame
		}

		plain := &recorder{}
		f := state(plain, &plain.frames, "7")
		head, body, tail := f.Pieces()
		require.Equal(t, f.Data, head, "a link that does not gather is given whole frames")
		require.Empty(t, body)
		require.Empty(t, tail)
		whole := decode(t, f.Data)

		var common *byte
		for i := range 5 {
			link, ref := &gatherer{}, fmt.Sprint("ref", i)
			f := state(link, &link.frames, ref)
			head, body, tail := f.Pieces()
			require.Greater(t, len(body), 20*1000)
			require.Equal(t, f.Len(), len(head)+len(body)+len(tail))
			m := decode(t, slices.Concat(head, body, tail))
			require.Equal(t, "presence_state", m.event)
			require.Equal(t, ref, m.joinRef)
			require.Equal(t, whole.payload, m.payload)
			if common == nil {
				common = unsafe.SliceData(body)
			}
			require.Same(t, common, unsafe.SliceData(body))
		}
	})
}
