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

// Machine describes the machine, as far as it affects the figures.
type Machine struct {
	// CPUs is the number of processors that this process and its servers may use:
	// all of the machine's, or fewer in a container.
	CPUs int
	// Stolen is the percentage of processor time that the host of a virtual machine
	// gave to others during the run. It is 0 on a physical machine, and NaN if
	// unknown.
	Stolen float64
}

// trusted is the highest acceptable Stolen. Above it, runs took up to twice as long.
const trusted = 5.0

// Warning says why the figures are unreliable. It is empty if they are not known to
// be.
func (m Machine) Warning() string {
	if !(m.Stolen > trusted) {
		return ""
	}
	return fmt.Sprintf("the host took %.0f%% of the processor time during the run: the figures are unreliable, repeat it", m.Stolen)
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

// processors is the time of all processors since boot, in ticks.
type processors struct {
	all    uint64 // busy and idle
	stolen uint64 // the host ran something else although they were wanted
}

// readProcessors reads /proc/stat. It returns false if that is not possible.
func readProcessors() (processors, bool) {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return processors{}, false
	}
	return processorsOf(stat)
}

// processorsOf parses the line "cpu" of /proc/stat: user, nice, system, idle, iowait,
// irq, softirq and steal. Guest time follows, but is included in user and nice.
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
		p.stolen = ticks // steal is the last
	}
	return p, true
}

// stolenSince returns the percentage stolen since before. It returns NaN if no time
// has passed or a counter has decreased, which can happen when a virtual machine
// migrates to another host.
func (p processors) stolenSince(before processors) float64 {
	if p.all <= before.all || p.stolen < before.stolen || p.stolen-before.stolen > p.all-before.all {
		return math.NaN()
	}
	return float64(p.stolen-before.stolen) / float64(p.all-before.all) * 100
}

// watchMachine starts measuring stolen time and returns a function that reports it.
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
