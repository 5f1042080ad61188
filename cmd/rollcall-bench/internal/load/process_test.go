package load

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestCPUOfAProcessWithAnOddName(t *testing.T) {
	cpu, ok := cpuOf([]byte("42 (a) b (c)) S 1 2 3 4 5 6 7 8 9 10 150 50 0 0 20 0 9 0 1 2 3"))
	require.True(t, ok)
	require.Equal(t, 2*time.Second, cpu)
	for _, stat := range []string{"", "42 (a", "42 (a) S 1 2", "42 (a) S 1 2 3 4 5 6 7 8 9 10 x 50 0"} {
		_, ok := cpuOf([]byte(stat))
		require.False(t, ok, stat)
	}
}

func TestMemoryOfAProcess(t *testing.T) {
	status := []byte("Name:\tx\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\n")
	require.EqualValues(t, 1<<20, kibOf(status, "VmRSS:"))
	require.EqualValues(t, 2<<20, kibOf(status, "VmHWM:"))
	require.Zero(t, kibOf(status, "VmSwap:"))
}

func TestUsageOfNoProcessIsUnknown(t *testing.T) {
	require.False(t, usageOf(nil).known)
	require.False(t, usageOf([]int{1 << 30}).known)
}
