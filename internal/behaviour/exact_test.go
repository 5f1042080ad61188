package behaviour_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/presence"
)

// A step is what a channel does with presence in one of its callbacks.
type step func(s *channel.Socket)

func track(s *channel.Socket) {
	_, err := s.Track(user(s), map[string]int{"n": 0})
	must(err)
}

func pushState(s *channel.Socket) { must(s.PushPresenceState()) }

// doing is a route whose channels take one step in Join and others after it, when
// they handle what Join sent to itself. A client can ask for an update and for the
// state later.
func doing(inJoin step, after ...step) channel.Route {
	return route("*", script{
		join: func(s *channel.Socket) (any, error) {
			if inJoin != nil {
				inJoin(s)
			}
			s.Send("after")
			return nil, nil
		},
		info: func(s *channel.Socket, _ any) channel.Result {
			for _, take := range after {
				take(s)
			}
			return channel.NoReply()
		},
		in: func(s *channel.Socket, event string, payload channel.Payload) channel.Result {
			switch event {
			case "state":
				pushState(s)
			case "update":
				_, _ = s.Update(user(s), presence.Replace(payload)) // fails for a channel that tracks nothing
			}
			return channel.NoReply()
		},
	})
}

func byRoute(r channel.Route) channel.Route {
	r.PushState = true
	return r
}

// passingOn is a route whose channels intercept diffs and push them.
func passingOn() channel.Route {
	r := doing(nil, track, pushState)
	c := r.New().(script)
	c.intercept = []string{"presence_diff"}
	c.out = func(s *channel.Socket, event string, payload channel.Payload) channel.Result {
		must(s.Push(event, payload))
		return channel.NoReply()
	}
	r.New = func() channel.Channel { return c }
	return r
}

func fetching() channel.Route {
	r := doing(nil, pushState, track)
	r.Fetch = func(_ context.Context, _ string, list []presence.Presence) ([]presence.Presence, error) {
		time.Sleep(time.Duration(len(list)) * time.Millisecond) // of the bubble
		return list, nil
	}
	return r
}

var orders = []struct {
	name  string
	route channel.Route
}{
	{"tracks in Join, state by the route", byRoute(doing(track))},
	{"tracks in Join, then pushes the state", doing(track, pushState)},
	{"tracks, then pushes the state", doing(nil, track, pushState)},
	{"pushes the state, then tracks", doing(nil, pushState, track)},
	{"state by the route, then tracks", byRoute(doing(nil, track))},
	{"pushes the state only", doing(nil, pushState)},
	{"state by the route only", observing()},
	{"tracks, then pushes the state, intercepts diffs", passingOn()},
	{"pushes the state, then tracks, with Fetch", fetching()},
}

// party is clients that each join the topics a and b, spread over the replicas of
// a cluster, while other presences come, go and change.
type party struct {
	*testing.T
	*cluster
	rand    *rand.Rand
	members []*guest
	crowd   *crowd
}

type guest struct {
	*client
	handler *channel.Handler
	rosters map[string]*roster // by topic
}

var topics = []string{"a", "b"}

func (p *party) enter(handlers ...*channel.Handler) *guest {
	p.Helper()
	name := fmt.Sprint("guest", len(p.members))
	g := &guest{handler: handlers[p.rand.IntN(len(handlers))], rosters: map[string]*roster{}}
	g.client = connect(p, p.endpoints[len(p.members)%len(p.endpoints)], g.handler, name)
	for _, topic := range topics {
		g.rosters[topic] = newRoster(p, name+" in "+topic)
		g.join(topic)
	}
	p.members = append(p.members, g)
	return g
}

func (g *guest) read() {
	g.t.Helper()
	all := g.take()
	for _, topic := range topics {
		for _, m := range all {
			if m.topic == topic {
				g.rosters[topic].fold([]message{m})
			}
		}
	}
}

// check waits until all diffs are sent, and requires that each roster equals the
// list of each replica.
func (p *party) check() {
	p.Helper()
	time.Sleep(10 * time.Second)
	for _, g := range p.members {
		g.read()
		for _, topic := range topics {
			for _, e := range p.endpoints {
				list, err := e.ListPresence(p.Context(), g.handler, topic)
				require.NoError(p, err)
				g.rosters[topic].holds(list)
			}
		}
	}
}

// A crowd is presences without clients, on all replicas of a cluster.
type crowd struct {
	rand     *rand.Rand
	most     int // presences at a time
	sessions []*presence.Session
	in       []place
	next     int
}

type place struct {
	session    *presence.Session
	topic, key string
}

func newCrowd(cl *cluster, r *rand.Rand) *crowd {
	c := &crowd{rand: r, most: 20}
	for _, tracker := range cl.trackers {
		c.sessions = append(c.sessions, tracker.NewSession())
	}
	return c
}

// stir makes one random change in one of the topics.
func (c *crowd) stir(t *testing.T, topics ...string) {
	t.Helper()
	if len(c.in) == 0 || len(c.in) < c.most && c.rand.IntN(2) == 0 {
		p := place{c.sessions[c.rand.IntN(len(c.sessions))], topics[c.rand.IntN(len(topics))], fmt.Sprint("crowd", c.next)}
		c.next++
		_, err := p.session.Track(p.topic, p.key, map[string]int{})
		require.NoError(t, err)
		c.in = append(c.in, p)
		return
	}
	i := c.rand.IntN(len(c.in))
	p := c.in[i]
	if c.rand.IntN(3) == 0 {
		_, err := p.session.Update(p.topic, p.key, presence.Replace(map[string]int{"n": c.next}))
		require.NoError(t, err)
		return
	}
	require.NoError(t, p.session.Untrack(p.topic, p.key))
	c.in = append(c.in[:i], c.in[i+1:]...)
}

func inParty(t *testing.T, seed uint64, f func(p *party)) {
	synctest.Test(t, func(t *testing.T) {
		p := &party{T: t, cluster: startCluster(t, 2, channel.Config{}), rand: rand.New(rand.NewPCG(seed, 0))}
		p.crowd = newCrowd(p.cluster, p.rand)
		f(p)
	})
}

func TestNoDiffIsMissedOrRepeatedWhateverTheOrderOfTrackAndState(t *testing.T) {
	for i, order := range orders {
		t.Run(order.name, func(t *testing.T) {
			inParty(t, uint64(i), func(p *party) {
				h := serve(t, order.route)
				for step := range 120 {
					if step%6 == 0 {
						p.enter(h)
					}
					p.crowd.stir(t, topics...)
					time.Sleep(time.Duration(p.rand.IntN(10)) * time.Millisecond)
				}
				p.check()
			})
		})
	}
}

// Clients of all kinds connect, vanish, join again, update and ask for the state
// again.
func TestNoDiffIsMissedOrRepeatedWhateverClientsDo(t *testing.T) {
	var handlers []*channel.Handler
	for _, order := range orders {
		handlers = append(handlers, serve(t, order.route))
	}
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inParty(t, seed, func(p *party) {
				for range 200 {
					p.act(handlers)
				}
				p.check()
			})
		})
	}
}

func (p *party) act(handlers []*channel.Handler) {
	p.crowd.stir(p.T, topics...)
	if len(p.members) < 4 {
		p.enter(handlers...)
		return
	}
	i, topic := p.rand.IntN(len(p.members)), topics[p.rand.IntN(len(topics))]
	g := p.members[i]
	switch p.rand.IntN(8) {
	case 0:
		p.enter(handlers...)
	case 1:
		g.lose()
		p.members = append(p.members[:i], p.members[i+1:]...)
	case 2:
		g.join(topic) // again: the channel before it ends
	case 3, 4:
		g.say("1", "3", topic, "update")
	case 5:
		g.say("1", "4", topic, "state")
	default:
		time.Sleep(time.Duration(p.rand.IntN(60)) * time.Millisecond)
	}
}

// A client that was sent diffs before it asks for the state keeps them for after
// it, as phoenix.js does.
func TestClientThatAsksLateEndsUpExact(t *testing.T) {
	inParty(t, 1, func(p *party) {
		h := serve(t, doing(track))
		for step := range 150 {
			if step%10 == 0 {
				g := p.enter(h)
				for _, topic := range topics {
					g.rosters[topic].asksLate = true
				}
			}
			if step%10 == 7 {
				for _, topic := range topics {
					p.members[step/10].say("1", "4", topic, "state")
				}
			}
			p.crowd.stir(t, topics...)
			time.Sleep(time.Duration(p.rand.IntN(30)) * time.Millisecond)
		}
		p.check()
	})
}
