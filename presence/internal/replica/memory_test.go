package replica

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// BenchmarkMemory tells what presences cost that joined, 20 at a time, on another
// replica (remote) or on this one (own), with a key of 12 bytes and a meta of 65:
// the heap in use for one presence, with all that its topic costs here, and what
// of it is beyond key and meta.
func BenchmarkMemory(b *testing.B) {
	for _, presences := range []int{100_000, 1_000_000} {
		for _, room := range []int{4, 100, 10_000} {
			b.Run(fmt.Sprintf("presences=%d/room=%d", presences, room), func(b *testing.B) {
				for b.Loop() {
					remote, own := memoryOf(b, presences, room)
					b.ReportMetric(remote, "remote-B")
					b.ReportMetric(remote-12-float64(len(presentMeta)), "remote-B-beyond")
					b.ReportMetric(own-12, "own-B-beyond") // all have the same meta
				}
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// memoryOf returns bytes a presence: what becomes free with each replica.
func memoryOf(b *testing.B, presences, room int) (remote, own float64) {
	p := newPair(b, nil)
	for topic := range presences / room {
		require.NoError(b, p.us.Acquire(p.now, topicOf(topic), false))
	}
	p.pass(time.Second) // it asks, and is told that nobody is there
	p.fill(b, p.eu, presences, room, 20)
	p.pass(pruneAfter + time.Second) // until nothing of the joins is left to be done
	require.Equal(b, presences, p.us.byName[0].entries)

	both := heap()
	p.us = nil
	owner := heap()
	p.eu = nil
	neither := heap()
	n := float64(presences)
	return float64(both-owner) / n, float64(owner-neither) / n
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
