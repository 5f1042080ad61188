package behaviour_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/presence"
)

type fetch func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error)

// naming is a Fetch that adds a field.
func naming(_ context.Context, _ string, list []presence.Presence) ([]presence.Presence, error) {
	named := make([]presence.Presence, len(list))
	for i, p := range list {
		p.Fields = map[string]any{"name": "the name of " + p.Key}
		named[i] = p
	}
	return named, nil
}

// fetched serves a topic with a Fetch to some clients, which are quiet when it
// returns, and keeps their rosters.
type fetched struct {
	*cluster
	handler *channel.Handler
	clients []*client
	rosters []*roster
}

func serveFetched(t *testing.T, f fetch, clients int) *fetched {
	t.Helper()
	r := doing(nil, pushState, track)
	r.Fetch = f
	s := &fetched{cluster: startCluster(t, 1, channel.Config{FetchTimeout: 2 * time.Second}), handler: serve(t, r)}
	for i := range clients {
		c := connect(t, s.endpoints[0], s.handler, fmt.Sprint("u", i))
		c.join("t")
		s.clients, s.rosters = append(s.clients, c), append(s.rosters, newRoster(t, fmt.Sprint("u", i)))
	}
	time.Sleep(time.Minute)
	s.read()
	return s
}

// read returns what the first client was sent, when all have folded theirs.
func (s *fetched) read() (first []message) {
	for i, c := range s.clients {
		all := c.take()
		s.rosters[i].fold(all)
		if i == 0 {
			first = all
		}
	}
	return first
}

func TestFetchIsCalledOnceForADiffHoweverManyClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int64
		s := serveFetched(t, func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
			calls.Add(1)
			return naming(ctx, topic, list)
		}, 10)
		calls.Store(0)
		for range 5 {
			s.clients[3].say("1", "2", "t", "update")
			time.Sleep(time.Minute)
		}
		all := s.read()
		require.Len(t, all, 5)
		for _, m := range all {
			require.Contains(t, string(m.payload), `"name":"the name of u3"`)
		}
		require.EqualValues(t, 5, calls.Load())
	})
}

// failures are what may be wrong with a Fetch.
var failures = []struct {
	name  string
	fetch fetch
}{
	{"it fails", func(context.Context, string, []presence.Presence) ([]presence.Presence, error) {
		return nil, errors.New("no database")
	}},
	{"it panics", func(context.Context, string, []presence.Presence) ([]presence.Presence, error) { panic("in Fetch") }},
	{"it waits for its deadline", func(ctx context.Context, _ string, list []presence.Presence) ([]presence.Presence, error) {
		<-ctx.Done()
		return list, ctx.Err()
	}},
	{"it hangs", func(_ context.Context, _ string, list []presence.Presence) ([]presence.Presence, error) {
		time.Sleep(20 * time.Second)
		return list, nil
	}},
	{"it loses a presence", func(_ context.Context, _ string, list []presence.Presence) ([]presence.Presence, error) {
		return list[1:], nil
	}},
}

func TestClientsAreExactWithoutTheFieldsOfAFetchThatFails(t *testing.T) {
	for _, c := range failures {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var broken atomic.Bool
				broken.Store(true)
				s := serveFetched(t, func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
					if broken.Load() {
						return c.fetch(ctx, topic, list)
					}
					return naming(ctx, topic, list)
				}, 5)
				crowd := newCrowd(s.cluster, rand.New(rand.NewPCG(1, 3)))
				for range 40 {
					crowd.stir(t, "t")
					time.Sleep(300 * time.Millisecond)
				}
				time.Sleep(time.Minute)
				for _, m := range s.read() {
					require.NotContains(t, string(m.payload), `"name"`)
				}
				present, err := s.trackers[0].List(t.Context(), "t")
				require.NoError(t, err)
				for _, r := range s.rosters {
					require.Positive(t, r.diffs)
					r.holds(present)
				}

				broken.Store(false)
				s.clients[2].say("1", "2", "t", "update")
				time.Sleep(time.Minute)
				all := s.read()
				require.Len(t, all, 1)
				require.Contains(t, string(all[0].payload), `"name":"the name of u2"`, "the next call is made")
			})
		})
	}
}

func TestDiffWaitsForFetchNoLongerThanFetchTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var hangs atomic.Bool
		var running, most atomic.Int64
		deadlines := make(chan time.Time, 1000)
		s := serveFetched(t, func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
			most.Store(max(most.Load(), running.Add(1)))
			defer running.Add(-1)
			deadline, _ := ctx.Deadline()
			deadlines <- deadline
			if hangs.Load() {
				time.Sleep(time.Hour)
			}
			return naming(ctx, topic, list)
		}, 3)
		for len(deadlines) > 0 {
			<-deadlines
		}
		hangs.Store(true)
		began := time.Now()
		s.clients[0].say("1", "2", "t", "update")
		time.Sleep(10 * time.Second)
		require.WithinRange(t, <-deadlines, began, began.Add(2*time.Second))
		all := s.read()
		require.Len(t, all, 1)
		require.LessOrEqual(t, all[0].at.Sub(began), 2*time.Second+latest)

		for range 5 { // that call has not returned
			began = time.Now()
			s.clients[0].say("1", "2", "t", "update")
			time.Sleep(10 * time.Second)
			all := s.read()
			require.Len(t, all, 1)
			require.LessOrEqual(t, all[0].at.Sub(began), 2*time.Second+latest)
		}
		require.EqualValues(t, 1, most.Load(), "no call is made beside it")
		present, err := s.trackers[0].List(t.Context(), "t")
		require.NoError(t, err)
		for _, r := range s.rosters {
			r.holds(present)
		}
	})
}

func TestFetchThatHangsDelaysItsOwnTopicOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := serveFetched(t, func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
			if topic == "slow" {
				time.Sleep(time.Second)
			}
			return naming(ctx, topic, list)
		}, 1)
		s.clients[0].join("slow")
		s.clients[0].say("1", "2", "slow", "update")
		s.clients[0].say("1", "2", "t", "update")
		all := of("presence_diff", s.clients[0].take())
		require.Len(t, all, 1, "no time has passed")
		require.Equal(t, "t", all[0].topic)
	})
}
