package replica

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A dump has each replica's part with its numbers.
func TestADumpHasDotsAndCounters(t *testing.T) {
	p := newPair(t, nil)
	track := func(r *Replica, key string) uint64 {
		require.NoError(t, r.Acquire(p.now, "room", false))
		dot, err := r.Track(p.now, "room", key, []byte(`{}`))
		require.NoError(t, err)
		return dot
	}
	alice := track(p.eu, "alice")
	track(p.eu, "bob")
	alice, held := p.eu.Update(p.now, "room", alice, []byte(`{"color":"blue"}`))
	require.True(t, held)
	carol := track(p.us, "carol")
	p.pass(2 * time.Second)

	d := p.us.Dump("room")
	require.True(t, d.Interested)
	require.True(t, d.Complete)
	require.Equal(t, "us", d.Own.Replica)
	require.Equal(t, p.us.Epoch(), d.Own.Epoch)
	require.Equal(t, uint64(1), d.Own.Seq)
	require.Len(t, d.Own.Entries, 1)
	require.Equal(t, p.us.Ref(carol), d.Own.Entries[0].Meta.Ref)
	require.Len(t, d.Views, 1)
	v := d.Views[0]
	require.Equal(t, "eu", v.Replica)
	require.Equal(t, p.eu.Epoch(), v.Epoch)
	require.Equal(t, uint64(3), v.Seq, "two tracks and an update")
	require.True(t, v.Up && v.Synced)
	require.Zero(t, v.Held)
	require.Len(t, v.Entries, 2)
	numbers := map[string][2]uint64{}
	for _, e := range v.Entries {
		numbers[e.Key] = [2]uint64{e.Dot, e.Origin}
		if e.Key == "alice" {
			require.Equal(t, p.eu.Ref(alice), e.Meta.Ref)
		}
	}
	require.Equal(t, map[string][2]uint64{"alice": {3, 1}, "bob": {2, 2}}, numbers)
	require.Equal(t, v.Entries, p.eu.Dump("room").Own.Entries)
	require.False(t, p.us.Dump("attic").Interested)
}
