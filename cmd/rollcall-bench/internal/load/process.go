package load

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc. Linux has shown 1/100 s there on
// every architecture for as long as Go runs on it.
const clockTick = 10 * time.Millisecond

// usage is what processes have used so far, or use now. known is false where it
// cannot be read.
type usage struct {
	known    bool
	cpu      time.Duration
	resident int64 // bytes
	peak     int64 // bytes, the largest resident of each, summed up
}

// usageOf sums up what processes use. Without any it is unknown.
func usageOf(pids []int) usage {
	u := usage{known: len(pids) > 0}
	for _, pid := range pids {
		stat, err1 := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		status, err2 := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		cpu, ok := cpuOf(stat)
		if err1 != nil || err2 != nil || !ok {
			return usage{}
		}
		u.cpu += cpu
		u.resident += kibOf(status, "VmRSS:")
		u.peak += kibOf(status, "VmHWM:")
	}
	return u
}

// cpuOf reads user and system time from /proc/PID/stat: fields 14 and 15, where
// field 2 is a name in parentheses that may hold anything.
func cpuOf(stat []byte) (time.Duration, bool) {
	end := bytes.LastIndexByte(stat, ')')
	if end < 0 {
		return 0, false
	}
	fields := strings.Fields(string(stat[end+1:]))
	if len(fields) < 13 {
		return 0, false
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	return time.Duration(user+system) * clockTick, err1 == nil && err2 == nil
}

// kibOf reads "name 123 kB" from /proc/PID/status, in bytes.
func kibOf(status []byte, name string) int64 {
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// maxFiles is how many files this process may have open, and a child of it.
// Where it cannot be read it is said to be many.
func maxFiles() int {
	limits, _ := os.ReadFile("/proc/self/limits")
	for line := range strings.Lines(string(limits)) {
		if rest, ok := strings.CutPrefix(line, "Max open files"); ok {
			if n, err := strconv.Atoi(strings.Fields(rest)[0]); err == nil {
				return n
			}
		}
	}
	return 1 << 30
}
