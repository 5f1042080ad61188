package presence_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/membus"
)

// Readers during many updates never see the key missing or twice, here and
// on another replica. In real time: it is for the race detector, too.
func TestReadersSeeTheKeyOnceAtAnyTime(t *testing.T) {
	net := membus.New()
	eu, us := start(t, "eu", net.Bus()), start(t, "us", net.Bus())
	session := eu.NewSession()
	_, err := session.Track("room", "alice", nil)
	require.NoError(t, err)
	await(t, us, "room", "alice=")

	var readers sync.WaitGroup
	done := make(chan struct{})
	for _, tracker := range []*presence.Tracker{eu, us} {
		readers.Go(func() {
			last := 0
			for {
				select {
				case <-done:
					return
				default:
				}
				p, ok := tracker.Get("room", "alice")
				if !ok || len(p.Metas) != 1 {
					t.Errorf("%s has alice %d times", tracker.Name(), len(p.Metas))
					return
				}
				var v struct{ N int }
				if err := p.Metas[0].Decode(&v); err != nil || v.N < last {
					t.Errorf("%s went back from %d to %d (%v)", tracker.Name(), last, v.N, err)
					return
				}
				last = v.N
			}
		})
	}
	for n := range 30_000 {
		if _, err := session.Update("room", "alice", presence.Replace(map[string]int{"n": n})); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	readers.Wait()
}
