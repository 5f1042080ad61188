package admit

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// In any sequence of arrivals, withdrawals and turns: each join is served once, joins
// of a topic are served in order of arrival, a topic waits for at most one turn of
// each other topic, and the limits hold.
func TestQueueIsFair(t *testing.T) {
	const limit, topics = 40, 5
	for seed := range uint64(200) {
		random := rand.New(rand.NewPCG(seed, 1))
		q := &queue{}
		all := map[string][]*entry{} // joins that wait, in order of arrival
		topicOf := map[*entry]string{}
		passed := map[string]int{} // turns of others since the topic's last, or since it waits
		size := 0
		for range 500 {
			topic := fmt.Sprint(random.IntN(random.IntN(topics) + 1)) // some have storms
			switch random.IntN(5) {
			case 0, 1, 2:
				e := &entry{}
				full := size >= limit || len(all[topic]) >= limit/2
				require.Equal(t, !full, q.wait(e, topic, limit))
				if !full {
					if len(all[topic]) == 0 {
						passed[topic] = 0
					}
					all[topic] = append(all[topic], e)
					topicOf[e] = topic
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
				e := q.next()
				require.Equal(t, size == 0, e == nil)
				if e == nil {
					continue
				}
				topic = topicOf[e]
				require.Same(t, all[topic][0], e)
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
