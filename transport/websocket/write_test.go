package websocket

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/transport/internal/netpoll"
)

// A boundless connection takes all that is written to it.
type boundless struct {
	netpoll.Conn
	written int
}

func (b *boundless) TryWrite(p []byte) (int, error) {
	b.written += len(p)
	return len(p), nil
}

// However much a socket takes, others have their turn after writeLimit bytes.
func TestATryWritesNoMoreThanTheLimit(t *testing.T) {
	c := &conn{}
	b := &batch{}
	var written []int
	b.frames = append(b.frames, text("small"), text(strings.Repeat("x", 2*writeLimit)), shared(strings.Repeat("x", writeLimit/2)))
	var tries []progress
	for len(tries) == 0 || tries[len(tries)-1] == wroteSome {
		require.Less(t, len(tries), 5)
		socket := &boundless{}
		c.waiter.Init(socket, c)
		came, err := c.tryWrite(b)
		require.NoError(t, err)
		tries, written = append(tries, came), append(written, socket.written)
	}
	require.Equal(t, []progress{wroteSome, wroteSome, wroteAll}, tries)
	all := 0
	for _, f := range b.frames {
		all += len(onTheWire(f))
	}
	require.Equal(t, []int{writeLimit, writeLimit, all - 2*writeLimit}, written)
}
