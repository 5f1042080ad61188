package presence

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkMemory tells what one presence of another replica costs, beyond its
// key and meta: B/presence (12 bytes of key and 64 of meta not counted).
func BenchmarkMemory(b *testing.B) {
	for _, room := range []int{4, 100, 10_000} {
		b.Run(fmt.Sprintf("room=%d", room), func(b *testing.B) {
			const presences = 100_000
			meta := []byte(`{"color":"red","name":"somebody","status":"available","n":123456}`)
			require.Len(b, meta, 65)
			for b.Loop() {
				owner, now := newTestReplica("eu")
				watcher, _ := newTestReplica("us")
				now = now.Add(time.Second)
				owner.Tick(now) // a heartbeat
				for _, op := range owner.Ready().Ops {
					watcher.Receive(now, op.Data)
				}
				watcher.Ready()
				topics := presences / room
				var deltas [][]byte
				for t := range topics {
					topic := fmt.Sprint("room:", t)
					require.NoError(b, owner.Acquire(now, topic, false))
					for i := range room {
						_, err := owner.Track(now, topic, fmt.Sprintf("user %07d", i), meta)
						require.NoError(b, err)
					}
					for _, op := range owner.Ready().Ops {
						if op.Kind == OpPublish {
							deltas = append(deltas, op.Data)
						}
					}
				}
				before := heap()
				for t := range topics {
					require.NoError(b, watcher.Acquire(now, fmt.Sprint("room:", t), false))
				}
				// The views are empty and synced: a first delta from 0 starts them.
				for t := range topics {
					for _, v := range watcher.topics[fmt.Sprint("room:", t)].views {
						watcher.receiveReply(v.t, v.m, topicPart{topic: v.t.name, nonce: v.nonce, chunks: 1, delta: delta{To: 0}})
					}
				}
				for _, data := range deltas {
					watcher.Receive(now, data)
				}
				watcher.Ready()
				after := heap()
				require.Equal(b, room, watcher.Count("room:0").Sessions)
				b.ReportMetric(float64(after-before)/presences-12-65, "B/presence")
				runtime.KeepAlive(owner)
				runtime.KeepAlive(deltas)
			}
		})
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
