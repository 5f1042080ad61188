package presencetest

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// failure is a schedule that broke an invariant.
type failure struct {
	Seed uint64
	Err  error // what was wrong
	// Script is the schedule up to there, as a script: saved under
	// testdata/presence, it fails in the same way.
	Script string
}

func (f *failure) Error() string {
	return fmt.Sprintf("seed %d: %v\n%s", f.Seed, f.Err, f.Script)
}

func (f *failure) Unwrap() error { return f.Err }

// schedule runs one random schedule: three to five replicas, sometimes two of
// one name, six topics, mirrors in every other one, and steps random calls and faults with random pauses
// between them; the safety invariants are checked after each. Then all faults
// end, and after a virtual minute and a half everything must be right
// everywhere. The error is a [*failure].
func schedule(seed uint64, steps int) error {
	y := newStory(seed)
	err := y.run(steps)
	if err == nil {
		return nil
	}
	return &failure{Seed: seed, Err: err, Script: asScript(err, shrink(y.lines, err))}
}

// story makes up a schedule, command by command, and carries it out.
type story struct {
	*script
	choose *rand.Rand
	names  []string
	topics []string
	// mirrors: replicas become mirrors, and stop to be.
	mirrors bool
	lines   []string // done so far
}

func newStory(seed uint64) *story {
	y := &story{
		script: newScript(),
		choose: rand.New(rand.NewPCG(seed, 1)),
		topics: []string{"t1", "t2", "t3", "t4", "t5", "t6"},
	}
	y.names = []string{"eu", "us", "ap", "sa", "af"}[:3+y.choose.IntN(3)]
	labels := slices.Clone(y.names)
	if y.oneIn(4) {
		y.names = append(slices.Clone(y.names), "twin")
		labels = append(labels, "twin=eu")
	}
	y.mirrors = y.oneIn(2)
	y.tell("seed %d", seed)
	switch y.choose.IntN(4) {
	case 0:
		y.tell("set linger 2s")
	case 1:
		y.tell("set linger 100ms")
	}
	if y.oneIn(4) {
		y.tell("set permdown 60s")
	}
	if y.oneIn(3) {
		y.tell("set payload %d", leastPayload)
	}
	if y.oneIn(3) { // a rolling upgrade that has begun
		labels[y.choose.IntN(len(y.names))] += "@1"
	}
	y.tell("start %s", strings.Join(labels, " "))
	return y
}

func (y *story) oneIn(n int) bool { return y.choose.IntN(n) == 0 }

// tell carries out a command, unless an invariant is broken already.
func (y *story) tell(format string, args ...any) {
	if y.violation != nil {
		return
	}
	line := fmt.Sprintf(format, args...)
	y.lines = append(y.lines, line)
	if err := perform(y.script, line); err != nil {
		panic(fmt.Sprintf("presencetest: %s: %v", line, err))
	}
}

// perform is s.do, and takes a panic for a violation.
func perform(s *script, line string) error {
	defer func() {
		if p := recover(); p != nil {
			s.violated(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	return s.do(line)
}

// run is the whole story. It returns the first violation.
func (y *story) run(steps int) error {
	pauses := []time.Duration{
		0, 0, time.Millisecond, time.Millisecond, 20 * time.Millisecond, 20 * time.Millisecond,
		300 * time.Millisecond, 300 * time.Millisecond, 300 * time.Millisecond, 2 * time.Second, 2 * time.Second, 9 * time.Second,
	}
	for step := 0; step < steps && y.violation == nil; step++ {
		h := y.c.hosts[y.choose.IntN(len(y.c.hosts))]
		if !h.running && !y.oneIn(3) {
			if h.wire != 0 && y.oneIn(2) {
				y.tell("upgrade %s", h.name)
			}
			y.tell("restart %s %dh", h.name, y.choose.IntN(3)-1)
		}
		if h.running && !h.paused {
			y.act(h, y.topics[y.choose.IntN(len(y.topics))])
		}
		y.disturb(h, y.c.hosts[y.choose.IntN(len(y.c.hosts))])
		y.freeTraps()
		pause := pauses[y.choose.IntN(len(pauses))]
		if y.oneIn(60) {
			pause = 25 * time.Second
		}
		y.tell("wait %v", pause)
	}
	for len(y.c.traps) > 0 && y.violation == nil {
		y.free(y.c.traps[0], "release")
	}
	y.tell("heal")
	y.tell("wait 15s")
	y.tell("gone")
	for range 8 {
		y.tell("wait 10s")
	}
	y.tell("live")
	y.tell("quiet")
	return y.violation
}

// act is something that a user of the replica does.
func (y *story) act(h *host, topic string) {
	var e owned
	if n := len(h.entries); n > 0 {
		e = h.entries[y.choose.IntN(n)]
	}
	switch what := y.choose.IntN(16); {
	case what < 6:
		y.tell("%s track %s u%d", h.name, topic, y.choose.IntN(5))
	case what < 8 && e.topic != "":
		y.tell("%s update %s %s", h.name, e.topic, e.key)
	case what < 11 && e.topic != "":
		y.tell("%s untrack %s %s", h.name, e.topic, e.key)
	case what == 11:
		// Many at once, who do not fit into one message where those are small.
		many := 0
		for _, e := range h.entries {
			if e.topic == topic && e.key[0] == 'g' {
				many++
			}
		}
		switch many {
		case 0:
			y.tell("%s track %s g*12", h.name, topic)
		case 12:
			y.tell("%s untrack %s g*12", h.name, topic)
		}
	case what < 14:
		y.tell("%s watch %s", h.name, topic)
	case what == 14 && y.mirrors && h.mirror == nil && y.oneIn(2):
		y.tell("%s mirror", h.name)
	case what == 15 && h.mirror != nil && y.oneIn(2):
		y.tell("%s unmirror", h.name)
	case h.watches[topic] != nil:
		y.tell("%s unwatch %s", h.name, topic)
	}
}

// disturb is something that happens to the cluster, now and then.
func (y *story) disturb(h, other *host) {
	is := func(now bool, command string) {
		if now {
			y.tell("%s %s", command, h.name)
		}
	}
	cut := y.c.isCut(h, other)
	switch y.choose.IntN(40) {
	case 0, 1:
		y.tell("faults")
	case 2:
		y.tell("faults loss=0.3")
	case 3:
		y.tell("faults loss=0.1 repeat=0.2 delay=400ms reorder")
	case 4:
		y.tell("faults repeat=0.1 delay=4s reorder")
	case 5, 6, 7, 8:
		if cut {
			y.tell("uncut %s %s", h.name, other.name)
		} else if y.oneIn(2) {
			y.tell("cut %s %s", h.name, other.name)
		}
	case 9:
		is(h.running && !h.paused, "pause")
	case 10, 11:
		is(h.paused, "resume")
	case 12:
		is(h.running && !h.outage, "outage")
	case 13, 14:
		is(h.outage, "reconnect")
	case 15:
		is(!h.unplugged, "unplug")
	case 16, 17:
		is(h.unplugged, "plug")
	case 18:
		is(!h.hidden, "hide")
	case 19, 20:
		is(h.hidden, "unhide")
	case 21:
		is(h.running && !h.paused, "shed")
	case 22, 23:
		is(h.running, "kill")
	case 24:
		is(h.running && !h.paused, "leave")
	case 25, 26, 27:
		y.trap(h, other)
	}
}

// trap takes messages out of the network, for a late arrival or none.
//
// Tips alone are only kept for a while: a delta that is lost with both its tips,
// and no heartbeat, is found by the background comparison, which takes some
// minutes.
func (y *story) trap(from, to *host) {
	kinds := []string{"", "delta", "heartbeat", "sync", "reply", "tip"}
	kind := kinds[y.choose.IntN(len(kinds))]
	switch y.choose.IntN(3) {
	case 0:
		y.tell("%s", strings.TrimSpace(fmt.Sprintf("hold %s %s %s", from.name, to.name, kind)))
	case 1:
		y.tell("%s", strings.TrimSpace(fmt.Sprintf("copy %s %s %s", from.name, to.name, kind)))
	case 2:
		y.tell("lose %s %s %s %d", from.name, to.name, kinds[1+y.choose.IntN(4)], 1+y.choose.IntN(3))
	}
}

// mostLate is how late a message may be: replicas forget who is gone after twice
// the PermdownPeriod, which is 60 s here at the least.
const mostLate = 60 * time.Second

// freeTraps ends some traps: what they hold arrives, or does not.
func (y *story) freeTraps() {
	for len(y.c.traps) > 0 && y.c.at-y.c.traps[0].since > mostLate && y.violation == nil {
		y.free(y.c.traps[0], "release")
	}
	if len(y.c.traps) == 0 || !y.oneIn(8) {
		return
	}
	commands := []string{"discard", "stop", "release", "release"}
	y.free(y.c.traps[y.choose.IntN(len(y.c.traps))], commands[y.choose.IntN(len(commands))])
}

// free does something with all traps that are where t is.
func (y *story) free(t *trap, command string) {
	tips := func(other *trap) bool {
		return other.from == t.from && other.to == t.to && other.kind == "tip" && !other.copies
	}
	if command == "discard" && slices.ContainsFunc(y.c.traps, tips) {
		command = "release"
	}
	y.tell("%s %s %s", command, t.from, t.to)
}
