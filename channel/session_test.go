package channel

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
)

// TestSession runs the stories of testdata/session. Commands:
//
//	new [channels=N] [rate=N] [burst=N]    a connection begins
//	recv [at=DURATION]                     the client sends the frames below
//	joined id=N, refused id=N              what Join said, its response below
//	left id=N ref=R                        the channel came to the phx_leave
//	ended id=N [crash]                     the channel ended, as planned or not
//	gone id=N                              nothing of it runs any more
//	close                                  the connection ends
//
// and the output is what the session wants done. Routes are room:* and exact.
func TestSession(t *testing.T) {
	handler := &Handler{Routes: []Route{{Pattern: "room:*"}, {Pattern: "exact"}}}
	told := map[string]bool{}
	datadriven.Walk(t, "testdata/session", func(t *testing.T, path string) {
		story := strings.TrimSuffix(filepath.Base(path), ".txt")
		proves(t, storyRows[story]...)
		told[story] = true
		var s *session
		began := time.Unix(0, 0)
		now := began
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			arg := func(name string, value int) int {
				if d.HasArg(name) {
					d.ScanArgs(t, name, &value)
				}
				return value
			}
			id := func() uint64 { return uint64(arg("id", 0)) }
			response := func() Payload {
				if d.Input == "" {
					return Payload{}
				}
				return rawPayload([]byte(d.Input))
			}
			var acts []action
			switch d.Cmd {
			case "new":
				s = newSession(&sessionLimits{
					topic: MaxTopic, joinRate: float64(arg("rate", 50)), joinBurst: arg("burst", 100),
				}, arg("channels", 100), handler.route)
				return ""
			case "recv":
				if d.HasArg("at") {
					var at string
					d.ScanArgs(t, "at", &at)
					offset, err := time.ParseDuration(at)
					require.NoError(t, err)
					now = began.Add(offset)
				}
				for line := range strings.Lines(d.Input) {
					m, err := v2{}.Decode(false, []byte(line))
					require.NoError(t, err, line)
					acts = append(acts, s.receive(now, m)...)
				}
			case "joined":
				acts = s.joined(id(), response())
			case "refused":
				acts = s.refused(id(), response())
			case "left":
				acts = s.left(id(), StringRef(fmt.Sprint(arg("ref", 0))))
			case "ended":
				reason := ReasonNormal
				if d.HasArg("crash") {
					reason = Crashed(errPanic)
				}
				acts = s.ended(id(), reason)
			case "gone":
				s.gone(id())
				return fmt.Sprintf("open %d, alive %d\n", s.open, len(s.entries))
			case "close":
				s.close()
				return ""
			default:
				t.Fatalf("unknown command %q", d.Cmd)
			}
			return describe(t, acts)
		})
	})
	for story := range storyRows {
		require.True(t, told[story], story)
	}
}

// storyRows are the rows that the stories prove: the actions that they list are
// what the rows ask for.
var storyRows = map[string][]string{
	"join_push_leave":         {"B044", "B052", "B053"},
	"duplicate_join":          {"B050", "B054", "B055"},
	"unmatched_and_heartbeat": {"B034", "B048", "B053", "B056", "B089"},
	"limits":                  {"B049"},
	"ends":                    {"B067"},
	"leave_of_a_running_join": {"B183"},
}

func describe(t *testing.T, acts []action) string {
	if len(acts) == 0 {
		return "nothing\n"
	}
	var b strings.Builder
	for _, a := range acts {
		switch a.kind {
		case actSend:
			f, err := v2{}.Encode(a.message)
			require.NoError(t, err)
			fmt.Fprintf(&b, "send %s\n", f.Data)
		case actJoin:
			fmt.Fprintf(&b, "join #%d %s %s", a.id, a.message.Topic, a.message.Payload.JSON())
			if a.after != 0 {
				fmt.Fprintf(&b, " after #%d is gone", a.after)
			}
			b.WriteByte('\n')
		case actDeliver:
			fmt.Fprintf(&b, "deliver %s to #%d\n", a.message.Event, a.id)
		case actLeave:
			fmt.Fprintf(&b, "leave to #%d\n", a.id)
		case actStop:
			fmt.Fprintf(&b, "stop #%d: %v\n", a.id, a.reason)
		case actReject:
			fmt.Fprintf(&b, "tell of %s", a.reject.Cause)
			if a.reject.Limit != nil {
				fmt.Fprintf(&b, " %v", a.reject.Limit)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}
