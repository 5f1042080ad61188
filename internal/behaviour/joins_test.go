package behaviour_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// A journal notes what happens, in order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) note(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

// take waits until nothing runs in the bubble and returns what was noted since the
// last call.
func (j *journal) take() []string {
	synctest.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

// soon is well below the time that a slow Join takes here. A join that does not
// wait for one is answered by then.
const soon = 100 * time.Millisecond

// slowJoin is a route whose Join notes its topic and then takes some time.
func slowJoin(pattern string, j *journal, takes time.Duration) channel.Route {
	return route(pattern, script{join: func(s *channel.Socket) (any, error) {
		j.note("%s", s.Topic())
		time.Sleep(takes)
		return nil, nil
	}})
}

// joinEach connects a client for each topic, which joins it, one after another.
func joinEach(t testing.TB, e *channel.Endpoint, h *channel.Handler, topics ...string) (all []*client) {
	t.Helper()
	for _, topic := range topics {
		c := connect(t, e, h, "u")
		c.join(topic)
		synctest.Wait()
		all = append(all, c)
	}
	return all
}

func (m message) reply(t testing.TB) (status, response string) {
	t.Helper()
	var r struct {
		Status   string
		Response json.RawMessage
	}
	require.NoError(t, json.Unmarshal(m.payload, &r))
	return r.Status, string(r.Response)
}

// answer returns status and response of the one reply that c was sent since the
// last call; empty if there was none.
func (c *client) answer() string {
	c.t.Helper()
	all := of("phx_reply", c.take())
	if len(all) == 0 {
		return ""
	}
	require.Len(c.t, all, 1)
	status, response := all[0].reply(c.t)
	return status + " " + response
}

const (
	accepted   = "ok {}"
	overloaded = `error {"reason":"overloaded"}`
)

func TestSlowJoinDelaysNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hang := script{
			join: func(s *channel.Socket) (any, error) {
				if user(s) == "slow" {
					time.Sleep(time.Minute)
				}
				return nil, nil
			},
			in: func(*channel.Socket, string, channel.Payload) channel.Result { return channel.OK(nil) },
		}
		quick := hang
		quick.join = nil
		e, h := start(t, channel.Config{}), serve(t, route("room:*", hang), route("apart", quick), route("quick:*", hang))
		var slow []*client
		for range 20 {
			c := connect(t, e, h, "slow")
			c.join("room:a")
			slow = append(slow, c)
		}
		other := connect(t, e, h, "quick")
		for _, topic := range []string{"room:a", "room:b", "quick:a"} {
			other.join(topic)
			time.Sleep(soon)
			require.Equal(t, accepted, other.answer(), "%s, of another connection", topic)
		}
		slow[0].join("apart")
		time.Sleep(soon)
		require.Equal(t, accepted, slow[0].answer(), "another topic of the same connection")
		slow[0].say("1", "7", "apart", "ping")
		require.Equal(t, accepted, slow[0].answer())
		require.Nil(t, slow[0].conn.Receive(false, []byte(`[null,"8","phoenix","heartbeat",{}]`)))
		require.Equal(t, accepted, slow[0].answer())

		time.Sleep(time.Minute)
		for _, c := range slow {
			require.Equal(t, accepted, c.answer())
		}
	})
}

func TestWhatHappensOnATopicOfAConnectionKeepsItsOrderBehindASlowJoin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		e := start(t, channel.Config{})
		c := connect(t, e, serve(t, route("*", script{
			join: func(s *channel.Socket) (any, error) {
				j.note("join %s", s.JoinRef())
				time.Sleep(time.Second)
				j.note("joined %s", s.JoinRef())
				return nil, nil
			},
			in: func(s *channel.Socket, event string, _ channel.Payload) channel.Result {
				j.note("%s %s", event, s.JoinRef())
				return channel.OK(nil)
			},
			terminate: func(s *channel.Socket, _ channel.Reason) {
				j.note("end %s", s.JoinRef())
				time.Sleep(time.Second)
				j.note("ended %s", s.JoinRef())
			},
		})), "u")
		c.say("1", "1", "t", "phx_join")
		c.say("1", "2", "t", "ping")
		c.say("1", "3", "t", "phx_leave")
		c.say("4", "4", "t", "phx_join")
		c.say("4", "5", "t", "ping")
		c.say("6", "6", "t", "phx_join")
		time.Sleep(time.Minute)
		require.Equal(t, []string{
			"join 1", "joined 1", "ping 1", "end 1", "ended 1",
			"join 4", "joined 4", "ping 4", "end 4", "ended 4",
			"join 6", "joined 6",
		}, j.take())
		var answered []string
		for _, m := range of("phx_reply", c.take()) {
			status, _ := m.reply(t)
			require.Equal(t, "ok", status, m.ref)
			answered = append(answered, m.ref)
		}
		require.Equal(t, []string{"1", "2", "3", "4", "5", "6"}, answered)
	})
}

func TestJoinsOfARouteThatRunAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 3
		var running, worst, ran atomic.Int64
		bounded := script{join: func(*channel.Socket) (any, error) {
			worst.Store(max(worst.Load(), running.Add(1)))
			defer running.Add(-1)
			time.Sleep(time.Second)
			ran.Add(1)
			return nil, nil
		}}
		e, h := start(t, channel.Config{MaxJoinsRunning: most, JoinWait: time.Minute}), serve(t, route("room:*", bounded), route("apart", script{}))
		for i := range 12 {
			joinEach(t, e, h, fmt.Sprint("room:", i%5))
		}
		time.Sleep(soon)
		require.EqualValues(t, most, running.Load())
		require.Equal(t, accepted, joinEach(t, e, h, "apart")[0].answer(), "another route has joins of its own")
		time.Sleep(12/most*time.Second + time.Second)
		require.EqualValues(t, 12, ran.Load(), "the others have had their turn")
		require.EqualValues(t, most, worst.Load())
	})
}

func TestStormInOneRoomDelaysAJoinOfAnotherByFewJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		e, h := start(t, channel.Config{MaxJoinsRunning: 1, JoinWait: time.Hour}), serve(t, slowJoin("*", &j, time.Second))
		joinEach(t, e, h, strings.Split(strings.Repeat("storm ", 100)+"quiet", " ")...)
		time.Sleep(10 * time.Second)
		began := j.take()
		require.Contains(t, began, "quiet")
		require.Less(t, slices.Index(began, "quiet"), 5)
	})
}

func TestJoinsOfATopicRunInTheOrderInWhichTheyCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		e, h := start(t, channel.Config{MaxJoinsRunning: 1, JoinWait: time.Hour}), serve(t, route("*", script{join: func(s *channel.Socket) (any, error) {
			j.note("%s", user(s))
			time.Sleep(time.Second)
			return nil, nil
		}}))
		var want []string
		for i := range 20 {
			want = append(want, fmt.Sprint(i))
			connect(t, e, h, want[i]).join("t")
			synctest.Wait()
		}
		time.Sleep(time.Minute)
		require.Equal(t, want, j.take())
	})
}

// rejections keeps what an endpoint reports as rejected.
type rejections struct {
	mu   sync.Mutex
	told []channel.RejectEvent
}

func (r *rejections) telemetry() []channel.Telemetry {
	return []channel.Telemetry{{Reject: func(told channel.RejectEvent) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.told = append(r.told, told)
	}}}
}

// requireOverloaded requires that exactly the joins of these topics were reported,
// as overloaded, each once.
func (r *rejections) requireOverloaded(t *testing.T, topics ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var told []string
	for _, rejection := range r.told {
		require.Equal(t, wire.CauseOverloaded, rejection.Cause)
		require.NotNil(t, rejection.Conn)
		told = append(told, rejection.Topic)
	}
	require.ElementsMatch(t, topics, told)
}

func TestJoinBeyondTheMostThatMayWaitIsOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var r rejections
		e := start(t, channel.Config{MaxJoinsRunning: 1, MaxJoinsWaiting: 3, JoinWait: time.Hour, Telemetry: r.telemetry()})
		clients := joinEach(t, e, serve(t, slowJoin("*", &j, time.Second)), "a", "b", "c", "d", "e", "f")
		for i, c := range clients {
			want := ""
			if i >= 4 {
				want = overloaded
			}
			require.Equal(t, want, c.answer(), "client %d: at once, or when it had its turn", i)
		}
		r.requireOverloaded(t, "e", "f")
		require.EqualValues(t, 2, e.Stats().JoinsRefused)
		time.Sleep(time.Minute)
		require.Equal(t, []string{"a", "b", "c", "d"}, j.take(), "Join is not called for the others")
		for _, c := range clients[:4] {
			require.Equal(t, accepted, c.answer())
		}
		clients[5].join("f")
		time.Sleep(time.Minute)
		require.Equal(t, accepted, clients[5].answer(), "it comes back")
		r.requireOverloaded(t, "e", "f")
	})
}

func TestStormInOneRoomLeavesAnotherRoomAPlaceToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		e := start(t, channel.Config{MaxJoinsRunning: 1, MaxJoinsWaiting: 10, JoinWait: time.Hour})
		clients := joinEach(t, e, serve(t, slowJoin("*", &j, time.Second)), strings.Split(strings.Repeat("storm ", 50)+"quiet", " ")...)
		time.Sleep(time.Minute)
		require.Equal(t, accepted, clients[50].answer())
		require.Equal(t, overloaded, clients[49].answer())
	})
}

func TestJoinThatHasWaitedTooLongIsOverloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		var r rejections
		e := start(t, channel.Config{MaxJoinsRunning: 1, JoinWait: 3 * time.Second, Telemetry: r.telemetry()})
		clients := joinEach(t, e, serve(t, slowJoin("*", &j, 10*time.Second)), "a", "b", "c")
		time.Sleep(2 * time.Second)
		require.Empty(t, clients[1].answer())
		time.Sleep(2 * time.Second)
		require.Equal(t, overloaded, clients[1].answer())
		require.Equal(t, overloaded, clients[2].answer())
		r.requireOverloaded(t, "b", "c")
		time.Sleep(time.Minute)
		require.Equal(t, []string{"a"}, j.take(), "Join is not called for the others")
		require.Equal(t, accepted, clients[0].answer())
		require.Empty(t, clients[1].answer())
		clients[1].join("b")
		time.Sleep(time.Minute)
		require.Equal(t, accepted, clients[1].answer(), "it comes back")
		r.requireOverloaded(t, "b", "c")
	})
}
