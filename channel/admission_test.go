package channel

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// slowJoins is a handler whose joins take a second each, and note when they began.
// Its channels of "apart:*" have a route of their own.
func slowJoins(tr *trace) *Handler {
	began := time.Now()
	slow := script{
		join: func(s *Socket, _ Payload) (any, error) {
			tr.add("%v %s", time.Since(began), s.Topic())
			time.Sleep(time.Second)
			return nil, nil
		},
		terminate: func(s *Socket, _ Reason) { tr.add("%s ends", s.Topic()) },
	}
	h := handlerOf(slow)
	h.Routes = append([]Route{{Pattern: "apart:*", New: func() Channel { return slow }}}, h.Routes...)
	return h
}

func joinText(topic string) string { return fmt.Sprintf(`["1","1","%s","phx_join",{}]`, topic) }

func joinedText(topic string) string {
	return fmt.Sprintf(`["1","1","%s","phx_reply",{"status":"ok","response":{}}]`, topic)
}

func overloadedText(topic string) string {
	return fmt.Sprintf(`["1","1","%s","phx_reply",{"status":"error","response":{"reason":"overloaded"}}]`, topic)
}

// storm connects a client for each topic, which joins it, one after another.
func storm(t *testing.T, e *Endpoint, h *Handler, topics ...string) (all []*client) {
	t.Helper()
	for _, topic := range topics {
		c := connect(t, e, h, "")
		c.send(joinText(topic))
		synctest.Wait()
		all = append(all, c)
	}
	return all
}

// joinStats returns the statistics of joins.
func joinStats(e *Endpoint) Stats {
	s := e.Stats()
	return Stats{Channels: s.Channels, JoinsRunning: s.JoinsRunning, JoinsWaiting: s.JoinsWaiting, JoinsWaited: s.JoinsWaited, JoinsRefused: s.JoinsRefused}
}

// idleAdmission fails if a join runs or waits.
func idleAdmission(t *testing.T, e *Endpoint) {
	t.Helper()
	synctest.Wait()
	s := e.Stats()
	require.Zero(t, s.JoinsRunning)
	require.Zero(t, s.JoinsWaiting)
}

func TestJoinsOfARouteThatRunAtOnceAreLimited(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{MaxJoinsRunning: 1})
		h := slowJoins(&tr)
		clients := storm(t, e, h, "a", "b", "c", "apart:a")
		require.Equal(t, []string{"0s a", "0s apart:a"}, tr.take(), "another route does not wait")
		require.Equal(t, Stats{JoinsRunning: 2, JoinsWaiting: 2, JoinsWaited: 2}, joinStats(e))
		time.Sleep(4 * time.Second)
		require.Equal(t, []string{"1s b", "2s c"}, tr.take())
		require.Equal(t, []string{joinedText("c")}, clients[2].take())
		require.Equal(t, Stats{Channels: 4, JoinsWaited: 2}, joinStats(e))
		idleAdmission(t, e)
	})
}

func TestARouteHasASlotForEachProcessor(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		slots := runtime.GOMAXPROCS(0)
		storm(t, e, slowJoins(&trace{}), strings.Split(strings.Repeat("a,", slots)+"a", ",")...)
		require.EqualValues(t, slots, e.Stats().JoinsRunning)
		require.EqualValues(t, 1, e.Stats().JoinsWaiting)
	})
}

func TestTooManyWaitingJoinsAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		var rejected []RejectEvent
		e := startOne(t, Config{MaxJoinsRunning: 1, MaxJoinsWaiting: 4, Telemetry: []Telemetry{{Reject: func(r RejectEvent) { rejected = append(rejected, r) }}}})
		clients := storm(t, e, slowJoins(&tr), "a", "a", "a", "a", "b", "c", "d")
		for i, want := range [][]string{{}, {}, {}, {overloadedText("a")}, {}, {}, {overloadedText("d")}} {
			require.Equal(t, want, clients[i].take(), "client %d: one topic may take half of the places, all topics together all", i)
		}
		require.Len(t, rejected, 2)
		require.Equal(t, RejectEvent{clients[6].conn, wire.Rejection{Cause: wire.CauseOverloaded, Transport: "test", Topic: "d", Limit: 4}}, rejected[1])
		require.Equal(t, Stats{JoinsRunning: 1, JoinsWaiting: 4, JoinsWaited: 4, JoinsRefused: 2}, joinStats(e))

		time.Sleep(1500 * time.Millisecond) // one has begun
		clients[6].send(joinText("d"))
		require.Empty(t, clients[6].take(), "its second join waits")
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{joinedText("d")}, clients[6].take())
		idleAdmission(t, e)
	})
}

func TestJoinThatHasWaitedTooLongIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		var rejected []RejectEvent
		release := make(chan struct{})
		h := handlerOf(script{join: func(s *Socket, _ Payload) (any, error) {
			tr.add("%s", s.Topic())
			<-release
			return nil, nil
		}})
		e := startOne(t, Config{MaxJoinsRunning: 1, JoinWait: 3 * time.Second, Telemetry: []Telemetry{{Reject: func(r RejectEvent) { rejected = append(rejected, r) }}}})
		clients := storm(t, e, h, "a", "b")
		time.Sleep(2 * time.Second)
		clients = append(clients, storm(t, e, h, "c", "d")...)
		time.Sleep(time.Second - time.Nanosecond)
		require.Empty(t, clients[1].take())
		time.Sleep(time.Nanosecond)
		require.Equal(t, []string{overloadedText("b")}, clients[1].take())
		require.Equal(t, 3*time.Second, rejected[0].Limit)
		require.Equal(t, wire.CauseOverloaded, rejected[0].Cause)
		time.Sleep(time.Second)
		clients[3].drop()
		time.Sleep(time.Second)
		require.Equal(t, []string{overloadedText("c")}, clients[2].take(), "each after its own time")
		require.Equal(t, []string{"a"}, tr.take(), "no Join was called for them")
		require.Len(t, rejected, 2)
		require.Equal(t, Stats{JoinsRunning: 1, JoinsWaited: 3, JoinsRefused: 2}, joinStats(e))

		clients[1].send(joinText("b"))
		close(release)
		require.Equal(t, []string{joinedText("b")}, clients[1].take())
		idleAdmission(t, e)
	})
}

func TestJoinThatEndsWhileItWaitsIsNotCalled(t *testing.T) {
	for name, c := range map[string]struct {
		ends func(*client)
		want []string
	}{
		"closed": {(*client).drop, []string{}},
		"left": {func(c *client) { c.send(`["1","2","b","phx_leave",{}]`) }, []string{
			overloadedText("b"), `[null,"2","b","phx_reply",{"status":"ok","response":{}}]`,
		}},
		"replaced": {func(c *client) { c.send(`["9","9","b","phx_join",{}]`) }, []string{overloadedText("b")}},
		"flooded": {func(c *client) {
			for range 3 { // with its join, one more than MailboxSize
				c.send(`["1","2","b","ping",{}]`)
			}
		}, []string{`["1","1","b","phx_reply",{"status":"error","response":{"reason":"join crashed"}}]`}},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var tr trace
				e := startOne(t, Config{MaxJoinsRunning: 1, MaxJoinsWaiting: 3, MailboxSize: 3})
				h := slowJoins(&tr)
				clients := storm(t, e, h, "a", "b", "b")
				c.ends(clients[1])
				require.Equal(t, c.want, clients[1].take(), "at once, and Join is not called")
				require.Empty(t, clients[2].take())
				time.Sleep(10 * time.Second)
				if name == "replaced" {
					require.Equal(t, []string{"0s a", "1s b", "2s b"}, tr.take(), "after the join that arrived before it")
					require.Equal(t, []string{`["9","9","b","phx_reply",{"status":"ok","response":{}}]`}, clients[1].take())
				} else {
					require.Equal(t, []string{"0s a", "1s b"}, tr.take())
					require.Empty(t, clients[1].take())
				}
				require.Equal(t, []string{joinedText("b")}, clients[2].take())
				require.Zero(t, e.Stats().JoinsRefused)
				idleAdmission(t, e)
			})
		})
	}
}

func TestNextJoinBeginsHoweverAJoinEnds(t *testing.T) {
	var refusal error = Refuse("no")
	for name, join := range map[string]func(*Socket) (any, error){
		"accepted":   func(*Socket) (any, error) { return nil, nil },
		"refused":    func(*Socket) (any, error) { return nil, refusal },
		"crashed":    func(*Socket) (any, error) { return nil, errors.New("boom") },
		"panic":      func(*Socket) (any, error) { panic("boom") },
		"bad answer": func(*Socket) (any, error) { return func() {}, nil },
		"closed":     func(s *Socket) (any, error) { s.Conn().Close(wire.CloseGoingAway, ""); return nil, nil },
		"too much for itself": func(s *Socket) (any, error) {
			for range 5 {
				s.Send(1)
			}
			return nil, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, replicas := range []int{0, 1} { // without presence, and with
				bubble(t, func(t *testing.T) {
					var e *Endpoint
					limits := func(c *Config) { c.MaxJoinsRunning, c.MailboxSize = 1, 3 }
					if replicas == 0 {
						c := Config{}
						limits(&c)
						e = startOne(t, c)
					} else {
						e = startCluster(t, 1, limits).endpoints[0]
					}
					h := handlerOf(script{join: func(s *Socket, _ Payload) (any, error) {
						if s.Topic() == "b" {
							return nil, nil
						}
						time.Sleep(time.Second)
						return join(s)
					}})
					clients := storm(t, e, h, "a", "b")
					require.Empty(t, clients[1].take())
					time.Sleep(time.Second)
					require.Equal(t, []string{joinedText("b")}, clients[1].take())
					idleAdmission(t, e)
				})
			}
		})
	}
}

func TestJoinCountsUntilWhatItSentToItselfIsHandled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startCluster(t, 1, func(c *Config) { c.MaxJoinsRunning = 1 }).endpoints[0]
		h := handlerOf(script{
			join: func(s *Socket, _ Payload) (any, error) {
				s.Send("track")
				return nil, nil
			},
			info: func(*Socket, any) Result { time.Sleep(time.Second); return NoReply() },
			in:   func(*Socket, string, Payload) Result { time.Sleep(time.Hour); return NoReply() },
		})
		clients := storm(t, e, h, "a", "b")
		require.Equal(t, []string{joinedText("a")}, clients[0].take())
		require.Empty(t, clients[1].take(), "the join of a still counts")
		time.Sleep(time.Second)
		require.Equal(t, []string{joinedText("b")}, clients[1].take())
		time.Sleep(time.Second)
		idleAdmission(t, e)

		// A client cannot make its join last with messages that take long.
		hog := connect(t, e, h, "")
		hog.send(joinText("c"), `["1","2","c","work",{}]`)
		time.Sleep(time.Second)
		idleAdmission(t, e)
	})
}

func TestDuplicateJoinWaitsForItsTurn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{MaxJoinsRunning: 1, DuplicateTimeout: 500 * time.Millisecond})
		h := slowJoins(&tr)
		c := storm(t, e, h, "a")[0]
		c.send(`["2","2","a","phx_join",{}]`)
		time.Sleep(600 * time.Millisecond)
		require.Equal(t, []string{"0s a"}, tr.take(), "the first join has timed out, but still counts")
		require.EqualValues(t, 1, e.Stats().JoinsWaiting)
		time.Sleep(3 * time.Second)
		require.Equal(t, []string{"a ends", "1s a"}, tr.take())
		require.Contains(t, c.take(), `["2","2","a","phx_reply",{"status":"ok","response":{}}]`)
		idleAdmission(t, e)
	})
}

func TestDrainEndsWaitingJoinsAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{MaxJoinsRunning: 1, JoinWait: time.Hour})
		topics := make([]string, 100)
		for i := range topics {
			topics[i] = fmt.Sprint("a", i)
		}
		storm(t, e, slowJoins(&tr), topics...)
		began := time.Now()
		require.NoError(t, e.Close(context.Background()))
		require.Equal(t, time.Second, time.Since(began), "the join that ran")
		require.Equal(t, []string{"0s a0", "a0 ends"}, tr.take())
		idleAdmission(t, e)
	})
}
