package replica

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What was emptied last need not stand at the highest number: its last change may
// have been on the way for longer. The watermark is of all that was pruned.
func TestTheWatermarkNeverFalls(t *testing.T) {
	r, now := newTestReplica("us")
	beat := uint64(1)
	pass := func(d time.Duration) {
		for end := now.Add(d); now.Before(end); {
			now = now.Add(100 * time.Millisecond)
			r.Tick(now)
			if beat++; beat%10 == 0 {
				r.receive(beatOf("eu", 5, beat/10+1))
			}
		}
	}
	r.receive(beatOf("eu", 5, 1))
	tell := func(k kind, topic string, d delta) {
		part := topicPart{topic: topic, delta: d, chunks: 1}
		if k == kindReply {
			v := r.peers["eu"].views[r.topics[topic]]
			if part.nonce = v.nonce; v.synced {
				part.nonce = v.recon
			}
		}
		r.receive(message{kind: k, name: "eu", epoch: 5, birth: 5, parts: []topicPart{part}})
	}
	add := func(dot uint64) []entry {
		return []entry{{Dot: dot, Origin: dot, Key: "k", Value: value{meta: []byte("{}")}}}
	}
	for _, topic := range []string{"hall", "room"} {
		require.NoError(t, r.Acquire(now, topic, false))
		for range 2 { // it asks again, should a question have overtaken its interest
			pass(time.Second)
			tell(kindReply, topic, delta{})
		}
	}
	tell(kindDelta, "hall", delta{To: 1, Adds: add(1)})
	tell(kindDelta, "room", delta{To: 3, Adds: add(3)})
	require.Equal(t, 2, r.peers["eu"].entries)
	tell(kindDelta, "room", delta{From: 3, Base: 3, To: 5, Rems: []uint64{3}})
	pass(300 * time.Millisecond)
	tell(kindDelta, "hall", delta{From: 1, Base: 1, To: 2, Rems: []uint64{1}}) // late
	require.Zero(t, r.peers["eu"].entries)
	pass(pruneAfter + time.Second)
	require.Empty(t, r.peers["eu"].views, "both are pruned")
	tell(kindDelta, "room", delta{To: 4, Adds: add(3)}) // what somebody else was answered, say: late
	require.Empty(t, list(r, "room"))
}
