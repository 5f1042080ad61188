package behaviour_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
)

const grace = 10 * time.Second

// graced is two replicas on which the user alice is in a topic with LeaveGrace,
// and an observer on each.
type graced struct {
	*testing.T
	*cluster
	handler   *channel.Handler
	alice     *client
	observers []*client
	rosters   []*roster
}

func inGraced(t *testing.T, f func(g *graced)) {
	synctest.Test(t, func(t *testing.T) {
		r := doing(nil, pushState, track)
		r.LeaveGrace = grace
		g := &graced{T: t, cluster: startCluster(t, 2, channel.Config{}), handler: serve(t, r)}
		for _, e := range g.endpoints {
			c := connect(t, e, serve(t, observing()), "observer")
			c.join("t")
			g.observers, g.rosters = append(g.observers, c), append(g.rosters, newRoster(t, "an observer"))
		}
		g.alice = g.enter()
		time.Sleep(time.Second)
		g.seen()
		require.Len(t, g.refs(), 1)
		f(g)
	})
}

func (g *graced) enter() *client {
	g.Helper()
	c := connect(g, g.endpoints[0], g.handler, "alice")
	c.join("t")
	return c
}

// seen returns the diffs that both observers were sent since the last call, as
// each has folded them.
func (g *graced) seen() (diffs [2][]change) {
	g.Helper()
	for i, c := range g.observers {
		all := c.take()
		g.rosters[i].fold(all)
		for _, m := range of("presence_diff", all) {
			diffs[i] = append(diffs[i], diffOf(g, m))
		}
	}
	return diffs
}

// refs are those under which alice is present for both observers.
func (g *graced) refs() (refs []string) {
	g.Helper()
	require.Equal(g, g.rosters[0].keys, g.rosters[1].keys)
	for ref := range g.rosters[0].keys {
		refs = append(refs, ref)
	}
	return refs
}

func TestClientThatIsBackWithinTheGraceIsSeenAsAnUpdate(t *testing.T) {
	inGraced(t, func(g *graced) {
		before := g.refs()[0]
		g.alice.lose()
		time.Sleep(grace - time.Second)
		require.Empty(t, g.seen(), "lost")
		g.enter()
		time.Sleep(time.Second)
		for _, diffs := range g.seen() {
			require.Len(t, diffs, 1, "one diff, with both sides")
			joined, left := diffs[0].Joins["alice"].Metas, diffs[0].Leaves["alice"].Metas
			require.Len(t, joined, 1)
			require.Len(t, left, 1)
			require.Equal(t, before, left[0].Ref)
			require.Equal(t, before, joined[0].Prev)
			require.Equal(t, []string{joined[0].Ref}, g.refs())
		}
		time.Sleep(time.Hour)
		require.Empty(t, g.seen(), "the old grace ends nothing")
	})
}

func TestClientThatIsNotBackWithinTheGraceLeaves(t *testing.T) {
	inGraced(t, func(g *graced) {
		before := g.refs()[0]
		g.alice.lose()
		time.Sleep(grace - time.Second)
		require.Empty(t, g.seen())
		time.Sleep(2 * time.Second)
		for _, diffs := range g.seen() {
			require.Len(t, diffs, 1)
			require.Empty(t, diffs[0].Joins)
			require.Equal(t, before, diffs[0].Leaves["alice"].Metas[0].Ref)
		}
		require.Empty(t, g.refs())
		g.enter()
		time.Sleep(time.Second)
		for _, diffs := range g.seen() {
			require.Len(t, diffs, 1)
			require.Empty(t, diffs[0].Leaves)
			require.Empty(t, diffs[0].Joins["alice"].Metas[0].Prev, "it joins anew")
		}
	})
}

func TestClientThatLeavesHasNoGrace(t *testing.T) {
	for _, c := range []struct {
		name  string
		leave func(c *client)
	}{
		{"phx_leave", func(c *client) { c.leave("t") }},
		{"phx_leave, then lost connection", func(c *client) { c.leave("t"); c.lose() }},
	} {
		t.Run(c.name, func(t *testing.T) {
			inGraced(t, func(g *graced) {
				c.leave(g.alice)
				time.Sleep(time.Second)
				for _, diffs := range g.seen() {
					require.Len(t, diffs, 1)
					require.Contains(t, diffs[0].Leaves, "alice")
					require.Empty(t, diffs[0].Joins)
				}
				require.Empty(t, g.refs())
			})
		})
	}
}
