package room

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
)

// client is a member of a story.
type client struct {
	name string
	seat Seat
}

func (c *client) Seat() *Seat { return &c.seat }

// story is a machine, and the room that its owner would be.
type story struct {
	*testing.T
	machine *Machine
	began   time.Time
	now     time.Time
	clients map[string]*client
	slow    bool // what is sent is said by the story
	asked   *Action
	out     strings.Builder
}

// TestStories runs the stories of testdata. Commands, each with [at=DURATION] since the
// beginning:
//
//	new [window=D] [timeout=D] [fetch] [counts] [slow]
//	                    a room begins, with a window of 100ms and a state timeout of 1s
//	watch               a channel tracks, or follows the topic; fails: the tracker refuses
//	join NAME...        channels are in, and have not settled
//	settle NAME...      they have handled what Join sent to itself
//	want NAME... [tracks]  they ask for the state
//	leave NAME...
//	end                 the last is gone
//	tell                the tracker tells the events below: "diff +KEY:REF -KEY:REF" or
//	                    "state KEY:REF", each with "incomplete" if the topic is
//	fetched [failed]    Fetch returns what it was given
//	sent [took=D]       a round is sent; only where the room is slow, else at once
//	timer               the timer fires
//
// and the output is what the machine wants done. A diff is +joins and -leaves; NAME may
// be NAME1..NAME9.
func TestStories(t *testing.T) {
	stories, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, stories)
	for _, path := range stories {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			s := &story{began: time.Unix(0, 0)}
			datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
				s.T = t
				s.out.Reset()
				s.run(d)
				if s.out.Len() == 0 {
					return "nothing\n"
				}
				return s.out.String()
			})
		})
	}
}

func (s *story) run(d *datadriven.TestData) {
	s.now = s.began.Add(s.duration(d, "at", s.now.Sub(s.began)))
	switch d.Cmd {
	case "new":
		s.slow, s.asked, s.clients = d.HasArg("slow"), nil, map[string]*client{}
		s.now = s.began
		s.machine = New(Config{
			StateTimeout: s.duration(d, "timeout", time.Second), Window: s.duration(d, "window", 100*time.Millisecond),
			Fetches: d.HasArg("fetch"), Counts: d.HasArg("counts"),
		})
		s.out.WriteString("a room\n")
	case "watch":
		s.step(Input{Kind: WatchWanted})
		if d.HasArg("fails") {
			s.step(Input{Kind: WatchFailed})
		}
	case "join":
		s.each(d, Input{Kind: Joined})
	case "settle":
		s.each(d, Input{Kind: Settled})
	case "want":
		s.each(d, Input{Kind: StateWanted, Tracks: d.HasArg("tracks")})
	case "leave":
		s.each(d, Input{Kind: Left})
	case "end":
		s.step(Input{Kind: Ended})
	case "tell":
		var events []presence.Event
		for line := range strings.Lines(d.Input) {
			events = append(events, s.event(line))
		}
		s.step(Input{Kind: Told, Events: events})
	case "fetched":
		require.NotNil(s, s.asked, "nothing is fetched")
		in := Input{Kind: DiffFetched, Diff: s.asked.Diff}
		if s.asked.Kind == FetchList {
			in = Input{Kind: ListFetched, List: s.asked.List, OK: !d.HasArg("failed")}
		}
		s.asked = nil
		s.step(in)
	case "sent":
		require.True(s, s.slow, "a round is sent at once")
		s.step(Input{Kind: Sent, Took: s.duration(d, "took", 0)})
	case "timer":
		s.step(Input{Kind: TimerFired})
	default:
		require.Fail(s, "unknown command", d.Cmd)
	}
}

func (s *story) duration(d *datadriven.TestData, name string, value time.Duration) time.Duration {
	if d.HasArg(name) {
		var text string
		d.ScanArgs(s.T, name, &text)
		var err error
		value, err = time.ParseDuration(text)
		require.NoError(s, err)
	}
	return value
}

// each gives the machine an input for each client that a command names.
func (s *story) each(d *datadriven.TestData, in Input) {
	for _, arg := range d.CmdArgs {
		if len(arg.Vals) > 0 || arg.Key == "tracks" {
			continue
		}
		names := []string{arg.Key}
		if from, to, ok := strings.Cut(arg.Key, ".."); ok {
			names = nil
			for n := from[len(from)-1]; n <= to[len(to)-1]; n++ {
				names = append(names, from[:len(from)-1]+string(n))
			}
		}
		for _, name := range names {
			if s.clients[name] == nil {
				s.clients[name] = &client{name: name}
			}
			in.Member = s.clients[name]
			s.step(in)
		}
	}
}

// event reads what the tracker tells.
func (s *story) event(line string) presence.Event {
	fields := strings.Fields(line)
	ev := presence.Event{Complete: true}
	var state []presence.Presence
	for _, f := range fields[1:] {
		switch {
		case f == "incomplete":
			ev.Complete = false
		case f[0] == '+':
			ev.Diff.Joins = append(ev.Diff.Joins, entry(f[1:]))
		case f[0] == '-':
			ev.Diff.Leaves = append(ev.Diff.Leaves, entry(f[1:]))
		default:
			state = append(state, entry(f))
		}
	}
	if fields[0] == "state" {
		ev.State = &presence.List{Presences: state, Complete: ev.Complete}
	}
	return ev
}

// entry is KEY:REF, or KEY:REF:hidden.
func entry(text string) presence.Presence {
	parts := strings.Split(text, ":")
	data := `{}`
	if len(parts) > 2 {
		data = `{"phx_hidden":true}`
	}
	return presence.Presence{Key: parts[0], Metas: []presence.Meta{{Ref: parts[1], Data: []byte(data)}}}
}

// step gives the machine an input, and carries out what it wants: it says so.
func (s *story) step(in Input) {
	actions := s.machine.Step(s.now, in)
	for i := 0; i < len(actions); i++ {
		a := actions[i]
		fmt.Fprintln(&s.out, describe(a, s.began))
		switch a.Kind {
		case FetchDiff, FetchList:
			s.asked = &a
		case SendDiff, SendCounts:
			if !s.slow {
				actions = append(actions, s.machine.Step(s.now, Input{Kind: Sent})...)
			}
		}
	}
}

func describe(a Action, began time.Time) string {
	to := ""
	for _, c := range a.To {
		to += " " + c.(*client).name
	}
	counts := fmt.Sprintf("%d keys, %d sessions", a.Counts.Keys, a.Counts.Sessions)
	switch a.Kind {
	case Watch:
		return "watch"
	case Refresh:
		return "refresh"
	case StopWatch:
		return "stop watch"
	case FetchDiff:
		return "fetch diff" + describeDiff(a.Diff)
	case FetchList:
		return "fetch list" + describeList(a.List)
	case SendDiff:
		return "send diff" + describeDiff(a.Diff) + " to" + to
	case SendCounts:
		return "send " + counts + " to" + to
	case SendHeld:
		return "send held diff" + describeDiff(a.Diff) + " to" + to
	case SendState:
		return "send state" + describeList(a.List) + " to" + to
	case PushCounts:
		return "push " + counts + " to" + to
	case SetTimer:
		return fmt.Sprintf("timer at %v", a.At.Sub(began))
	case ClearTimer:
		return "no timer"
	}
	return fmt.Sprintf("action %d", a.Kind)
}

func describeDiff(d presence.Diff) string {
	return describeAll(" +", d.Joins) + describeAll(" -", d.Leaves)
}

func describeList(l *presence.List) string {
	if len(l.Presences) == 0 {
		return " of nobody"
	}
	return describeAll(" ", l.Presences)
}

func describeAll(mark string, list []presence.Presence) (text string) {
	for _, p := range list {
		for _, meta := range p.Metas {
			text += mark + p.Key + ":" + meta.Ref
		}
	}
	return text
}
