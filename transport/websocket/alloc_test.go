package websocket

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// A delivery allocates nothing once the pools are warm. (Pools are emptied by
// the garbage collector, and the race detector drops from them on purpose.)
func TestDeliveryOfASharedFrameAllocatesNothing(t *testing.T) {
	if raceEnabled {
		testFewAllocations(t, 10)
		return
	}
	testFewAllocations(t, 0.1)
}

func testFewAllocations(t *testing.T, most float64) {
	links, received := openClients(t, 1)
	frames := []*wire.Frame{shared(strings.Repeat("x", 128))}
	base, sent := received.received.Load(), int64(0)
	deliver := func() {
		links[0].Send(frames...)
		sent++
		received.await(base + sent*132)
	}
	for range 100 {
		deliver()
	}
	require.LessOrEqual(t, testing.AllocsPerRun(2000, deliver), most)
}
