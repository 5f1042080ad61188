package behaviour_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// A ledger counts the Joins that accepted and the Terminates of each channel.
type ledger struct {
	mu       sync.Mutex
	accepted int
	ends     map[*entry]int // calls of Terminate
}

// An entry is the channel of one join. The user of its connection says how it
// joins, and an event what its callbacks do.
type entry struct {
	ledger   *ledger
	accepted bool // guarded by the ledger's mu
}

func (l *ledger) route() channel.Route {
	return channel.Route{Pattern: "*", New: func() channel.Channel {
		l.mu.Lock()
		defer l.mu.Unlock()
		e := &entry{ledger: l}
		l.ends[e] = 0
		return e
	}}
}

func (e *entry) Join(_ context.Context, s *channel.Socket, _ channel.Payload) (any, error) {
	var answer any
	for how := range strings.SplitSeq(user(s), " ") {
		switch how {
		case "slow":
			time.Sleep(time.Second)
		case "refused":
			return nil, channel.Refuse("no")
		case "fails":
			return nil, errors.New("no database")
		case "panics":
			panic("in Join")
		case "unanswerable":
			answer = func() {}
		case "busy":
			s.Send("busy")
		}
	}
	e.ledger.mu.Lock()
	defer e.ledger.mu.Unlock()
	e.accepted = true
	e.ledger.accepted++
	return answer, nil
}

func (e *entry) act(event string) channel.Result {
	switch event {
	case "stop":
		return channel.Stop(wire.ReasonNormal)
	case "panic":
		panic("in a callback")
	case "busy":
		time.Sleep(20 * time.Second)
	}
	return channel.NoReply()
}

func (e *entry) HandleIn(s *channel.Socket, event string, _ channel.Payload) channel.Result {
	if info, ok := strings.CutPrefix(event, "info "); ok {
		s.Send(info)
		return channel.NoReply()
	}
	return e.act(event)
}

func (e *entry) HandleInfo(_ *channel.Socket, msg any) channel.Result { return e.act(msg.(string)) }

func (e *entry) Intercept() []string { return []string{"stop", "panic"} }

func (e *entry) HandleOut(_ *channel.Socket, event string, _ channel.Payload) channel.Result {
	return e.act(event)
}

func (e *entry) Terminate(_ context.Context, s *channel.Socket, _ channel.Reason) {
	e.ledger.mu.Lock()
	e.ledger.ends[e]++
	e.ledger.mu.Unlock()
	if strings.Contains(user(s), "crashing") {
		panic("in Terminate")
	}
}

// check requires that each accepted channel has ended once, and no other has.
func (l *ledger) check(t *testing.T, accepted int) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	require.Equal(t, accepted, l.accepted)
	for e, ends := range l.ends {
		want := 0
		if e.accepted {
			want = 1
		}
		require.Equal(t, want, ends, "calls of Terminate; accepted: %t", e.accepted)
	}
}

func TestTerminateRunsOnceForEachAcceptedJoin(t *testing.T) {
	broadcast := func(event string) func(c *client) {
		return func(c *client) { must(c.conn.Endpoint().Broadcast("t", event, nil)) }
	}
	push := func(event string) func(c *client) {
		return func(c *client) { c.say("1", "5", "t", event) }
	}
	flood := func(c *client) {
		for range 20 {
			c.say("1", "5", "t", "ping")
		}
	}
	again := func(c *client) { c.say("9", "9", "t", "phx_join") }
	drain := func(c *client) { go func() { _ = c.conn.Endpoint().Drain(c.t.Context()) }() }
	stop := func(c *client) { go func() { _ = c.conn.Endpoint().Close(c.t.Context()) }() }
	leave := func(c *client) { c.leave("t") }
	busy := push("busy")
	for _, c := range []struct {
		name     string
		user     string
		ends     []func(c *client)
		accepted int
	}{
		{"leave", "", []func(*client){leave}, 1},
		{"leave twice", "", []func(*client){leave, leave}, 1},
		{"duplicate join", "", []func(*client){again}, 2},
		{"duplicate join behind a busy channel", "", []func(*client){busy, again}, 2},
		{"lost connection", "", []func(*client){(*client).lose}, 1},
		{"connection lost twice", "", []func(*client){(*client).lose, (*client).lose}, 1},
		{"leave, then lost connection", "", []func(*client){leave, (*client).lose}, 1},
		{"connection closed by the program", "", []func(*client){func(c *client) { c.conn.Close(4000, "") }}, 1},
		{"drain", "", []func(*client){drain}, 1},
		{"drain of a busy channel", "", []func(*client){busy, drain, (*client).lose}, 1},
		{"close of the endpoint", "", []func(*client){stop}, 1},
		{"stop by HandleIn", "", []func(*client){push("stop")}, 1},
		{"stop by HandleInfo", "", []func(*client){push("info stop")}, 1},
		{"stop by HandleOut", "", []func(*client){broadcast("stop")}, 1},
		{"stop, then leave", "", []func(*client){push("stop"), leave}, 1},
		{"panic in HandleIn", "", []func(*client){push("panic")}, 1},
		{"panic in HandleInfo", "", []func(*client){push("info panic")}, 1},
		{"panic in HandleOut", "", []func(*client){broadcast("panic")}, 1},
		{"panic in Terminate", "crashing", []func(*client){leave}, 1},
		{"full mailbox", "", []func(*client){busy, flood}, 1},
		{"full mailbox, then lost connection", "", []func(*client){busy, flood, (*client).lose}, 1},
		{"refused join", "refused", nil, 0},
		{"failing join", "fails", nil, 0},
		{"panic in Join", "panics", nil, 0},
		{"lost connection, then refused join", "slow refused", []func(*client){(*client).lose}, 0},
		{"answer without JSON", "unanswerable", nil, 1},
		{"leave while Join runs", "slow", []func(*client){leave}, 1},
		{"duplicate join while Join runs", "slow", []func(*client){again}, 2},
		{"lost connection while Join runs", "slow", []func(*client){(*client).lose}, 1},
		{"drain while Join runs", "slow", []func(*client){drain}, 1},
		{"full mailbox while Join runs", "slow", []func(*client){flood}, 1},
		{"lost connection while what Join sent is handled", "busy", []func(*client){(*client).lose}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{ends: map[*entry]int{}}
				e := start(t, channel.Config{MailboxSize: 10})
				client := connect(t, e, serve(t, l.route()), c.user)
				client.join("t")
				synctest.Wait()
				for _, end := range c.ends {
					end(client)
				}
				time.Sleep(time.Minute)
				client.lose()
				require.NoError(t, e.Close(t.Context()))
				l.check(t, c.accepted)
			})
		})
	}
}

func TestTerminateRunsOnceForEachAcceptedJoinOfAStorm(t *testing.T) {
	for seed := range uint64(3) {
		synctest.Test(t, func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 2))
			l := &ledger{ends: map[*entry]int{}}
			e := start(t, channel.Config{MailboxSize: 10, MaxJoinsRunning: 4, MaxJoinsWaiting: 20, JoinWait: 2 * time.Second})
			h := serve(t, l.route())
			var clients []*client
			users := []string{"", "", "slow", "slow", "crashing", "slow refused", "panics", "busy"}
			events := []string{"phx_join", "phx_join", "phx_leave", "ping", "stop", "panic", "info panic", "busy"}
			for i := range 500 {
				if i < 20 || r.IntN(5) == 0 {
					c := connect(t, e, h, users[r.IntN(len(users))])
					c.join("t")
					clients = append(clients, c)
				}
				c := clients[r.IntN(len(clients))]
				switch r.IntN(12) {
				case 0:
					c.lose()
				case 1:
					require.NoError(t, e.Broadcast("t", "panic", nil))
				case 2, 3:
					time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
				default:
					ref := fmt.Sprint(i + 2)
					c.say(ref, ref, "t", events[r.IntN(len(events))])
				}
			}
			require.NoError(t, e.Close(t.Context()))
			require.Greater(t, l.accepted, 30)
			l.check(t, l.accepted)
		})
	}
}
