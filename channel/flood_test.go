package channel

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const flooding = `[null,"1","phoenix","heartbeat",{}]`

// flood sends a frame until the client is to be closed, at most 100,000 times.
func (c *client) flood(binary bool, frame string) (sent int, refused *CloseError) {
	for refused == nil && sent < 100_000 {
		refused = c.conn.Receive(binary, []byte(frame))
		sent++
	}
	return sent, refused
}

func TestAClientThatSendsTooMuchIsClosed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told []Rejection
		e := startOne(t, Config{Telemetry: []Telemetry{{Reject: func(r Rejection) { told = append(told, r) }}}})
		c := connect(t, e, referenceHandler(t), "user=bob")
		sent, refused := c.flood(false, flooding)
		require.Equal(t, 20_001, sent, "the default burst")
		require.Equal(t, &CloseError{Code: CloseTryLater, Reason: "too many messages"}, refused)
		require.Len(t, c.take(), 20_000, "the last was not even decoded")
		require.EqualValues(t, 1, e.Stats().Floods)

		require.Nil(t, c.conn.Receive(false, []byte(flooding)), "it was told")
		require.Nil(t, c.conn.ReceiveControl())
		time.Sleep(time.Hour)
		require.Nil(t, c.conn.Receive(false, []byte(flooding)))
		require.Empty(t, c.take(), "nothing is done for it any more")
		require.Len(t, told, 1)
		require.Equal(t, Rejection{Cause: CauseFlood, Conn: c.conn, Transport: "test", Limit: 10_000.0, Code: CloseTryLater}, told[0])

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
			require.Equal(t, CloseTryLater, refused.Code)
		})
	}
}

func TestPingsCountAsMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := connect(t, startOne(t, Config{MessageRate: 1, MessageBurst: 3}), referenceHandler(t), "user=bob")
		c.send(flooding)
		require.Nil(t, c.conn.ReceiveControl())
		require.Nil(t, c.conn.ReceiveControl())
		require.Equal(t, CloseTryLater, c.conn.ReceiveControl().Code)
	})
}

// A flood is recognized before anything is done about a frame.
func TestAFloodOfGarbageIsAFlood(t *testing.T) {
	bubble(t, func(t *testing.T) {
		e := startOne(t, Config{MessageBurst: 1})
		c := connect(t, e, referenceHandler(t), "user=bob")
		c.send(flooding)
		require.Equal(t, CloseTryLater, c.conn.Receive(true, nil).Code)
		require.Equal(t, CloseTryLater, connectAndSpend(t, e).Receive(false, []byte("\xff")).Code)
	})
}

// connectAndSpend is a connection that has sent all that it may.
func connectAndSpend(t *testing.T, e *Endpoint) *Conn {
	c := connect(t, e, referenceHandler(t), "user=bob")
	c.send(flooding)
	return c.conn
}
