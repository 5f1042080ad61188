package channel

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// Whatever comes and goes: nobody who waits is forgotten or served twice, of one
// topic who came first is first, a topic has a turn after at most one of each
// other, and the bounds hold.
func TestJoinQueueIsFair(t *testing.T) {
	const limit, topics = 40, 5
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		q := &joinQueue{}
		all := map[string][]*joiner{} // who waits, in order
		passed := map[string]int{}    // turns of others since the topic's last, or since it waits
		size := 0
		for range 500 {
			topic := fmt.Sprint(random.IntN(random.IntN(topics) + 1)) // some have storms
			switch random.IntN(5) {
			case 0, 1, 2:
				j := newJoiner(&member{topic: topic})
				full := size >= limit || len(all[topic]) >= limit/2
				require.Equal(t, !full, q.wait(j, limit))
				if !full {
					if len(all[topic]) == 0 {
						passed[topic] = 0
					}
					all[topic] = append(all[topic], j)
					size++
				}
			case 3:
				if n := len(all[topic]); n > 0 {
					i := random.IntN(n)
					q.remove(all[topic][i])
					all[topic] = append(all[topic][:i:i], all[topic][i+1:]...)
					size--
				}
			case 4:
				j := q.next()
				require.Equal(t, size == 0, j == nil)
				if j == nil {
					continue
				}
				topic = j.member.topic
				require.Same(t, all[topic][0], j)
				all[topic] = all[topic][1:]
				size--
				for other := range passed {
					passed[other]++
				}
				passed[topic] = 0
				for other, waiting := range all {
					if len(waiting) > 0 {
						require.Less(t, passed[other], topics)
					}
				}
			}
			require.Equal(t, size, q.waiting)
			require.Equal(t, size == 0, q.idle())
		}
		for q.next() != nil {
			size--
		}
		require.Zero(t, size)
		require.Empty(t, q.lines)
	}
}

func TestSoManyRunAndFewOfThemAreFresh(t *testing.T) {
	for _, c := range []struct {
		running, fresh int
		may            bool
	}{{0, 0, true}, {2, 1, true}, {2, 2, false}, {3, 0, false}, {3, 2, false}} {
		q := &joinQueue{running: c.running, fresh: c.fresh}
		require.Equal(t, c.may, q.may(3, 2), "%+v", c)
	}
}

// Of one topic some leave before the one whose joiner its line is in, and some
// after.
func TestALineOutlivesWhoBeganIt(t *testing.T) {
	q := &joinQueue{}
	var all []*joiner
	for range 4 {
		j := newJoiner(&member{topic: "a"})
		require.True(t, q.wait(j, 10))
		all = append(all, j)
	}
	require.Same(t, all[0], q.next())
	q.remove(all[2])
	require.Same(t, all[1], q.next())
	require.Same(t, all[3], q.next())
	require.Nil(t, q.next())
	require.Empty(t, q.lines)
}

func TestWaitingAllocatesNothing(t *testing.T) {
	q := &joinQueue{}
	wait := func(j *joiner) {
		if !q.wait(j, 10) {
			t.Fatal("no place")
		}
	}
	a1, a2, b := newJoiner(&member{topic: "a"}), newJoiner(&member{topic: "a"}), newJoiner(&member{topic: "b"})
	require.Zero(t, testing.AllocsPerRun(100, func() {
		wait(a1)
		wait(a2)
		wait(b)
		q.next()
		q.remove(a2)
		q.next()
	}))
	require.True(t, q.idle())
}
