package wire_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/channel/wire/phoenix2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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
	routed := func(topic string) bool { return topic == "exact" || strings.HasPrefix(topic, "room:") }
	datadriven.Walk(t, "testdata/session", func(t *testing.T, path string) {
		var s *wire.Session
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
			response := func() wire.Payload {
				if d.Input == "" {
					return wire.Payload{}
				}
				return wire.RawPayload([]byte(d.Input))
			}
			var acts []wire.Action
			switch d.Cmd {
			case "new":
				s = wire.NewSession(&wire.Limits{
					JoinRate: float64(arg("rate", 50)), JoinBurst: arg("burst", 100),
				}, arg("channels", 100), routed)
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
					messages, err := phoenix2.Protocol{}.Decode(nil, false, []byte(line))
					require.NoError(t, err, line)
					acts = append(acts, s.Receive(now, messages[0])...)
				}
			case "joined":
				acts = s.Joined(id(), response())
			case "refused":
				acts = s.Refused(id(), response())
			case "left":
				acts = s.Left(id(), wire.StringRef(fmt.Sprint(arg("ref", 0))))
			case "ended":
				reason := wire.ReasonNormal
				if d.HasArg("crash") {
					reason = wire.Crashed(errors.New("panic"))
				}
				acts = s.Ended(id(), reason)
			case "gone":
				s.Gone(id())
				return fmt.Sprintf("open %d, alive %d\n", wire.Open(s), wire.Alive(s))
			case "close":
				s.Close()
				return ""
			default:
				t.Fatalf("unknown command %q", d.Cmd)
			}
			return describe(t, acts)
		})
	})
}

func describe(t *testing.T, acts []wire.Action) string {
	if len(acts) == 0 {
		return "nothing\n"
	}
	var b strings.Builder
	for _, a := range acts {
		switch a.Kind {
		case wire.ActSend:
			frames, err := phoenix2.Protocol{}.Encode(nil, a.Message)
			require.NoError(t, err)
			fmt.Fprintf(&b, "send %s\n", frames[0].Data)
		case wire.ActJoin:
			fmt.Fprintf(&b, "join #%d %s %s", a.ID, a.Message.Topic, a.Message.Payload.JSON())
			if a.After != 0 {
				fmt.Fprintf(&b, " after #%d is gone", a.After)
			}
			b.WriteByte('\n')
		case wire.ActDeliver:
			fmt.Fprintf(&b, "deliver %s to #%d\n", a.Message.Event, a.ID)
		case wire.ActLeave:
			fmt.Fprintf(&b, "leave to #%d\n", a.ID)
		case wire.ActStop:
			fmt.Fprintf(&b, "stop #%d: %v\n", a.ID, a.Reason)
		case wire.ActReject:
			fmt.Fprintf(&b, "tell of %s", a.Rejection.Cause)
			if a.Rejection.Limit != nil {
				fmt.Fprintf(&b, " %v", a.Rejection.Limit)
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}
