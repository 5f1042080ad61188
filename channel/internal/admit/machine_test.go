package admit

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// sim is a machine in virtual time. Joins have names; the topic of a name is the name
// without its digits.
type sim struct {
	machine machine
	now     time.Time
	joins   map[string]*Join
	names   map[*Join]string
	cooling []coolingUntil // in order of their ends
	out     strings.Builder
}

type coolingUntil struct {
	queue *queue
	until time.Time
}

func newSim(limits Limits) *sim {
	return &sim{
		machine: machine{limits: limits, queues: map[any]*queue{}},
		now:     began, joins: map[string]*Join{}, names: map[*Join]string{},
	}
}

var began = time.Unix(0, 0)

var stateNames = []string{"", "waits", "runs", "ended", "crowded", "late", "withdrawn"}

func (s *sim) enter(name, queue string) {
	j := &Join{}
	s.joins[name], s.names[j] = j, name
	s.tell(s.machine.enter(&entry{join: j}, queue, strings.TrimRight(name, "0123456789"), s.now))
	if j.state == Waiting {
		fmt.Fprintf(&s.out, "%v %s waits\n", s.now.Sub(began), name)
	}
}

func (s *sim) end(name string) {
	released, slot := s.machine.end(s.joins[name], s.now)
	s.tell(released)
	if slot.pause > 0 {
		s.cooling = append(s.cooling, coolingUntil{slot.queue, s.now.Add(slot.pause)})
		slices.SortStableFunc(s.cooling, func(a, b coolingUntil) int { return a.until.Compare(b.until) })
	}
}

// advance lets time pass, with the timers that are due.
func (s *sim) advance(d time.Duration) {
	end := s.now.Add(d)
	for {
		due, cooled := s.machine.next(), false
		if len(s.cooling) > 0 && (due.IsZero() || s.cooling[0].until.Before(due)) {
			due, cooled = s.cooling[0].until, true
		}
		if due.IsZero() || due.After(end) {
			s.now = end
			return
		}
		if due.After(s.now) { // else it is late
			s.now = due
		}
		if cooled {
			q := s.cooling[0].queue
			s.cooling = s.cooling[1:]
			s.tell(s.machine.cooled(q, s.now))
		} else {
			s.tell(s.machine.tick(s.now))
		}
	}
}

func (s *sim) tell(released []*entry) {
	for _, e := range released {
		fmt.Fprintf(&s.out, "%v %s %s\n", s.now.Sub(began), s.names[e.join], stateNames[e.join.state])
	}
}

// TestStories runs the stories of testdata. Commands:
//
//	new [running=N] [slots=N] [waiting=N] [wait=DURATION]   a machine, at time 0
//	enter [queue=KEY] NAME...                               joins enter; a1 and a2 are of topic a
//	end NAME..., withdraw NAME...
//	advance DURATION                                        time passes, with the timers that are due
//	stall DURATION                                          time passes, and timers are late
//
// and the output is what became of which join when, and what is left: how many joins run
// and wait, how many slots are held, how many cool down and until when the first does, and
// when the next tick is due.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		var s *sim
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			var names []string
			for _, arg := range d.CmdArgs {
				if len(arg.Vals) == 0 {
					names = append(names, arg.Key)
				}
			}
			arg := func(name, value string) string {
				d.MaybeScanArgs(t, name, &value)
				return value
			}
			number := func(name string, value int) int {
				d.MaybeScanArgs(t, name, &value)
				return value
			}
			length := func(text string) time.Duration {
				l, err := time.ParseDuration(text)
				require.NoError(t, err)
				return l
			}
			switch d.Cmd {
			case "new":
				s = newSim(Limits{number("running", 100), number("slots", 100), number("waiting", 100), length(arg("wait", "1h"))})
				return ""
			case "enter":
				for _, name := range names {
					s.enter(name, arg("queue", ""))
				}
			case "end":
				for _, name := range names {
					s.end(name)
				}
			case "withdraw":
				for _, name := range names {
					s.tell(s.machine.withdraw(s.joins[name]))
				}
			case "advance":
				s.advance(length(names[0]))
			case "stall":
				s.now = s.now.Add(length(names[0]))
			default:
				t.Fatalf("unknown command %q", d.Cmd)
			}
			return s.take()
		})
	})
}

// take returns what was told, and what is left.
func (s *sim) take() string {
	m := &s.machine
	c := m.counts()
	fmt.Fprintf(&s.out, "running %d, waiting %d", c.Running, c.Waiting)
	if n := m.slots.Len(); n > 0 {
		fmt.Fprintf(&s.out, ", slots %d", n)
	}
	if n := len(s.cooling); n > 0 {
		fmt.Fprintf(&s.out, ", cooling %d until %v", n, s.cooling[0].until.Sub(began))
	}
	if c.Waited > 0 || c.Refused > 0 {
		fmt.Fprintf(&s.out, "; waited %d, refused %d", c.Waited, c.Refused)
	}
	if due := m.next(); !due.IsZero() {
		fmt.Fprintf(&s.out, "; tick at %v", due.Sub(began))
	}
	defer s.out.Reset()
	return s.out.String() + "\n"
}

// Whatever is done in whichever order: no queue exceeds its limits, and none keeps a join
// from running without a cause that a tick ends; each join is released once; and once all
// have ended the machine is empty.
func TestMachineKeepsItsLimitsAndLosesNoJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{Running: rapid.IntRange(1, 4).Draw(t, "running"), Slots: rapid.IntRange(1, 4).Draw(t, "slots"), Waiting: 6, Wait: 20 * time.Millisecond}
		s := newSim(limits)
		m := &s.machine
		in := func(states ...State) (names []string) {
			for name, j := range s.joins {
				if slices.Contains(states, j.state) {
					names = append(names, name)
				}
			}
			slices.Sort(names)
			return names
		}
		pick := func(t *rapid.T, s State) string {
			names := in(s)
			if len(names) == 0 {
				t.Skip("none")
			}
			return rapid.SampledFrom(names).Draw(t, "name")
		}
		pass := func(t *rapid.T) {
			s.advance(time.Duration(rapid.IntRange(1, 1500).Draw(t, "us")) * time.Microsecond)
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				topic := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "topic")
				s.enter(fmt.Sprint(topic, len(s.joins)), rapid.SampledFrom([]string{"x", "y"}).Draw(t, "queue"))
			},
			"end":      func(t *rapid.T) { s.end(pick(t, Running)) },
			"withdraw": func(t *rapid.T) { s.tell(m.withdraw(s.joins[pick(t, Waiting)])) },
			"pass":     pass,
			"": func(t *rapid.T) {
				for _, q := range m.queues {
					require.False(t, q.idle())
					require.LessOrEqual(t, q.running, limits.Running)
					require.LessOrEqual(t, q.slots, limits.Slots)
					require.LessOrEqual(t, q.waiting, limits.Waiting+limits.Running)
					require.False(t, q.waiting > 0 && m.admits(q), "nothing waits for nothing")
				}
				require.Equal(t, m.counts().Waiting, len(in(Waiting)))
				require.Equal(t, m.counts().Running, len(in(Running)))
				require.Equal(t, m.counts().Waiting > 0, !m.next().IsZero())
			},
		})
		for i := 0; len(in(Waiting, Running)) > 0; i++ {
			require.Less(t, i, 1000)
			for _, name := range in(Running) {
				s.end(name)
			}
			s.advance(time.Millisecond)
		}
		s.advance(time.Second)
		require.Empty(t, m.queues)
		require.Zero(t, m.arrivals.Len()+m.slots.Len())
		for name := range s.joins {
			released := strings.Count(s.out.String(), " "+name+" ") - strings.Count(s.out.String(), " "+name+" waits\n")
			require.Equal(t, 1, released, name)
		}
	})
}

// A database takes 50 ms for each of 1,000 joins. Four begin each millisecond, so the last
// one ends after 300 ms.
func TestSlowJoinsDoNotDelayEachOther(t *testing.T) {
	const length = 50 * time.Millisecond
	s := newSim(Limits{Running: 256, Slots: 4, Waiting: 20_000, Wait: 5 * time.Second})
	for i := range 1000 {
		s.enter(fmt.Sprint(string(rune('a'+i%10)), i), "")
	}
	ended := 0
	for ; ended < 1000; s.advance(time.Millisecond) {
		for _, j := range s.joins {
			if j.state == Running && s.now.Sub(j.entry.since) >= length {
				s.end(s.names[j])
				ended++
			}
		}
	}
	require.LessOrEqual(t, s.now.Sub(began), 301*time.Millisecond)
}
