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
//	start eu us@1 ...             begins a cluster of these replicas; us is held at
//	                              version 1 of the wire format until upgrade us
//	eu watch room                 eu watches a topic; unwatch ends it
//	eu track room alice           also untrack, update; alice*50 is fifty of them
//	list eu room                  who is there as eu sees it
//	wait 2s                       time passes
//	hold eu us [kind]             messages from eu to us wait; of a kind: delta,
//	                              tip, heartbeat, sync, reply, probe, alive, nack, leave
//	copy eu us [kind]             they are delivered, and a copy of each waits
//	lose eu us kind 2             the second message of this kind from now on is lost
//	payload 2000                  the most bytes of a message; before anything large
//	stop eu us                    no more are kept from now on
//	release eu us                 what was kept arrives now; discard eu us: never
//	cut eu us                     everything from eu to us is lost; uncut ends it
//	cut eu eu                     eu does not hear itself: its bus brings nothing
//	outage eu, reconnect eu       eu's bus goes, and comes back
//	hide eu, unhide eu            a route to eu is being reset, which eu is not told
//	pause eu, resume eu           SIGSTOP and SIGCONT
//	kill eu, leave eu             the end, without a word or with one
//	restart eu [-1h]              a new process, its clock off by so much
//	upgrade eu                    its next process speaks the newest version
//	answers eu                    how often eu answered who was behind
//	heal                          all faults end
//	live                          what must hold when all is quiet
//
// After every command the invariants are checked; a violation is part of the
// output, and fails the test.
func RunScript(t *testing.T, path string) {
	t.Helper()
	s := &script{t: t}
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		if d.Cmd != "run" {
			d.Fatalf(t, "unknown directive %q", d.Cmd)
		}
		s.out.Reset()
		for line := range strings.Lines(d.Input) {
			if fields := strings.Fields(line); len(fields) > 0 && !strings.HasPrefix(line, "#") {
				fmt.Fprintf(&s.out, "> %s\n", strings.TrimSpace(line))
				if err := s.do(fields); err != nil {
					d.Fatalf(t, "%s: %v", strings.TrimSpace(line), err)
				}
			}
		}
		return s.out.String()
	})
}

type script struct {
	t   *testing.T
	c   *Cluster
	out strings.Builder
}

func (s *script) do(f []string) error {
	if f[0] == "start" {
		s.c = New(1, f[1:]...)
		s.c.Log(s.printf)
		return nil
	}
	if s.c == nil {
		return fmt.Errorf("a script begins with start")
	}
	if err := s.command(f); err != nil {
		return err
	}
	if err := s.c.Check(); err != nil {
		s.violated(err)
	}
	return nil
}

func (s *script) printf(format string, args ...any) {
	fmt.Fprintf(&s.out, "  "+format+"\n", args...)
}

func (s *script) violated(err error) {
	s.printf("VIOLATED %v", err)
	s.t.Errorf("violated: %v", err)
}

func (s *script) command(f []string) error {
	c := s.c
	arg := func(i int) string {
		if i < len(f) {
			return f[i]
		}
		return ""
	}
	switch f[0] {
	case "wait":
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			return err
		}
		c.Advance(d)
	case "list":
		s.printf("%s", c.Describe(arg(1), arg(2)))
	case "hold":
		c.Hold(arg(1), arg(2), arg(3))
	case "copy":
		c.Copy(arg(1), arg(2), arg(3))
	case "lose":
		nth, err := strconv.Atoi(arg(4))
		if err != nil || nth < 1 {
			return fmt.Errorf("which one: 1, 2 and so on")
		}
		c.Lose(arg(1), arg(2), arg(3), nth)
	case "payload":
		n, err := strconv.Atoi(arg(1))
		if err != nil || n < 1000 {
			return fmt.Errorf("at least 1000 bytes")
		}
		c.SetMaxPayload(n)
	case "stop":
		c.Stop(arg(1), arg(2))
	case "release":
		s.printf("%d messages", c.Release(arg(1), arg(2)))
		c.Advance(0)
	case "discard":
		s.printf("%d messages", c.Discard(arg(1), arg(2)))
	case "cut":
		c.Cut(arg(1), arg(2), true)
	case "uncut":
		c.Cut(arg(1), arg(2), false)
	case "outage":
		c.Outage(arg(1))
	case "reconnect":
		c.Reconnect(arg(1))
	case "hide":
		c.Hide(arg(1), true)
	case "unhide":
		c.Hide(arg(1), false)
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
		c.Upgrade(arg(1))
	case "answers":
		st := c.Replica(arg(1)).Status().Stats
		s.printf("%s answered %d questions, %d times several at once", arg(1), st.Unchanged+st.LogRepairs+st.DotSets+st.Snapshots, st.Joint)
	case "heal":
		c.Heal()
	case "live":
		if err := c.CheckLive(); err != nil {
			s.violated(err)
		} else {
			s.printf("all is well")
		}
	default:
		return s.user(f[0], arg(1), arg(2), arg(3))
	}
	return nil
}

// user is a command of somebody on a replica.
func (s *script) user(name, what, topic, key string) error {
	c := s.c
	switch what {
	case "watch":
		c.Watch(name, topic)
		s.printf("%s", c.Describe(name, topic))
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
		return fmt.Errorf("unknown command")
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
