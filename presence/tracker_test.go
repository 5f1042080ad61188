package presence_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// start runs a replica for the length of the test.
func start(t *testing.T, name string, b bus.Bus) *presence.Tracker {
	t.Helper()
	return startWith(t, presence.Config{Name: name, Bus: b})
}

func startWith(t *testing.T, cfg presence.Config) *presence.Tracker {
	t.Helper()
	tracker, err := presence.Start(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, tracker.Close(context.Background())) })
	return tracker
}

// here is a list in short: "alice=red,bob=blue".
func here(l *presence.List) string {
	var parts []string
	for _, p := range l.Presences {
		for _, m := range p.Metas {
			var v struct{ Color string }
			if err := m.Decode(&v); err != nil {
				panic(err)
			}
			parts = append(parts, p.Key+"="+v.Color)
		}
	}
	return strings.Join(parts, ",")
}

func color(c string) map[string]string { return map[string]string{"color": c} }

// folded is a watcher that folds what it is told, and fails on a double join or
// an orphan leave.
type folded struct {
	t        *testing.T
	metas    map[string]presence.Meta // by ref
	keys     map[string]string
	complete bool
	diffs    int
}

func watch(t *testing.T, tracker *presence.Tracker, topic string) *folded {
	t.Helper()
	f := &folded{t: t}
	w, err := tracker.Watch(topic, f.handle)
	require.NoError(t, err)
	t.Cleanup(w.Stop)
	return f
}

func (f *folded) handle(e presence.Event) {
	f.complete = e.Complete
	if e.State != nil {
		f.metas, f.keys = map[string]presence.Meta{}, map[string]string{}
		f.apply(presence.Diff{Joins: e.State.Presences})
		return
	}
	if !e.Diff.Empty() {
		f.diffs++
	}
	f.apply(e.Diff)
}

func (f *folded) apply(d presence.Diff) {
	for _, p := range d.Leaves {
		for _, m := range p.Metas {
			if _, held := f.metas[m.Ref]; !held {
				f.t.Errorf("orphan leave of %s %s", p.Key, m.Ref)
			}
			delete(f.metas, m.Ref)
			delete(f.keys, m.Ref)
		}
	}
	for _, p := range d.Joins {
		for _, m := range p.Metas {
			if _, held := f.metas[m.Ref]; held {
				f.t.Errorf("double join of %s %s", p.Key, m.Ref)
			}
			f.metas[m.Ref], f.keys[m.Ref] = m, p.Key
		}
	}
}

// requireEqual compares the folded diffs with the list.
func (f *folded) requireEqual(l *presence.List) {
	f.t.Helper()
	synctest.Wait()
	n := 0
	for _, p := range l.Presences {
		for _, m := range p.Metas {
			n++
			require.Equal(f.t, m, f.metas[m.Ref])
			require.Equal(f.t, p.Key, f.keys[m.Ref])
		}
	}
	require.Len(f.t, f.metas, n)
}

func TestOwnWritesAreVisibleAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := start(t, "eu", membus.New().Bus())
		s := tracker.NewSession()
		ref, err := s.Track("room", "alice", color("red"))
		require.NoError(t, err)
		require.Equal(t, "alice=red", here(tracker.Peek("room")))

		ref2, err := s.Update("room", "alice", presence.Replace(color("blue")))
		require.NoError(t, err)
		require.NotEqual(t, ref, ref2)
		p, ok := tracker.Get("room", "alice")
		require.True(t, ok)
		require.Equal(t, []presence.Meta{{Ref: ref2, PrevRef: ref, Data: []byte(`{"color":"blue"}`)}}, p.Metas)
		require.LessOrEqual(t, len(ref2), 20)

		require.NoError(t, s.Untrack("room", "alice"))
		require.NoError(t, s.Untrack("room", "alice"), "a second untrack is fine")
		require.Empty(t, here(tracker.Peek("room")))
	})
}

func TestMistakesOfCallersAreErrorsThatChangeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := start(t, "eu", membus.New().Bus())
		s := tracker.NewSession()
		_, err := s.Track("room", "alice", color("red"))
		require.NoError(t, err)
		before := tracker.Peek("room")

		_, err = s.Track("room", "alice", nil)
		require.ErrorIs(t, err, presence.ErrAlreadyTracked)
		_, err = s.Track("room", "bob", []int{1})
		require.ErrorIs(t, err, presence.ErrMetaNotObject)
		_, err = s.Track("room", "bob", map[string]string{"x": strings.Repeat("x", 2<<20)})
		require.ErrorIs(t, err, presence.ErrMetaTooLarge)
		_, err = s.Track("", "bob", nil)
		require.ErrorIs(t, err, presence.ErrTopicInvalid)
		_, err = s.Track("room", "b\xff", nil)
		require.ErrorIs(t, err, presence.ErrKeyInvalid)
		_, err = s.Update("room", "bob", presence.Replace(nil))
		require.ErrorIs(t, err, presence.ErrNotTracked)
		_, err = tracker.NewSession().Update("room", "alice", presence.Replace(nil))
		require.ErrorIs(t, err, presence.ErrNotTracked, "another session's presence cannot be changed")
		_, err = s.Update("room", "alice", presence.Func(func(presence.Meta) (any, error) { return nil, fmt.Errorf("no") }))
		require.EqualError(t, err, `update "alice" in "room": no`)
		require.Panics(t, func() {
			_, _ = s.Update("room", "alice", presence.Func(func(presence.Meta) (any, error) { panic("boom") }))
		})
		require.Same(t, before, tracker.Peek("room"))

		s.Close()
		_, err = s.Track("room", "bob", nil)
		require.ErrorIs(t, err, presence.ErrSessionClosed)
	})
}

func TestPatchKeepsOtherFieldsAndReplaceDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := start(t, "eu", membus.New().Bus())
		s := tracker.NewSession()
		_, err := s.Track("room", "alice", map[string]any{"color": "red", "points": 3, "phx_ref": "forged"})
		require.NoError(t, err)
		data := func() string {
			p, _ := tracker.Get("room", "alice")
			return string(p.Metas[0].Data)
		}
		require.JSONEq(t, `{"color":"red","points":3}`, data(), "the refs are ours to set")
		_, err = s.Update("room", "alice", presence.Patch(map[string]any{"points": nil, "seat": 1}))
		require.NoError(t, err)
		require.JSONEq(t, `{"color":"red","seat":1}`, data())
		_, err = s.Update("room", "alice", presence.Func(func(m presence.Meta) (any, error) {
			require.NotEmpty(t, m.Ref)
			return map[string]any{"seat": 2}, nil
		}))
		require.NoError(t, err)
		require.JSONEq(t, `{"seat":2}`, data())
	})
}

func TestReplicasSeeEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		eu, us, ap := start(t, "eu", net.Bus()), start(t, "us", net.Bus()), start(t, "ap", net.Bus())
		time.Sleep(2 * time.Second)
		s := eu.NewSession()
		_, err := s.Track("room", "alice", color("red"))
		require.NoError(t, err)

		began := time.Now()
		list, err := us.List(t.Context(), "room")
		require.NoError(t, err)
		require.True(t, list.Complete)
		require.Equal(t, "alice=red", here(list))
		require.Less(t, time.Since(began), 20*time.Millisecond)

		f := watch(t, ap, "room")
		synctest.Wait()
		for _, c := range []string{"blue", "green"} {
			_, err = s.Update("room", "alice", presence.Replace(color(c)))
			require.NoError(t, err)
		}
		time.Sleep(20 * time.Millisecond)
		for _, tracker := range []*presence.Tracker{eu, us, ap} {
			require.Equal(t, "alice=green", here(tracker.Peek("room")))
			require.JSONEq(t, string(eu.Peek("room").JSON()), string(tracker.Peek("room").JSON()))
		}
		f.requireEqual(ap.Peek("room"))

		count, err := us.Count(t.Context(), "room")
		require.NoError(t, err)
		require.Equal(t, presence.Count{Keys: 1, Sessions: 1, Complete: true}, count)
		s2 := us.NewSession()
		_, err = s2.Track("room", "alice", color("black"))
		require.NoError(t, err)
		count, err = us.Count(t.Context(), "room")
		require.NoError(t, err)
		require.Equal(t, presence.Count{Keys: 1, Sessions: 2, Complete: true}, count)

		s.Close()
		time.Sleep(20 * time.Millisecond)
		require.Equal(t, "alice=black", here(ap.Peek("room")))
		f.requireEqual(ap.Peek("room"))
	})
}

func TestAFreshReplicaIsCompleteWithinASecondAndNotBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		eu := start(t, "eu", net.Bus())
		s := eu.NewSession()
		for i := range 200 {
			_, err := s.Track("room", fmt.Sprintf("user %03d", i), nil)
			require.NoError(t, err)
		}
		time.Sleep(time.Minute)
		us := start(t, "us", net.Bus())
		f := watch(t, us, "room")
		began := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		list, err := us.List(ctx, "room")
		require.NoError(t, err)
		require.Len(t, list.Presences, 200)
		require.Less(t, time.Since(began), time.Second)
		synctest.Wait()
		require.True(t, f.complete)
		f.requireEqual(list)
	})
}

func TestListSaysWhenItIsIncomplete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		us := start(t, "us", membus.New().Bus())
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		list, err := us.List(ctx, "room")
		require.NoError(t, err)
		require.False(t, list.Complete, "others may not have been heard yet")
	})
}

func TestAGracefulStopIsSeenAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		eu, err := presence.Start(t.Context(), presence.Config{Name: "eu", Bus: net.Bus()})
		require.NoError(t, err)
		us := start(t, "us", net.Bus())
		time.Sleep(2 * time.Second)
		_, err = eu.NewSession().Track("room", "alice", color("red"))
		require.NoError(t, err)
		f := watch(t, us, "room")
		time.Sleep(time.Second)
		require.Equal(t, "alice=red", here(us.Peek("room")))
		require.NoError(t, eu.Close(t.Context()))
		synctest.Wait()
		require.Empty(t, here(us.Peek("room")))
		f.requireEqual(us.Peek("room"))
		_, err = eu.NewSession().Track("room", "alice", nil)
		require.ErrorIs(t, err, presence.ErrSessionClosed)
	})
}

// A killed replica's bus vanishes: the network knows that nobody is there.
func TestAKilledReplicaIsGoneWithinThreeSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		killed := net.Bus()
		eu := start(t, "eu", killed)
		us := start(t, "us", net.Bus())
		time.Sleep(2500 * time.Millisecond)
		_, err := eu.NewSession().Track("room", "alice", color("red"))
		require.NoError(t, err)
		f := watch(t, us, "room")
		time.Sleep(time.Second)
		killed.Disconnect()
		time.Sleep(2900 * time.Millisecond)
		require.Empty(t, here(us.Peek("room")))
		f.requireEqual(us.Peek("room"))

		killed.Reconnect()
		time.Sleep(2 * time.Second)
		require.Equal(t, "alice=red", here(us.Peek("room")), "it comes back with what it had")
		f.requireEqual(us.Peek("room"))
	})
}

func TestARestartedReplicaReplacesItsFormerSelf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		killed := net.Bus()
		old := start(t, "eu", killed)
		us := start(t, "us", net.Bus())
		f := watch(t, us, "room")
		time.Sleep(2 * time.Second)
		_, err := old.NewSession().Track("room", "alice", color("red"))
		require.NoError(t, err)
		time.Sleep(time.Second)
		killed.Disconnect()
		fresh := start(t, "eu", net.Bus())
		_, err = fresh.NewSession().Track("room", "bob", color("blue"))
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.Equal(t, "bob=blue", here(us.Peek("room")))
		f.requireEqual(us.Peek("room"))
	})
}

func TestNobodyLeavesBecauseWeAreCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		ours := net.Bus()
		eu, us := start(t, "eu", net.Bus()), start(t, "us", ours)
		time.Sleep(2 * time.Second)
		s := eu.NewSession()
		_, err := s.Track("room", "alice", color("red"))
		require.NoError(t, err)
		f := watch(t, us, "room")
		time.Sleep(time.Second)
		synctest.Wait()
		diffs := f.diffs
		ours.Disconnect()
		time.Sleep(20 * time.Second)
		require.Equal(t, "alice=red", here(us.Peek("room")))
		_, err = s.Update("room", "alice", presence.Replace(color("blue")))
		require.NoError(t, err)
		ours.Reconnect()
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Equal(t, "alice=blue", here(us.Peek("room")))
		require.Equal(t, diffs+1, f.diffs, "the net difference and nothing else")
		f.requireEqual(us.Peek("room"))

		ours.Disconnect()
		time.Sleep(40 * time.Second)
		require.Empty(t, here(us.Peek("room")), "beyond IsolatedPeriod the others are down")
		ours.Reconnect()
		time.Sleep(3 * time.Second)
		require.Equal(t, "alice=blue", here(us.Peek("room")))
		f.requireEqual(us.Peek("room"))
	})
}

func TestATopicThatNobodyUsesIsForgottenEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		eu, us := start(t, "eu", net.Bus()), start(t, "us", net.Bus())
		time.Sleep(2 * time.Second)
		s := eu.NewSession()
		_, err := s.Track("room", "alice", color("red"))
		require.NoError(t, err)
		_, err = us.List(t.Context(), "room")
		require.NoError(t, err)
		time.Sleep(25 * time.Second)
		require.Equal(t, "alice=red", here(us.Peek("room")), "it lingers")
		time.Sleep(10 * time.Second)
		require.Empty(t, here(us.Peek("room")))

		list, err := us.List(t.Context(), "room")
		require.NoError(t, err)
		require.Equal(t, "alice=red", here(list), "and is asked for again")

		s.Close()
		time.Sleep(time.Minute)
		_, err = eu.NewSession().Track("room", "bob", color("blue"))
		require.NoError(t, err)
		list, err = us.List(t.Context(), "room")
		require.NoError(t, err)
		require.Equal(t, "bob=blue", here(list), "its second life")
	})
}

func TestAWatcherMayStopItselfAndRefreshes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tracker := start(t, "eu", membus.New().Bus())
		s := tracker.NewSession()
		var events []presence.Event
		var w *presence.Watch
		w, err := tracker.Watch("room", func(e presence.Event) {
			events = append(events, e)
			if len(events) == 3 {
				w.Stop()
			}
		})
		require.NoError(t, err)
		_, err = s.Track("room", "alice", color("red"))
		require.NoError(t, err)
		w.Refresh()
		_, err = s.Track("room", "bob", color("red"))
		require.NoError(t, err)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, events, 3)
		require.Empty(t, events[0].State.Presences)
		require.Equal(t, "alice", events[1].Diff.Joins[0].Key)
		require.Equal(t, "alice=red", here(events[2].State))
	})
}

func TestAnAdoptedPresenceIsUpdatedAndHasAnotherSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := membus.New()
		eu, us := start(t, "eu", network.Bus()), start(t, "us", network.Bus())
		time.Sleep(5 * time.Second)
		f := watch(t, us, "room")
		old, s := eu.NewSession(), eu.NewSession()
		was, err := old.Track("room", "alice", color("red"))
		require.NoError(t, err)
		time.Sleep(time.Second)
		synctest.Wait()
		diffs := f.diffs

		_, err = s.Adopt(old, "room", "bob", nil)
		require.ErrorIs(t, err, presence.ErrNotTracked)
		_, err = s.Adopt(old, "room", "alice", []int{})
		require.ErrorIs(t, err, presence.ErrMetaNotObject)
		_, err = us.NewSession().Adopt(old, "room", "alice", nil)
		require.ErrorIs(t, err, presence.ErrNotTracked, "a replica never changes another one's")
		require.Equal(t, []presence.Held{{Topic: "room", Key: "alice", Ref: was}}, old.Held())

		is, err := s.Adopt(old, "room", "alice", color("blue"))
		require.NoError(t, err)
		require.Empty(t, old.Held())
		require.Equal(t, []presence.Held{{Topic: "room", Key: "alice", Ref: is}}, s.Held())
		p, _ := eu.Get("room", "alice")
		require.Equal(t, was, p.Metas[0].PrevRef)
		old.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, diffs+1, f.diffs, "one diff, and the end of the old session is none")
		require.Equal(t, "alice=blue", here(us.Peek("room")))

		third := eu.NewSession()
		_, err = third.Track("room", "alice", nil)
		require.NoError(t, err)
		_, err = third.Adopt(s, "room", "alice", nil)
		require.ErrorIs(t, err, presence.ErrAlreadyTracked)
		_, err = old.Adopt(s, "room", "alice", nil)
		require.ErrorIs(t, err, presence.ErrSessionClosed)
		_, err = s.Update("room", "alice", presence.Replace(color("green")))
		require.NoError(t, err)
		s.Close()
		third.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		require.Empty(t, us.Peek("room").Presences)
	})
}

func TestSessionsThatAdoptFromEachOtherDoNotLockUp(t *testing.T) {
	tracker := start(t, "eu", membus.New().Bus())
	sessions := []*presence.Session{tracker.NewSession(), tracker.NewSession()}
	for i, s := range sessions {
		for n := range 50 {
			_, err := s.Track("room", fmt.Sprint(i, n), nil)
			require.NoError(t, err)
		}
	}
	var both sync.WaitGroup
	for i, s := range sessions {
		both.Go(func() {
			for n := range 50 {
				if _, err := s.Adopt(sessions[1-i], "room", fmt.Sprint(1-i, n), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	both.Wait()
	require.Len(t, sessions[0].Held(), 50)
	require.Len(t, tracker.Peek("room").Presences, 100)
}
