package presencetest

import (
	"flag"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	schedules = flag.Uint64("schedules", 200, "how many random schedules TestSim runs")
	firstSeed = flag.Uint64("seed", 0, "the seed of the first one")
)

// A schedule that fails prints itself as a script. With its seed it runs again:
// go test -run TestSim -seed S -schedules 1. What was run is logged: see make sim.
func TestSim(t *testing.T) {
	const steps = 200
	began, cpus := time.Now(), runtime.GOMAXPROCS(0)
	// A schedule is small and makes much garbage, all of which goes with it.
	defer debug.SetGCPercent(debug.SetGCPercent(800))
	var next atomic.Uint64
	next.Store(*firstSeed)
	var workers sync.WaitGroup
	for range cpus {
		workers.Go(func() {
			for !t.Failed() {
				seed := next.Add(1) - 1
				if seed >= *firstSeed+*schedules {
					return
				}
				if err := schedule(seed, steps); err != nil {
					t.Error(err)
				}
			}
		})
	}
	workers.Wait()
	if t.Failed() {
		return
	}
	took := time.Since(began)
	t.Logf("%d schedules of %d steps without a violation, seeds %d to %d: %.1f s on %d CPUs, %.0f in ten minutes",
		*schedules, steps, *firstSeed, *firstSeed+*schedules-1, took.Seconds(), cpus, float64(*schedules)/took.Minutes()*10)
}

// The commands of a schedule, carried out one by one as a script does, make
// exactly what it made: so that the script of a failure fails in the same way.
func TestAScheduleIsItsScript(t *testing.T) {
	for seed := range uint64(20) {
		y := newStory(seed)
		require.NoError(t, y.run(200))
		s := newScript()
		s.loud = true
		for _, line := range y.lines {
			require.NoError(t, s.do(line), line)
		}
		require.Equal(t, y.c.mail.n, s.c.mail.n, "messages")
		require.Equal(t, y.c.random.Uint64(), s.c.random.Uint64(), "chances taken")
		require.NotContains(t, s.out.String(), "VIOLATED")
	}
}

// A failure is shortened to the commands that it takes, and these are a script.
func TestAFailureIsShortened(t *testing.T) {
	lines := []string{
		"seed 3", "start eu us", "eu track t1 alice", "us watch t1", "wait 1s", "wait 1s", "pause us",
		"eu track t2 bob", "wait 20s", "resume us", "kill eu", "live", "wait 5s",
	}
	done, err := play(lines)
	require.ErrorContains(t, err, "L3: us still shows eu")
	require.Equal(t, "live", done[len(done)-1])
	short := shrink(done, err)
	require.Equal(t, []string{"seed 3", "start eu us", "wait 20s", "kill eu", "live"}, short)
	require.Equal(t, "# L3: us still shows eu\nrun\nseed 3\nstart eu us\nwait 20s\nkill eu\nlive\n----\n", asScript(err, short))
}
