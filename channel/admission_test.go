package channel

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
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

// storm has a connection of its own join each topic, one after the other.
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

// joinStats are the counts that are about joins.
func joinStats(e *Endpoint) Stats {
	s := e.Stats()
	return Stats{Channels: s.Channels, JoinsRunning: s.JoinsRunning, JoinsWaiting: s.JoinsWaiting, JoinsWaited: s.JoinsWaited, JoinsRefused: s.JoinsRefused}
}

// idleAdmission fails where something of a storm is left.
func idleAdmission(t *testing.T, e *Endpoint) {
	t.Helper()
	synctest.Wait()
	a := &e.admission
	a.mu.Lock()
	defer a.mu.Unlock()
	require.Empty(t, a.queues)
	require.Empty(t, a.waiters)
	require.Zero(t, a.arrivals.Len())
	require.False(t, a.armed)
	require.Zero(t, a.running)
	require.Zero(t, a.waiting)
	require.Zero(t, a.spare.order.Len())
	require.Empty(t, a.spare.lines)
}

func TestSoManyJoinsOfARouteRunAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{MaxJoinsRunning: 2})
		h := slowJoins(&tr)
		clients := storm(t, e, h, "a", "b", "c", "d", "e", "apart:a")
		require.Equal(t, []string{"0s a", "0s b", "0s apart:a"}, tr.take(), "another route does not wait")
		require.Equal(t, Stats{JoinsRunning: 3, JoinsWaiting: 3, JoinsWaited: 3}, joinStats(e))
		time.Sleep(4 * time.Second)
		next := tr.take()
		require.ElementsMatch(t, []string{"1s c", "1s d"}, next[:2], "they begin at the same moment")
		require.Equal(t, []string{"2s e"}, next[2:])
		require.Equal(t, []string{joinedText("e")}, clients[4].take())
		require.Equal(t, Stats{Channels: 6, JoinsWaited: 3}, joinStats(e))
		idleAdmission(t, e)
	})
}

func TestTopicsTakeTurns(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{MaxJoinsRunning: 1, JoinWait: time.Minute})
		storm(t, e, slowJoins(&tr), "a", "a", "a", "a", "b", "b", "c")
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{"0s a", "1s a", "2s b", "3s c", "4s a", "5s b", "6s a"}, tr.take())
		idleAdmission(t, e)
	})
}

func TestOfOneTopicWhoCameFirstIsFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{MaxJoinsRunning: 1, JoinWait: time.Minute})
		clients := storm(t, e, slowJoins(&tr), "a", "a", "a", "a", "a")
		for i, c := range clients {
			synctest.Wait()
			require.Empty(t, c.take(), i)
			time.Sleep(time.Second)
			require.Len(t, c.take(), 1, i)
		}
	})
}

func TestTooManyWaitingJoinsAreRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		var rejected []Rejection
		e := startOne(t, Config{MaxJoinsRunning: 1, MaxJoinsWaiting: 4, Telemetry: []Telemetry{{Reject: func(r Rejection) { rejected = append(rejected, r) }}}})
		clients := storm(t, e, slowJoins(&tr), "a", "a", "a", "a", "b", "c", "d")
		for i, want := range [][]string{{}, {}, {}, {overloadedText("a")}, {}, {}, {overloadedText("d")}} {
			require.Equal(t, want, clients[i].take(), "client %d: one topic has half of the places, all have all", i)
		}
		require.Len(t, rejected, 2)
		require.Equal(t, Rejection{Cause: CauseOverloaded, Conn: clients[6].conn, Transport: "test", Topic: "d", Limit: 4}, rejected[1])
		require.Equal(t, Stats{JoinsRunning: 1, JoinsWaiting: 4, JoinsWaited: 4, JoinsRefused: 2}, joinStats(e))

		time.Sleep(1500 * time.Millisecond) // one waits less
		clients[6].send(joinText("d"))
		require.Empty(t, clients[6].take(), "who asks again may wait")
		time.Sleep(10 * time.Second)
		require.Equal(t, []string{joinedText("d")}, clients[6].take())
		idleAdmission(t, e)
	})
}

func TestWhoHasWaitedTooLongIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		var rejected []Rejection
		release := make(chan struct{})
		h := handlerOf(script{join: func(s *Socket, _ Payload) (any, error) {
			tr.add("%s", s.Topic())
			<-release
			return nil, nil
		}})
		e := startOne(t, Config{MaxJoinsRunning: 1, JoinWait: 3 * time.Second, Telemetry: []Telemetry{{Reject: func(r Rejection) { rejected = append(rejected, r) }}}})
		clients := storm(t, e, h, "a", "b")
		time.Sleep(2 * time.Second)
		clients = append(clients, storm(t, e, h, "c", "d")...)
		time.Sleep(time.Second - time.Nanosecond)
		require.Empty(t, clients[1].take())
		time.Sleep(time.Nanosecond)
		require.Equal(t, []string{overloadedText("b")}, clients[1].take())
		require.Equal(t, 3*time.Second, rejected[0].Limit)
		require.Equal(t, CauseOverloaded, rejected[0].Cause)
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

func TestAWaitingJoinThatNobodyWantsIsWithdrawn(t *testing.T) {
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
			for range 3 { // beside its join, one too many
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
					require.Equal(t, []string{"0s a", "1s b", "2s b"}, tr.take(), "behind the one that came meanwhile")
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

// However a join ends, the next one has its turn.
func TestEveryEndOfAJoinMakesRoom(t *testing.T) {
	var refusal error = Refuse("no")
	for name, join := range map[string]func(*Socket) (any, error){
		"accepted":   func(*Socket) (any, error) { return nil, nil },
		"refused":    func(*Socket) (any, error) { return nil, refusal },
		"crashed":    func(*Socket) (any, error) { return nil, errors.New("boom") },
		"panic":      func(*Socket) (any, error) { panic("boom") },
		"bad answer": func(*Socket) (any, error) { return func() {}, nil },
		"closed":     func(s *Socket) (any, error) { s.Conn().Close(CloseGoingAway, ""); return nil, nil },
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

// What a channel does right after its join is what a storm is made of.
func TestAJoinCountsUntilWhatItSentToItselfIsHandled(t *testing.T) {
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

		// But no client can hold a place with messages that take long.
		hog := connect(t, e, h, "")
		hog.send(joinText("c"), `["1","2","c","work",{}]`)
		time.Sleep(time.Second)
		idleAdmission(t, e)
	})
}

func TestADuplicateJoinWaitsForItsTurnToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{MaxJoinsRunning: 1, DuplicateTimeout: 500 * time.Millisecond})
		h := slowJoins(&tr)
		c := storm(t, e, h, "a")[0]
		c.send(`["2","2","a","phx_join",{}]`)
		time.Sleep(600 * time.Millisecond)
		require.Equal(t, []string{"0s a"}, tr.take(), "it gave up on the first, which still counts")
		require.EqualValues(t, 1, e.Stats().JoinsWaiting)
		time.Sleep(3 * time.Second)
		require.Equal(t, []string{"a ends", "1s a"}, tr.take())
		require.Contains(t, c.take(), `["2","2","a","phx_reply",{"status":"ok","response":{}}]`)
		idleAdmission(t, e)
	})
}

func TestDrainEndsTheWaitingAtOnce(t *testing.T) {
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
		require.Equal(t, time.Second, time.Since(began), "the one that ran")
		require.Equal(t, []string{"0s a0", "a0 ends"}, tr.take())
		idleAdmission(t, e)
	})
}

// Many connections at once, some of which give up, on all cores: for the race
// detector, and for the bounds.
func TestAdmissionUnderAStorm(t *testing.T) {
	const most = 5
	var running, worst, ran atomic.Int64
	h := handlerOf(script{join: func(*Socket, Payload) (any, error) {
		n := running.Add(1)
		for w := worst.Load(); n > w && !worst.CompareAndSwap(w, n); w = worst.Load() {
		}
		time.Sleep(time.Millisecond)
		ran.Add(1)
		running.Add(-1)
		return nil, nil
	}})
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{MaxJoinsRunning: most, MaxJoinsWaiting: 200, JoinWait: 20 * time.Millisecond})
		for i := range 500 {
			c := connect(t, e, h, "")
			go func() {
				time.Sleep(time.Duration(i%7) * time.Millisecond)
				topic := fmt.Sprint("t", i%10)
				c.send(joinText(topic))
				time.Sleep(time.Duration(i%5) * 3 * time.Millisecond)
				switch i % 3 {
				case 0:
					c.drop()
				case 1:
					c.send(fmt.Sprintf(`["1","2","%s","phx_leave",{}]`, topic))
				}
			}()
		}
		time.Sleep(time.Second)
		s := e.Stats()
		require.EqualValues(t, most, worst.Load())
		require.Positive(t, s.JoinsRefused)
		require.Greater(t, s.JoinsWaited, uint64(100))
		require.Greater(t, ran.Load(), int64(50))
		idleAdmission(t, e)
	})
}
