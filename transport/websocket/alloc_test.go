package websocket

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// A delivery allocates nothing once the pools are warm. (Pools are emptied by
// the garbage collector, and the race detector drops from them on purpose.)
func TestDeliveryOfASharedFrameAllocatesNothing(t *testing.T) {
	most := 0.1
	if raceEnabled {
		most = 20
	}
	eachKind(t, func(t *testing.T, k kind) {
		if !k.parks() {
			return // a goroutine is started for each
		}
		most := most
		if k.secure {
			most++ // the client's
		}
		links, received := k.openClients(t, 1)
		frames := []*wire.Frame{shared(sample())}
		base, sent, size := received.received.Load(), int64(0), k.size(frames[0])
		deliver := func() {
			links[0].Send(frames...)
			sent++
			received.await(base + sent*size)
		}
		for range 100 {
			deliver()
		}
		require.LessOrEqual(t, testing.AllocsPerRun(2000, deliver), most)
	})
}
