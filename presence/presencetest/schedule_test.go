package presencetest

import (
	"flag"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	schedules = flag.Uint64("schedules", 150, "how many random schedules TestSim runs")
	firstSeed = flag.Uint64("seed", 0, "the seed of the first one")
)

// A schedule that fails prints its seed: go test -run TestSim -seed S -schedules 1.
func TestSim(t *testing.T) {
	var next atomic.Uint64
	next.Store(*firstSeed)
	var workers sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for !t.Failed() {
				seed := next.Add(1) - 1
				if seed >= *firstSeed+*schedules {
					return
				}
				if err := Schedule(seed, 200); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
}
