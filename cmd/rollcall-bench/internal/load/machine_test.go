package load

import (
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestStolenTimeIsAPercentageOfAllTime(t *testing.T) {
	before, ok := processorsOf([]byte("cpu  100 1 50 800 9 0 40 7 60 0\ncpu0 100 1 50 800 9 0 40 7 60 0\nintr 5\n"))
	require.True(t, ok)
	require.Equal(t, processors{all: 1007, stolen: 7}, before, "guests are in user")
	after, ok := processorsOf([]byte("cpu 150 1 60 820 9 0 40 27"))
	require.True(t, ok)
	require.Equal(t, 20.0, after.stolenSince(before))
	require.Equal(t, 0.0, processors{all: 10}.stolenSince(processors{}))
}

func TestStolenTimeIsUnknownIfItCannotBeComputed(t *testing.T) {
	for _, stat := range []string{"", "cpu", "cpu0 1 2 3 4 5 6 7 8", "cpu 1 2 3 4 5 6 7", "cpu 1 2 3 4 5 6 7 x", "cpu 1 2 3 4 5 6 7 -8", "cpu 1 2 3\n4 5 6 7 8", "cpu 18446744073709551615 1 0 0 0 0 0 0"} {
		_, ok := processorsOf([]byte(stat))
		require.False(t, ok, stat)
	}
	before := processors{all: 100, stolen: 10}
	for _, after := range []processors{before, {all: 90, stolen: 10}, {all: 200, stolen: 9}, {all: 101, stolen: 12}} {
		require.True(t, math.IsNaN(after.stolenSince(before)), after)
	}
}

func FuzzStolenTime(f *testing.F) {
	f.Add([]byte("cpu  100 1 50 800 9 0 40 7 60 0\n"), []byte("cpu  150 1 60 820 9 0 40 27 60 0\n"))
	f.Add([]byte("cpu 0 0 0 0 0 0 0 0"), []byte("cpu 0 0 0 0 0 0 0 18446744073709551615"))
	f.Fuzz(func(t *testing.T, a, b []byte) {
		before, ok1 := processorsOf(a)
		after, ok2 := processorsOf(b)
		require.GreaterOrEqual(t, before.all, before.stolen)
		require.GreaterOrEqual(t, after.all, after.stolen)
		if !ok1 || !ok2 {
			return
		}
		if percent := after.stolenSince(before); !math.IsNaN(percent) {
			require.GreaterOrEqual(t, percent, 0.0)
			require.LessOrEqual(t, percent, 100.0)
		}
	})
}

func TestStolenTimeAboveTheLimitIsAWarning(t *testing.T) {
	for _, test := range []struct {
		machine       Machine
		text, warning string
	}{
		{Machine{CPUs: 2, Stolen: math.NaN()}, "2 CPUs", ""},
		{Machine{CPUs: 1, Stolen: 0}, "1 CPU, of whose time the host took 0.0%", ""},
		{Machine{CPUs: 2, Stolen: 5}, "2 CPUs, of whose time the host took 5.0%", ""},
		{Machine{CPUs: 2, Stolen: 7.26}, "2 CPUs, of whose time the host took 7.3%", "the host took 7% of the processor time during the run: the figures are unreliable, repeat it"},
	} {
		require.Equal(t, test.text, test.machine.String())
		require.Equal(t, test.warning, test.machine.Warning())
	}
}

func TestMachineIsReadFromProc(t *testing.T) {
	told := watchMachine()
	require.Positive(t, told().CPUs)
	_, ok := readProcessors()
	require.Equal(t, runtime.GOOS == "linux", ok)
}
