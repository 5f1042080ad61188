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
		all := map[string][]*waiter{} // who waits, in order
		passed := map[string]int{}    // turns of others since the topic's last, or since it waits
		size := 0
		for range 500 {
			topic := fmt.Sprint(random.IntN(random.IntN(topics) + 1)) // some have storms
			switch random.IntN(5) {
			case 0, 1, 2:
				m := &member{topic: topic}
				w := q.wait(m, limit)
				full := size >= limit || len(all[topic]) >= limit/2
				require.Equal(t, full, w == nil)
				if w != nil {
					if len(all[topic]) == 0 {
						passed[topic] = 0
					}
					all[topic] = append(all[topic], w)
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
				w := q.next()
				require.Equal(t, size == 0, w == nil)
				if w == nil {
					continue
				}
				topic = w.member.topic
				require.Same(t, all[topic][0], w)
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
