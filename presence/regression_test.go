package presence_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// These are mistakes that trackers before this one made; testdata/regressions.txt
// at the root has them all.

func TestATrackerOfShortVisitsCountsNobodyInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		eu, us := start(t, "eu", net.Bus()), start(t, "us", net.Bus())
		f := watch(t, us, "room")
		time.Sleep(2 * time.Second)
		for i := range 1000 {
			s := eu.NewSession()
			key := fmt.Sprint("u", i%7)
			_, err := s.Track("room", key, nil)
			require.NoError(t, err)
			if i%2 == 0 {
				time.Sleep(time.Duration(i%13) * time.Millisecond)
			}
			_, err = s.Update("room", key, presence.Replace(color("red")))
			require.NoError(t, err)
			if i%3 == 0 {
				time.Sleep(time.Duration(i%11) * time.Millisecond)
			}
			s.Close()
		}
		time.Sleep(50 * time.Millisecond)
		count, err := us.Count(t.Context(), "room")
		require.NoError(t, err)
		require.Equal(t, presence.Count{Complete: true}, count)
		f.requireEqual(us.Peek("room"))
		require.NotZero(t, f.diffs)
		require.Zero(t, us.Status().Replicas[0].Presences)
	})
}

func TestTheLastUpdateBeforeAnExitIsInTheLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		eu, us := start(t, "eu", net.Bus()), start(t, "us", net.Bus())
		var left []presence.Presence
		w, err := us.Watch("room", func(e presence.Event) { left = append(left, e.Diff.Leaves...) })
		require.NoError(t, err)
		defer w.Stop()
		time.Sleep(2 * time.Second)
		s := eu.NewSession()
		_, err = s.Track("room", "alice", color("red"))
		require.NoError(t, err)
		time.Sleep(time.Second)
		ref, err := s.Update("room", "alice", presence.Replace(color("blue")))
		require.NoError(t, err)
		time.Sleep(time.Second)
		synctest.Wait()
		left = nil
		s.Close()
		time.Sleep(time.Second)
		synctest.Wait()
		require.Len(t, left, 1)
		require.Equal(t, ref, left[0].Metas[0].Ref)
		require.JSONEq(t, `{"color":"blue"}`, string(left[0].Metas[0].Data))
	})
}

func TestNobodyChangesWhatAnotherReplicaHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		eu, us := start(t, "eu", net.Bus()), start(t, "us", net.Bus())
		time.Sleep(2 * time.Second)
		_, err := eu.NewSession().Track("room", "alice", color("red"))
		require.NoError(t, err)
		list, err := us.List(t.Context(), "room")
		require.NoError(t, err)
		require.Equal(t, "alice=red", here(list))
		s := us.NewSession()
		_, err = s.Update("room", "alice", presence.Replace(color("black")))
		require.ErrorIs(t, err, presence.ErrNotTracked)
		require.NoError(t, s.Untrack("room", "alice"), "there is nothing of this session")
		s.Close()
		time.Sleep(time.Second)
		require.Equal(t, "alice=red", here(us.Peek("room")))
		require.Equal(t, "alice=red", here(eu.Peek("room")))
	})
}

// What a replica remembers of others does not grow with how often they start, nor
// with how often topics are followed.
func TestTenThousandVisitsAndRestartsLeaveNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := membus.New()
		us := start(t, "us", net.Bus())
		time.Sleep(2 * time.Second)
		for i := range 10_000 {
			w, err := us.Watch(fmt.Sprint("room", i), func(presence.Event) {})
			require.NoError(t, err)
			w.Stop()
		}
		time.Sleep(time.Minute)
		require.Zero(t, us.Status().Topics)

		f := watch(t, us, "room")
		for i := range 300 {
			eu, err := presence.Start(context.Background(), presence.Config{Name: "eu", Bus: net.Bus()})
			require.NoError(t, err)
			_, err = eu.NewSession().Track("room", fmt.Sprint("u", i), nil)
			require.NoError(t, err)
			time.Sleep(500 * time.Millisecond)
			require.NoError(t, eu.Close(context.Background()))
			time.Sleep(10 * time.Millisecond)
		}
		require.Empty(t, us.Status().Replicas)
		require.Empty(t, us.Peek("room").Presences)
		f.requireEqual(us.Peek("room"))
	})
}
