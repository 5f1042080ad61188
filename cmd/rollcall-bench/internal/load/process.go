package load

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of CPU times in /proc: 1/100 s on every architecture of
// Linux that Go supports.
const clockTick = 10 * time.Millisecond

// usage is the CPU time and memory of processes. known is false if they cannot be
// read.
type usage struct {
	known    bool
	cpu      time.Duration
	resident int64 // bytes
	peak     int64 // bytes, the sum of the peaks of each
}

// usageOf returns the sum over processes. Without any it is unknown.
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

// cpuOf parses user and system time from /proc/PID/stat: fields 14 and 15. Field 2
// is a name in parentheses that may contain any character.
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

// kibOf returns the value of "name 123 kB" in /proc/PID/status, in bytes.
func kibOf(status []byte, name string) int64 {
	for line := range strings.Lines(string(status)) {
		if fields := strings.Fields(line); len(fields) > 1 && fields[0] == name {
			n, _ := strconv.ParseInt(fields[1], 10, 64)
			return n << 10
		}
	}
	return 0
}

// maxFiles returns the open-file limit of this process and its children, or a large
// number if the limit cannot be read.
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
