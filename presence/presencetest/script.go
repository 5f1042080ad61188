package presencetest

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
)

// RunScript runs a script of the datadriven format on a cluster: directives
// named "run", whose input is one command a line, and whose output is what the
// watchers were told and what became of replicas, each under its command. With
// -rewrite the output is recorded.
//
//	seed 4711                     what the next start's chances depend on; 1 at first
//	set linger 2s                 a setting of the next start: linger, permdown, payload
//	start eu us@1 ...             begins a cluster of these replicas; us is held at
//	                              version 1 of the wire format until upgrade us
//	eu watch room                 eu watches a topic; unwatch ends it
//	eu track room alice           also untrack, update; alice*50 is fifty of them
//	eu mirror                     eu watches all topics; unmirror ends it
//	list eu room                  who is there as eu sees it
//	topics eu                     where eu knows of somebody, and whether that is all
//	wait 2s                       time passes
//	faults loss=0.1 repeat=0.2 delay=1s reorder
//	                              how messages fare from now on; none without words
//	hold eu us [kind]             messages from eu to us wait; of a kind: delta,
//	                              tip, heartbeat, sync, reply, probe, alive, nack, leave,
//	                              syncall, page
//	copy eu us [kind]             they are delivered, and a copy of each waits
//	lose eu us kind 2             the second message of this kind from now on is lost
//	payload 2000                  the most bytes of a message; before anything large
//	stop eu us                    no more are kept from now on
//	release eu us                 what was kept arrives now; discard eu us: never
//	cut eu us                     everything from eu to us is lost; uncut ends it
//	cut eu eu                     eu does not hear itself: its bus brings nothing
//	outage eu, reconnect eu       eu's bus goes, and comes back
//	unplug eu, plug eu            the same, and eu is told of neither
//	shed eu                       half of what is on its way to eu is lost, which eu is told
//	hide eu, unhide eu            a route to eu is being reset, which eu is not told
//	pause eu, resume eu           SIGSTOP and SIGCONT
//	kill eu, leave eu             the end, without a word or with one
//	restart eu [-1h]              a new process, its clock off by so much
//	upgrade eu                    its next process speaks the newest version
//	answers eu                    how often eu answered who was behind
//	settings eu buckets=8         a new process, on a bus with these settings
//	heal                          all faults end
//	gone                          what must hold 15 s after that
//	live                          what must hold when all is quiet
//	quiet                         that nothing is sent then but heartbeats and comparisons
//
// After every command the invariants are checked; a violation is part of the
// output, and fails the test.
func RunScript(t *testing.T, path string) {
	t.Helper()
	Script{}.Run(t, path)
}

// Script runs scripts in which a program that relies on presence takes part.
type Script struct {
	// Commands are commands of a replica beyond those of RunScript: "eu vote 5"
	// calls Commands["vote"]. They cannot replace those of RunScript.
	Commands map[string]Command
	// Start, which may be nil, is told of the cluster that each "start" begins.
	Start func(*Cluster)
}

// Command carries out a command that a script gives to a running replica. What
// it returns is put out, indented, with a line of its own for each; an error says
// that the script is wrong, and ends the test.
type Command func(c *Cluster, replica string, args []string) (told []string, err error)

// Run is RunScript with the commands of x.
func (x Script) Run(t *testing.T, path string) {
	t.Helper()
	s := newScript()
	s.loud, s.more = true, x
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		if d.Cmd != "run" {
			d.Fatalf(t, "unknown directive %q", d.Cmd)
		}
		s.out.Reset()
		for line := range strings.Lines(d.Input) {
			if strings.TrimSpace(line) == "" || strings.HasPrefix(line, "#") {
				continue
			}
			fmt.Fprintf(&s.out, "> %s\n", strings.TrimSpace(line))
			if err := s.do(line); err != nil {
				d.Fatalf(t, "%s: %v", strings.TrimSpace(line), err)
			}
			if s.violation != nil {
				t.Errorf("violated: %v", s.violation)
				s.violation = nil
			}
		}
		return s.out.String()
	})
}

// script carries out commands, one after the other.
type script struct {
	more      Script
	setup     Setup // of the next start
	c         *Cluster
	violation error // of the last command

	loud bool // it tells what comes of the commands
	out  strings.Builder
}

func newScript() *script { return &script{setup: Setup{Seed: 1}} }

// do carries out one command, and checks the invariants. The error says that
// there is no such command, or that it is impossible now, and nothing was done.
func (s *script) do(line string) error {
	f := strings.Fields(line)
	switch f[0] {
	case "seed":
		if len(f) != 2 {
			return fmt.Errorf("seed number")
		}
		var err error
		s.setup.Seed, err = strconv.ParseUint(f[1], 10, 64)
		return err
	case "set":
		return s.set(f[1:])
	case "start":
		s.c = s.setup.Start(f[1:]...)
		if s.loud {
			s.c.Log(s.printf)
		}
		if s.more.Start != nil {
			s.more.Start(s.c)
		}
		return nil
	}
	if s.c == nil {
		return fmt.Errorf("a script begins with start")
	}
	if err := s.command(f); err != nil {
		return err
	}
	if err := s.c.check(); err != nil {
		s.violated(err)
	}
	return nil
}

func (s *script) set(f []string) error {
	if len(f) != 2 {
		return fmt.Errorf("set name value")
	}
	if f[0] == "payload" {
		var err error
		s.setup.MaxPayload, err = payload(f[1])
		return err
	}
	d, err := time.ParseDuration(f[1])
	switch f[0] {
	case "linger":
		s.setup.Config.Linger = d
	case "permdown":
		s.setup.Config.PermdownPeriod = d
	default:
		return fmt.Errorf("no such setting")
	}
	return err
}

func payload(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < leastPayload {
		return 0, fmt.Errorf("at least %d bytes", leastPayload)
	}
	return n, nil
}

func (s *script) printf(format string, args ...any) {
	if s.loud {
		fmt.Fprintf(&s.out, "  "+format+"\n", args...)
	}
}

func (s *script) violated(err error) {
	s.printf("VIOLATED %v", err)
	if s.violation == nil {
		s.violation = err
	}
}

// command carries out what is not about users.
func (s *script) command(f []string) error {
	c := s.c
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	if needs := places[f[0]]; needs > 0 {
		for _, name := range append(f, "", "")[1 : 1+needs] {
			if c.find(name) == nil {
				return fmt.Errorf("no replica is named %q", name)
			}
		}
	}
	switch f[0] {
	case "wait":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			return err
		}
		c.Advance(d)
	case "faults":
		faults, err := parseFaults(f[1:])
		if err != nil {
			return err
		}
		c.SetFaults(faults)
	case "list":
		if s.loud {
			s.printf("%s", c.Describe(arg(1), arg(2)))
		}
	case "topics":
		names, complete := c.replica(arg(1)).Topics()
		s.printf("%s: %s, complete: %v", arg(1), strings.Join(names, " "), complete)
	case "hold":
		c.hold(arg(1), arg(2), arg(3))
	case "copy":
		c.copy(arg(1), arg(2), arg(3))
	case "lose":
		nth, err := strconv.Atoi(arg(4))
		if err != nil || nth < 1 {
			return fmt.Errorf("which one: 1, 2 and so on")
		}
		c.lose(arg(1), arg(2), arg(3), nth)
	case "payload":
		n, err := payload(arg(1))
		if err != nil {
			return err
		}
		c.setMaxPayload(n)
	case "stop":
		c.stop(arg(1), arg(2))
	case "release":
		s.printf("%d messages", c.release(arg(1), arg(2)))
		c.Advance(0)
	case "discard":
		s.printf("%d messages", c.discard(arg(1), arg(2)))
	case "cut", "uncut":
		c.Cut(arg(1), arg(2), f[0] == "cut")
	case "outage":
		c.Outage(arg(1))
	case "reconnect":
		c.Reconnect(arg(1))
	case "unplug", "plug":
		c.unplug(arg(1), f[0] == "unplug")
	case "shed":
		s.printf("%d messages", c.shed(arg(1)))
	case "hide", "unhide":
		c.hide(arg(1), f[0] == "hide")
	case "pause":
		c.Pause(arg(1))
	case "resume":
		c.Resume(arg(1))
	case "kill":
		c.Kill(arg(1))
	case "leave":
		c.Leave(arg(1))
	case "restart":
		var clock time.Duration
		if arg(2) != "" {
			var err error
			if clock, err = time.ParseDuration(arg(2)); err != nil {
				return err
			}
		}
		c.Restart(arg(1), clock)
	case "upgrade":
		c.upgrade(arg(1))
	case "answers":
		st := c.replica(arg(1)).Status().Stats
		s.printf("%s answered %d questions, %d times several at once", arg(1), st.Unchanged+st.LogRepairs+st.DotSets+st.Snapshots, st.Joint)
	case "settings":
		c.restartWith(arg(1), arg(2))
	case "heal":
		c.Heal()
	case "gone":
		s.judge(c.checkGone())
	case "live":
		s.judge(c.checkLive())
	case "quiet":
		s.judge(c.checkQuiet())
	default:
		return s.user(f)
	}
	return nil
}

// places has how many replicas a command names.
var places = map[string]int{
	"list": 1, "hold": 2, "copy": 2, "lose": 2, "stop": 2, "release": 2, "discard": 2, "cut": 2, "uncut": 2,
	"outage": 1, "reconnect": 1, "unplug": 1, "plug": 1, "shed": 1, "hide": 1, "unhide": 1,
	"pause": 1, "resume": 1, "kill": 1, "leave": 1, "restart": 1, "upgrade": 1, "answers": 1,
}

// judge takes what a check at the end says.
func (s *script) judge(err error) {
	if err != nil {
		s.violated(err)
	} else {
		s.printf("all is well")
	}
}

func parseFaults(words []string) (Faults, error) {
	var f Faults
	for _, word := range words {
		name, value, _ := strings.Cut(word, "=")
		var err error
		switch name {
		case "loss":
			f.Loss, err = strconv.ParseFloat(value, 64)
		case "repeat":
			f.Repeat, err = strconv.ParseFloat(value, 64)
		case "delay":
			f.Delay, err = time.ParseDuration(value)
		case "reorder":
			f.Reorder = true
		default:
			err = fmt.Errorf("unknown fault %q", name)
		}
		if err != nil {
			return Faults{}, err
		}
	}
	return f, nil
}

// user is a command of somebody on a replica.
func (s *script) user(f []string) error {
	f = append(f, "", "", "")
	name, what, topic, key := f[0], f[1], f[2], f[3]
	c := s.c
	h := c.find(name)
	switch {
	case h == nil:
		return fmt.Errorf("no such command, and no replica of that name")
	case !h.running || h.paused:
		return fmt.Errorf("%s does not run", name)
	}
	switch what {
	case "watch":
		c.Watch(name, topic)
		if s.loud {
			s.printf("%s", c.Describe(name, topic))
		}
	case "mirror":
		c.mirror(name)
	case "unmirror":
		c.unmirror(name)
	case "unwatch":
		c.Unwatch(name, topic)
	case "track", "untrack", "update":
		keys, err := someKeys(key)
		if err != nil {
			return err
		}
		for _, key := range keys {
			if err := s.change(name, what, topic, key); err != nil {
				return err
			}
		}
	default:
		command := s.more.Commands[what]
		if command == nil {
			return fmt.Errorf("unknown command")
		}
		told, err := command(c, name, f[2:len(f)-3])
		for _, line := range told {
			s.printf("%s", line)
		}
		return err
	}
	return nil
}

// someKeys is key, or as many of it as "key*50" says.
func someKeys(key string) ([]string, error) {
	base, times, many := strings.Cut(key, "*")
	if !many {
		return []string{key}, nil
	}
	n, err := strconv.Atoi(times)
	if err != nil {
		return nil, err
	}
	keys := make([]string, n)
	for i := range keys {
		keys[i] = fmt.Sprintf("%s%d", base, i)
	}
	return keys, nil
}

// change tracks, untracks or updates.
func (s *script) change(name, what, topic, key string) error {
	if what == "track" {
		s.c.Track(name, topic, key)
		return nil
	}
	for i, e := range s.c.host(name).entries {
		if e.topic == topic && e.key == key {
			if what == "update" {
				s.c.Update(name, i)
			} else {
				s.c.Untrack(name, i)
			}
			return nil
		}
	}
	return fmt.Errorf("%s has no %s in %s", name, key, topic)
}
