package channel

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// chatty is presenceHandler for clients that also get a reply, a push and a
// broadcast for each message; of all protocols.
func chatty(t *testing.T, show PresenceView, change func(*script)) *Handler {
	t.Helper()
	base := presenceHandler(nil)
	s := base.Routes[0].New().(script)
	s.in = func(s *Socket, event string, payload Payload) Result {
		must(s.Push("pushed", nil))
		must(s.Broadcast("said", nil))
		must(s.Broadcast(eventPresenceDiff, map[string]any{"joins": map[string]any{}, "leaves": map[string]any{}}))
		must(s.Broadcast(eventPresenceCount, map[string]int{"keys": 0, "sessions": 0}))
		return OK(nil)
	}
	if change != nil {
		change(&s)
	}
	base.Routes[0].New = func() Channel { return s }
	base.Routes[0].Presence = show
	base.Protocols = map[string]wire.Protocol{"3.0": &shorthand{}}
	h, err := NewHandler(*base)
	require.NoError(t, err)
	return h
}

// priorities is what a client was sent since it was last asked, by event, and for
// each whether it is of low priority.
func priorities(t *testing.T, c *client) map[string][]bool {
	t.Helper()
	synctest.Wait()
	c.link.mu.Lock()
	defer c.link.mu.Unlock()
	got := map[string][]bool{}
	for _, f := range c.link.frames {
		messages, err := c.conn.codec.Decode(nil, f.Binary, f.Data)
		require.NoError(t, err)
		event := strings.TrimSuffix(messages[0].Event, wire.StatusOK) // shorthand's replies
		got[event] = append(got[event], f.LowPriority)
	}
	c.link.frames = nil
	return got
}

// Only the presence a room pushes to all its clients is of low priority, whatever
// protocol they speak; nothing else is, under whatever name.
func TestOnlyNewsOfPresenceIsOfLowPriority(t *testing.T) {
	versions := map[string][2]string{ // a phx_join and a message
		"vsn=2.0.0&user=two":   {`["1","1","t","phx_join",{}]`, `["1","2","t","ask",{}]`},
		"vsn=1.0.0&user=one":   {`{"topic":"t","event":"phx_join","payload":{},"ref":"1","join_ref":"1"}`, `{"topic":"t","event":"ask","payload":{},"ref":"2","join_ref":"1"}`},
		"vsn=3.0.0&user=three": {`{"J":"1","R":"1","T":"t","E":"phx_join","P":{}}`, `{"J":"1","R":"2","T":"t","E":"ask","P":{}}`},
	}
	for view, names := range map[PresenceView][2]string{
		PresenceFull:   {eventPresenceState, eventPresenceDiff},
		PresenceCounts: {eventPresenceCount, eventPresenceCount},
	} {
		for _, query := range slices.Sorted(maps.Keys(versions)) {
			bubble(t, func(t *testing.T) {
				e := startCluster(t, 1, nil).endpoints[0]
				h := chatty(t, view, nil)
				speak := func(c *client, text string) {
					require.Nil(t, c.conn.Receive(false, []byte(text)))
				}
				c, other := connect(t, e, h, query), connect(t, e, h, "vsn=2.0.0&user=other")
				speak(c, versions[query][0])
				got := priorities(t, c)
				require.Equal(t, []bool{false}, got["phx_reply"], query)
				require.NotEmpty(t, got[names[0]], query)
				require.False(t, got[names[0]][0], "%s: what it is pushed", query)

				speak(other, versions["vsn=2.0.0&user=two"][0])
				require.Equal(t, map[string][]bool{names[1]: {true}}, priorities(t, c), query)

				speak(c, versions[query][1])
				require.Equal(t, map[string][]bool{
					"phx_reply": {false}, "pushed": {false}, "said": {false}, eventPresenceDiff: {false}, eventPresenceCount: {false},
				}, priorities(t, c), query)
			})
		}
	}
}

// A diff that HandleOut has passed on is a push like any other.
func TestAnInterceptedDiffIsNotOfLowPriority(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startCluster(t, 1, nil).endpoints[0]
		h := chatty(t, PresenceFull, func(s *script) {
			s.intercept = []string{eventPresenceDiff}
			s.out = func(s *Socket, event string, payload Payload) Result {
				must(s.Push(event, payload))
				return NoReply()
			}
		})
		c, other := connect(t, e, h, "vsn=2.0.0&user=a"), connect(t, e, h, "vsn=2.0.0&user=b")
		c.send(`["1","1","t","phx_join",{}]`)
		priorities(t, c)
		other.send(`["1","1","t","phx_join",{}]`)
		require.Equal(t, map[string][]bool{eventPresenceDiff: {false}}, priorities(t, c))
	})
}
