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
	require.Zero(t, a.arrivals)
	require.Zero(t, a.fresh)
	require.False(t, a.lateness.isSet)
	require.False(t, a.tiring.isSet)
	require.Zero(t, a.running)
	require.Equal(t, joinQueue{lines: a.spare.lines}, *a.spare)
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

// What uses no processor for its patience leaves the next one its turn.
func TestFewJoinsOfARouteAreFreshAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{MaxJoinsRunning: 5})
		e.admission.few = 2
		storm(t, e, slowJoins(&tr), "a", "b", "c", "d", "e", "f", "apart:a")
		require.Equal(t, []string{"0s a", "0s b", "0s apart:a"}, tr.take(), "another route does not wait")
		require.Equal(t, Stats{JoinsRunning: 3, JoinsWaiting: 4, JoinsWaited: 4}, joinStats(e))
		time.Sleep(500 * time.Millisecond)
		next := tr.take()
		require.Len(t, next, 3)
		require.ElementsMatch(t, []string{"1ms c", "1ms d"}, next[:2])
		require.Equal(t, []string{"2ms e"}, next[2:], "and no more than run")
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"1s f"}, tr.take())
		idleAdmission(t, e)
	})
}

func TestAJoinThatEndsSoonerMakesRoomForAFreshOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		began := time.Now()
		h := handlerOf(script{join: func(s *Socket, _ Payload) (any, error) {
			tr.add("%v %s", time.Since(began), s.Topic())
			time.Sleep(300 * time.Microsecond)
			return nil, nil
		}})
		e := startOne(t, Config{})
		e.admission.few = 1
		storm(t, e, h, "a", "b", "c", "d", "e")
		time.Sleep(time.Second)
		require.Equal(t, []string{"0s a", "300µs b", "600µs c", "900µs d", "1.2ms e"}, tr.take())
		idleAdmission(t, e)
	})
}

// One that comes when those who are fresh have been so for longer than any
// patience, though nobody waited for its end.
func TestWhoComesAfterAllPatienceDoesNotWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{})
		e.admission.few = 1
		h := slowJoins(&tr)
		storm(t, e, h, "a")
		time.Sleep(patienceBusy)
		storm(t, e, h, "b")
		time.Sleep(patienceBusy - 1)
		storm(t, e, h, "c")
		require.Equal(t, []string{"0s a", "10ms b"}, tr.take())
		require.EqualValues(t, 1, e.Stats().JoinsWaited)
		time.Sleep(2 * time.Second)
		require.Len(t, tr.take(), 1)
		idleAdmission(t, e)
	})
}

// A database that takes 50 ms for each of 1,000: with all of MaxJoinsRunning at
// once 200 ms, and in turns of 4, a millisecond each, 300 ms.
func TestSlowJoinsDoNotHoldUpEachOther(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var in atomic.Int64
		done := make(chan time.Time, 1)
		h := handlerOf(script{join: func(*Socket, Payload) (any, error) {
			time.Sleep(50 * time.Millisecond)
			if in.Add(1) == 1000 {
				done <- time.Now()
			}
			return nil, nil
		}})
		e := startOne(t, Config{})
		e.admission.few = 4
		began := time.Now()
		for i := range 1000 {
			connect(t, e, h, "").send(joinText(fmt.Sprint("t", i%10)))
		}
		require.LessOrEqual(t, (<-done).Sub(began), 300*time.Millisecond)
		idleAdmission(t, e)
	})
}

// An alarm that rings late tells that who has lasted may only wait for a processor.
func TestWhereProcessorsAreShortPatienceIsLonger(t *testing.T) {
	for _, c := range []struct {
		late  int // so many alarms
		began string
	}{{0, "1ms b"}, {1, "2ms b"}, {5, "6ms b"}, {9, "10ms b"}, {20, "10ms b"}} {
		bubble(t, func(t *testing.T) {
			var tr trace
			e := startOne(t, Config{})
			a := &e.admission
			a.few = 1
			storm(t, e, slowJoins(&tr), "a", "b")
			for range c.late {
				a.mu.Lock()
				a.tiring.due = a.tiring.due.Add(-onTime - 1)
				a.mu.Unlock()
				time.Sleep(time.Millisecond)
				synctest.Wait()
			}
			time.Sleep(3 * time.Second)
			require.Equal(t, []string{"0s a", c.began}, tr.take(), c.late)
			idleAdmission(t, e)
		})
	}
}

// Who gives way is fresh meanwhile, so that few do it at a time, and its patience
// has not begun.
func TestWhoHadToWaitGivesWayBeforeItsPatienceBegins(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{})
		h := slowJoins(&tr)
		e.admission.few = 1
		e.admission.giveWay = func() {
			require.True(t, e.admission.mu.TryLock(), "no lock is held")
			e.admission.mu.Unlock()
			e.mu.Lock()
			for c := range e.conns {
				require.True(t, c.mu.TryLock())
				c.mu.Unlock()
			}
			e.mu.Unlock()
			tr.add("way")
			time.Sleep(20 * time.Millisecond)
		}
		storm(t, e, h, "a", "b", "c")
		time.Sleep(100 * time.Millisecond)
		require.Equal(t, []string{"0s a", "way", "21ms b", "way", "42ms c"}, tr.take())
		time.Sleep(2 * time.Second)
		idleAdmission(t, e)
	})
}

// A storm is to end before many are refused: it makes pauses for others only as
// long as nobody has waited for a fifth of JoinWait.
func TestWhoHadToWaitForLongMakesNoPause(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{MaxJoinsRunning: 1, JoinWait: 10 * time.Second})
		e.admission.giveWay = func() {
			tr.add("way")
			time.Sleep(20 * time.Millisecond)
		}
		storm(t, e, slowJoins(&tr), "a", "b", "c", "d")
		time.Sleep(5 * time.Second)
		require.Equal(t, []string{"0s a", "way", "1.02s b", "2.02s c", "3.02s d"}, tr.take())
		idleAdmission(t, e)
	})
}

func TestAJoinWhoseConnectionEndsWhileItGivesWayIsNotCalled(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{})
		e.admission.few = 1
		e.admission.giveWay = func() { time.Sleep(20 * time.Millisecond) }
		clients := storm(t, e, slowJoins(&tr), "a", "b", "c")
		time.Sleep(10 * time.Millisecond)
		clients[1].drop()
		time.Sleep(2 * time.Second)
		require.Equal(t, []string{"0s a", "41ms c"}, tr.take())
		idleAdmission(t, e)
	})
}

// As one does whose mailbox overflows before it has begun.
func TestAJoinThatEndsBeforeItGivesWayMakesRoom(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		a := &e.admission
		a.few = 1
		route := &Route{}
		var members [3]*member
		for i := range members {
			members[i] = &member{route: route, topic: "a"}
			members[i].box.init(&e.running, 1, 1, true, nil)
			a.enter(members[i])
		}
		second := members[1].joiner
		for _, m := range members {
			a.leave(m)
		}
		require.Equal(t, turnOver, members[2].turn)
		require.Nil(t, second.member, "a line that began with it may still be there")
		idleAdmission(t, e)
	})
}

// What is allocated for a join is so before admission's lock is taken.
func TestAJoinAllocatesItsJoinerOnly(t *testing.T) {
	e := startOne(t, Config{})
	e.running.Add(1) // as they do
	defer e.running.Done()
	a := &e.admission
	a.few = 1
	route := &Route{}
	var members [3]*member
	for i := range members {
		members[i] = &member{route: route, topic: fmt.Sprint("t", i)}
		members[i].box.init(&e.running, 1, 1, true, nil)
	}
	require.EqualValues(t, len(members), testing.AllocsPerRun(100, func() {
		for _, m := range members {
			a.enter(m)
		}
		for _, m := range members {
			a.leave(m)
		}
	}))
}

// That few are fresh takes no place from those who wait for the others.
func TestWhoWaitsToBeFreshTakesNoPlaceOfTheWaiting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var tr trace
		e := startOne(t, Config{MaxJoinsRunning: 3, MaxJoinsWaiting: 2})
		e.admission.few = 1
		h := slowJoins(&tr)
		storm(t, e, h, "a", "b", "c", "d", "e", "f")
		require.Equal(t, Stats{JoinsRunning: 1, JoinsWaiting: 4, JoinsWaited: 4, JoinsRefused: 1}, joinStats(e))
		time.Sleep(500 * time.Millisecond)
		storm(t, e, h, "g")
		require.Equal(t, Stats{JoinsRunning: 3, JoinsWaiting: 2, JoinsWaited: 4, JoinsRefused: 2}, joinStats(e))
		time.Sleep(3 * time.Second)
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
		time.Sleep(1500 * time.Microsecond)
		ran.Add(1)
		running.Add(-1)
		return nil, nil
	}})
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{MaxJoinsRunning: most, MaxJoinsWaiting: 200, JoinWait: 20 * time.Millisecond})
		e.admission.few = most - 1 // so that it takes patience to come to the bound
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
