//go:build unix

package websocket

import (
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// A boundless socket takes all that is written to it.
type boundless struct{ syscall.RawConn }

func (boundless) Control(f func(fd uintptr)) error {
	f(0)
	return nil
}

// However much a socket takes, others have their turn after writeLimit bytes.
func TestATryWritesNoMoreThanTheLimit(t *testing.T) {
	w := &hijacked{}
	w.sock = socket{raw: boundless{}, wire: w}
	b := &batch{}
	var written []int
	b.try = func(uintptr) {
		b.written = b.most
		written[len(written)-1] += b.most
	}
	b.frames = append(b.frames, text("small"), text(strings.Repeat("x", 2*writeLimit)), shared(strings.Repeat("x", writeLimit/2)))
	var tries []progress
	for len(tries) == 0 || tries[len(tries)-1] == wroteSome {
		require.Less(t, len(tries), 5)
		written = append(written, 0)
		came, err := w.tryWrite(b)
		require.NoError(t, err)
		require.Equal(t, came == wroteSome, w.torn)
		tries = append(tries, came)
	}
	require.Equal(t, []progress{wroteSome, wroteSome, wroteAll}, tries)
	all := 0
	for _, f := range b.frames {
		all += len(onTheWire(f))
	}
	require.Equal(t, []int{writeLimit, writeLimit, all - 2*writeLimit}, written)
}
