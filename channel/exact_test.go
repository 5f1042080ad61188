package channel

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
)

func checkClients(t *testing.T, cl *cluster, topic string, clients ...*strict) {
	t.Helper()
	want := map[string]map[string]bool{}
	for _, p := range cl.trackers[0].Peek(topic).Presences {
		want[p.Key] = map[string]bool{}
		for _, m := range p.Metas {
			want[p.Key][m.Ref] = true
		}
	}
	for _, tracker := range cl.trackers {
		require.Equal(t, cl.trackers[0].Peek(topic).JSON(), tracker.Peek(topic).JSON())
	}
	for _, c := range clients {
		require.Equal(t, want, c.refs, c.name)
	}
}

// strict is a client that folds what it is sent as phoenix.js does: diffs that
// come before the state of a join are applied after it. It fails on a later diff
// that does not fit exactly: a join of what it has, a leave of what it has not.
type strict struct {
	*client
	name   string
	synced bool
	early  []json.RawMessage
	refs   map[string]map[string]bool
	diffs  int
	states int
}

func (c *strict) read(t *testing.T) {
	t.Helper()
	for _, text := range c.take() {
		var f []json.RawMessage
		require.NoError(t, json.Unmarshal([]byte(text), &f))
		switch string(f[3]) {
		case `"phx_reply"`:
			if string(f[0]) == string(f[1]) { // of a join
				c.synced, c.early = false, nil
			}
		case `"presence_state"`:
			c.states++
			c.synced, c.refs = true, map[string]map[string]bool{}
			var l presenceList
			require.NoError(t, json.Unmarshal(f[4], &l))
			c.join(t, l, true)
			for _, diff := range c.early {
				c.apply(t, diff, false)
			}
			c.early = nil
		case `"presence_diff"`:
			c.diffs++
			if !c.synced {
				c.early = append(c.early, f[4])
				continue
			}
			c.apply(t, f[4], true)
		case `"phx_error"`:
			require.Fail(t, "crashed", "%s: %s", c.name, text)
		}
	}
}

type presenceList map[string]struct {
	Metas []struct {
		Ref string `json:"phx_ref"`
	} `json:"metas"`
}

func (c *strict) apply(t *testing.T, diff json.RawMessage, exactly bool) {
	t.Helper()
	var d struct{ Joins, Leaves presenceList }
	require.NoError(t, json.Unmarshal(diff, &d))
	c.join(t, d.Joins, exactly)
	for key, p := range d.Leaves {
		for _, m := range p.Metas {
			require.True(t, c.refs[key][m.Ref] || !exactly, "%s: %s leaves and is not there: %s", c.name, key, diff)
			delete(c.refs[key], m.Ref)
		}
		if len(c.refs[key]) == 0 {
			delete(c.refs, key)
		}
	}
}

func (c *strict) join(t *testing.T, l presenceList, exactly bool) {
	t.Helper()
	for key, p := range l {
		for _, m := range p.Metas {
			require.False(t, c.refs[key][m.Ref] && exactly, "%s: %s joins twice", c.name, key)
			if c.refs[key] == nil {
				c.refs[key] = map[string]bool{}
			}
			c.refs[key][m.Ref] = true
		}
	}
}

// TestClientsAreExact lets clients of several kinds come, go, update and ask for
// the state at random on two replicas. No client misses a diff or gets one
// twice, and in the end all hold what the trackers hold.
func TestClientsAreExact(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) { clientsAreExact(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func clientsAreExact(t *testing.T, r *rand.Rand) {
	cl := startCluster(t, 2, nil)
	kind := func(c script) func() Channel {
		c.join = func(s *Socket, params Payload) (any, error) {
			s.Send(params)
			return nil, nil
		}
		c.info = func(s *Socket, msg any) Result {
			var p struct{ First, Only string }
			must(msg.(Payload).Decode(&p))
			if p.First == "track" {
				_, err := s.Track(user(s), nil)
				must(err)
			}
			must(s.PushPresenceState())
			if p.First == "state" {
				_, err := s.Track(user(s), nil)
				must(err)
			}
			return NoReply()
		}
		c.in = func(s *Socket, event string, payload Payload) Result {
			if event == "state" {
				must(s.PushPresenceState())
				return NoReply()
			}
			_, err := s.Update(user(s), presence.Replace(payload))
			if err != nil {
				return Error(nil)
			}
			return OK(nil)
		}
		return func() Channel { return c }
	}
	plain := kind(script{})
	intercepting := kind(script{intercept: []string{"presence_diff"}, out: func(s *Socket, event string, payload Payload) Result {
		must(s.Push(event, payload))
		return NoReply()
	}})
	fetch := func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error) {
		time.Sleep(time.Duration(len(list)) * time.Millisecond)
		return list, nil
	}
	handlers := []Handler{
		{Routes: []Route{{Pattern: "t", New: plain}}},
		{Routes: []Route{{Pattern: "t", New: plain, Fetch: fetch}}},
		{Routes: []Route{{Pattern: "t", New: intercepting}}},
	}
	var clients []*strict
	joined := 0
	come := func() {
		name := fmt.Sprintf("u%d", joined)
		joined++
		h := handlers[r.IntN(len(handlers))]
		h.Connect = func(ctx context.Context, c *ConnectRequest) error { c.Assign("user", name); return nil }
		c := &strict{client: connect(t, cl.endpoints[r.IntN(2)], mustHandler(h), ""), name: name, refs: map[string]map[string]bool{}}
		c.send(fmt.Sprintf(`["1","1","t","phx_join",{"first":"%s"}]`, []string{"track", "state", "none"}[r.IntN(3)]))
		clients = append(clients, c)
	}
	for range 150 {
		switch n := r.IntN(10); {
		case len(clients) < 3 || n < 3:
			come()
		case n < 4 && len(clients) > 5:
			i := r.IntN(len(clients))
			clients[i].read(t)
			if r.IntN(2) == 0 {
				clients[i].drop()
				clients = append(clients[:i], clients[i+1:]...)
			} else { // it joins again
				clients[i].send(`["9","9","t","phx_join",{"first":"state"}]`)
			}
		case n < 5:
			clients[r.IntN(len(clients))].send(`[null,"2","t","state",{}]`)
		case n < 8:
			clients[r.IntN(len(clients))].send(`[null,"3","t","update",{"n":1}]`)
		default:
			time.Sleep(time.Duration(r.IntN(80)) * time.Millisecond)
		}
	}
	time.Sleep(10 * time.Second)
	for _, c := range clients {
		c.read(t)
	}
	checkClients(t, cl, "t", clients...)
}
