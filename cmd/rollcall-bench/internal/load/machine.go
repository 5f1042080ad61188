package load

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"runtime"
	"strconv"
	"strings"
)

// Machine is what a reader has to know of the machine to trust a figure.
type Machine struct {
	// CPUs is how many processors this process may use, and the servers that are
	// started here: all of the machine's, or fewer in a container.
	CPUs int
	// Stolen is which part of the machine's processor time its host gave to others
	// while all was measured, in percent; NaN where it is not known. On a machine
	// that is not virtual it is 0.
	Stolen float64
}

// trusted is how many percent may be stolen: with more, the same run was seen to
// take up to twice as long.
const trusted = 5.0

// Warning says that the figures cannot be trusted, and why; it is empty where
// nothing is known against them.
func (m Machine) Warning() string {
	if !(m.Stolen > trusted) {
		return ""
	}
	return fmt.Sprintf("the host took %.0f%% of the processors' time meanwhile: repeat", m.Stolen)
}

func (m Machine) String() string {
	text := fmt.Sprintf("%d CPUs", m.CPUs)
	if m.CPUs == 1 {
		text = "1 CPU"
	}
	if !math.IsNaN(m.Stolen) {
		text += fmt.Sprintf(", of whose time the host took %.1f%%", m.Stolen)
	}
	return text
}

func (m Machine) cells() []Cell {
	return []Cell{cell("cpus", "CPUs", 0, float64(m.CPUs)), cell("stolen_percent", "% stolen", 1, m.Stolen)}
}

// processors are the times of all processors of the machine, since it began, in
// ticks.
type processors struct {
	all    uint64 // idle or not
	stolen uint64 // they were wanted, and the host ran something else
}

// readProcessors is false where they cannot be read.
func readProcessors() (processors, bool) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return processors{}, false
	}
	return processorsOf(stat)
}

// processorsOf reads the line "cpu" of /proc/stat: user, nice, system, idle, iowait,
// irq, softirq and steal. What follows, the time of guests, is in user and nice.
func processorsOf(stat []byte) (p processors, ok bool) {
	line, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := strings.Fields(string(line))
	if len(fields) < 9 || fields[0] != "cpu" {
		return processors{}, false
	}
	for _, text := range fields[1:9] {
		ticks, err := strconv.ParseUint(text, 10, 64)
		if err != nil || ticks > math.MaxUint64-p.all {
			return processors{}, false
		}
		p.all += ticks
		p.stolen = ticks // that of the last
	}
	return p, true
}

// stolenSince is how many percent of the time since before were stolen. Where no
// time has passed, or a clock has gone back, as they may when a virtual machine
// moves to another host, it is not known.
func (p processors) stolenSince(before processors) float64 {
	if p.all <= before.all || p.stolen < before.stolen || p.stolen-before.stolen > p.all-before.all {
		return math.NaN()
	}
	return float64(p.stolen-before.stolen) / float64(p.all-before.all) * 100
}

// watchMachine begins to measure what is stolen; the function tells.
func watchMachine() func() Machine {
	before, ok1 := readProcessors()
	return func() Machine {
		m := Machine{CPUs: runtime.GOMAXPROCS(0), Stolen: math.NaN()}
		if after, ok2 := readProcessors(); ok1 && ok2 {
			m.Stolen = after.stolenSince(before)
		}
		return m
	}
}
