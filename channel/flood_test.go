package channel

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

const flooding = `[null,"1","phoenix","heartbeat",{}]`

// flood sends a frame until the client is to be closed, at most 100,000 times.
func (c *client) flood(binary bool, frame string) (sent int, refused *wire.Close) {
	for refused == nil && sent < 100_000 {
		refused = c.conn.Receive(binary, []byte(frame))
		sent++
	}
	return sent, refused
}

func TestAClientThatSendsTooMuchIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told []RejectEvent
		e := startOne(t, Config{Telemetry: []Telemetry{{Reject: func(r RejectEvent) { told = append(told, r) }}}})
		c := connect(t, e, referenceHandler(t), "user=bob")
		sent, refused := c.flood(false, flooding)
		require.Equal(t, 20_001, sent, "the default burst")
		require.Equal(t, &wire.Close{Code: wire.CloseTryLater, Reason: "too many messages"}, refused)
		require.Len(t, c.take(), 20_000, "the last was not even decoded")
		require.EqualValues(t, 1, e.Stats().Floods)

		require.Nil(t, c.conn.Receive(false, []byte(flooding)), "it was told")
		require.Nil(t, c.conn.ReceiveControl())
		time.Sleep(time.Hour)
		require.Nil(t, c.conn.Receive(false, []byte(flooding)))
		require.Empty(t, c.take(), "nothing is done for it any more")
		require.Len(t, told, 1)
		require.Equal(t, RejectEvent{c.conn, wire.Rejection{Cause: wire.CauseFlood, Transport: "test", Limit: 10_000.0, Code: wire.CloseTryLater}}, told[0])

		other := connect(t, e, referenceHandler(t), "user=alice")
		require.Len(t, other.get(flooding), 1, "each connection has its own rate")
	})
}

func TestAClientMaySendAtTheRateForEver(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := connect(t, startOne(t, Config{MessageRate: 100, MessageBurst: 5}), referenceHandler(t), "user=bob")
		for range 1000 {
			require.Len(t, c.get(flooding), 1)
			time.Sleep(10 * time.Millisecond)
		}
		sent, _ := c.flood(false, flooding)
		require.Equal(t, 6, sent)
	})
}

// To come back is no pause: what it floods with does not grow by being closed.
func TestWhoHasJustConnectedHasLessToFloodWith(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{MessageRate: 100, MessageBurst: 200, MessageStart: 20})
		for range 3 {
			sent, refused := connect(t, e, referenceHandler(t), "user=bob").flood(false, flooding)
			require.Equal(t, 21, sent)
			require.Equal(t, wire.CloseTryLater, refused.Code)
		}
		c := connect(t, e, referenceHandler(t), "user=bob")
		time.Sleep(time.Second)
		for range 120 {
			require.Len(t, c.get(flooding), 1, "it was quiet for a second")
		}
		time.Sleep(time.Minute)
		sent, _ := c.flood(false, flooding)
		require.Equal(t, 201, sent)
	})
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{MessageBurst: 30, MessageStart: 1000})
		sent, _ := connect(t, e, referenceHandler(t), "user=bob").flood(false, flooding)
		require.Equal(t, 31, sent, "never more than the burst")
	})
}

// What a frame costs is its decoding above all, so large ones count as several.
func TestLargeMessagesCountAsSeveral(t *testing.T) {
	for _, c := range []struct {
		bytes int
		sent  int // of a burst of 100, and the one that is too much
	}{
		{messageUnit - 1, 101}, {messageUnit, 51}, {9*messageUnit + 1, 11}, {1 << 20, 2},
	} {
		bubble(t, func(t *testing.T) {
			client := connect(t, startOne(t, Config{MessageBurst: 100}), referenceHandler(t), "user=bob")
			frame := flooding[:len(flooding)-3]
			frame += strings.Repeat(" ", c.bytes-len(flooding)) + "{}]"
			sent, refused := client.flood(false, frame)
			require.Equal(t, c.sent, sent, "%d bytes", c.bytes)
			require.Equal(t, wire.CloseTryLater, refused.Code)
		})
	}
}

func TestPingsCountAsMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := connect(t, startOne(t, Config{MessageRate: 1, MessageBurst: 3}), referenceHandler(t), "user=bob")
		c.send(flooding)
		require.Nil(t, c.conn.ReceiveControl())
		require.Nil(t, c.conn.ReceiveControl())
		require.Equal(t, wire.CloseTryLater, c.conn.ReceiveControl().Code)
	})
}

// A flood is recognized before anything is done about a frame.
func TestAFloodOfGarbageIsAFlood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{MessageBurst: 1})
		c := connect(t, e, referenceHandler(t), "user=bob")
		c.send(flooding)
		require.Equal(t, wire.CloseTryLater, c.conn.Receive(true, nil).Code)
		require.Equal(t, wire.CloseTryLater, connectAndSpend(t, e).Receive(false, []byte("\xff")).Code)
	})
}

// connectAndSpend is a connection that has sent all that it may.
func connectAndSpend(t *testing.T, e *Endpoint) *Conn {
	c := connect(t, e, referenceHandler(t), "user=bob")
	c.send(flooding)
	return c.conn
}

// What is kept of a message beside its payload is bounded too: a join's refs are
// kept as long as its channel.
func TestLongRefsAreMalformed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{})
		for _, vsn := range []string{"1.0.0", "2.0.0"} {
			frame := func(joinRef, ref int) []byte {
				j, r := strings.Repeat("j", joinRef-2), strings.Repeat("1", ref)
				if vsn == "1.0.0" {
					return fmt.Appendf(nil, `{"join_ref":%q,"ref":%s,"topic":"phoenix","event":"heartbeat","payload":{}}`, j, r)
				}
				return fmt.Appendf(nil, `[%q,%s,"phoenix","heartbeat",{}]`, j, r)
			}
			for _, c := range []struct{ joinRef, ref int }{{wire.MaxRef + 1, 1}, {2, wire.MaxRef + 1}} {
				client := connect(t, e, referenceHandler(t), "user=bob&vsn="+vsn)
				require.Nil(t, client.conn.Receive(false, frame(wire.MaxRef, wire.MaxRef)))
				refused := client.conn.Receive(false, frame(c.joinRef, c.ref))
				require.NotNil(t, refused)
				require.Equal(t, wire.CloseInternal, refused.Code)
			}
		}
		client := connect(t, e, referenceHandler(t), "user=bob")
		long := strings.Repeat("\x01", 255) // six bytes each in JSON
		binary := append([]byte{0, 255, 255, 1, 1}, long+long+"te"...)
		require.Nil(t, client.conn.Receive(true, binary))
	})
}

// Whatever makes a message large counts when it waits for a channel.
func TestAllOfAMessageCountsInTheMailbox(t *testing.T) {
	long := strings.Repeat("x", 100_000)
	for _, frame := range []string{
		`["1","2","t","e",{"x":"` + long + `"}]`,
		`["1","2","t","` + long + `",{}]`,
		`["1","2","t","phx_leave",{"x":"` + long + `"}]`,
	} {
		bubble(t, func(t *testing.T) {
			e := startOne(t, Config{MailboxBytes: 250_000})
			h := handlerOf(script{in: func(*Socket, string, Payload) Result { time.Sleep(time.Minute); return NoReply() }})
			c := connect(t, e, h, "")
			c.get(`["1","1","t","phx_join",{}]`, `["1","2","t","block",{}]`)
			c.send(frame, frame)
			synctest.Wait()
			require.Zero(t, e.Stats().MailboxOverflows)
			c.send(frame)
			synctest.Wait()
			require.EqualValues(t, 1, e.Stats().MailboxOverflows, "%.40s", frame)
			time.Sleep(time.Hour)
			c.drop()
		})
	}
}
