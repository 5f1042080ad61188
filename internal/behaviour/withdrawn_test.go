package behaviour_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// leave leaves a topic that was joined with join.
func (c *client) leave(topic string) { c.say("1", "2", topic, "phx_leave") }

func TestJoinGivenUpWhileItWaitsTakesNoPlace(t *testing.T) {
	for _, c := range []struct {
		name   string
		giveUp func(c *client)
		again  bool // it has joined again
	}{
		{"leave", func(c *client) { c.leave("b") }, false},
		{"end of the connection", func(c *client) { c.lose() }, false},
		{"close by the program", func(c *client) { c.conn.Close(wire.CloseGoingAway, "") }, false},
		{"leave, then end of the connection", func(c *client) { c.leave("b"); c.lose() }, false},
		{"second join of the topic", func(c *client) { c.say("9", "9", "b", "phx_join") }, true},
		{"leave, then second join of the topic", func(c *client) { c.leave("b"); c.say("9", "9", "b", "phx_join") }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var j journal
				var r rejections
				e := start(t, channel.Config{MaxJoinsRunning: 1, MaxJoinsWaiting: 4, JoinWait: time.Hour, Telemetry: r.telemetry()})
				h := serve(t, route("*", script{join: func(s *channel.Socket) (any, error) {
					j.note("%s %s %s", user(s), s.Topic(), s.JoinRef())
					time.Sleep(time.Second)
					return nil, nil
				}}))
				connect(t, e, h, "first").join("a")
				synctest.Wait()
				undecided := connect(t, e, h, "undecided")
				undecided.join("b")
				synctest.Wait()
				connect(t, e, h, "third").join("b")
				synctest.Wait()
				require.EqualValues(t, 2, e.Stats().JoinsWaiting)
				c.giveUp(undecided)
				synctest.Wait()
				waiting := int64(1)
				want := []string{"first a 1", "third b 1"}
				if c.again {
					waiting, want = 2, append(want, "undecided b 9")
				}
				require.Equal(t, waiting, e.Stats().JoinsWaiting, "its place is free at once")

				time.Sleep(time.Minute)
				require.Equal(t, want, j.take(), "its Join is not called")
				require.Zero(t, e.Stats().JoinsWaiting)
				require.Zero(t, e.Stats().JoinsRunning)
				r.requireOverloaded(t)
				if c.again {
					all := of("phx_reply", undecided.take())
					last := all[len(all)-1]
					status, _ := last.reply(t)
					require.Equal(t, "9 ok", last.ref+" "+status)
				}

				for _, later := range joinEach(t, e, h, "c", "d", "e", "f", "b") {
					time.Sleep(10 * time.Second)
					require.Equal(t, accepted, later.answer())
				}
			})
		})
	}
}
