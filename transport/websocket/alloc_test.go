package websocket

import (
	"testing"

	"github.com/stretchr/testify/require"
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
		f := shared(sample())
		base, sent, wire := received.received.Load(), int64(0), k.size(f)
		deliver := func() {
			links[0].Send(f)
			sent++
			received.await(base + sent*wire)
		}
		for range 100 {
			deliver()
		}
		require.LessOrEqual(t, testing.AllocsPerRun(2000, deliver), most)
	})
}
