package natsbus

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/stretchr/testify/require"
)

// withBuckets runs a test with a subject for each topic, and with few for all.
func withBuckets(t *testing.T, test func(t *testing.T, opt Option)) {
	for _, n := range []int{0, 3} {
		t.Run(fmt.Sprintf("buckets=%d", n), func(t *testing.T) { test(t, Buckets(n)) })
	}
}

func TestAllOfAClassIsReceivedUntilItIsNotWanted(t *testing.T) {
	withBuckets(t, func(t *testing.T, opt Option) {
		onServers(t, func(t *testing.T, sa, sb *server.Server) {
			a, b := newBus(t, sa, opt), newBus(t, sb, opt)
			r, other := open(t, b, 'p', "end"), open(t, b, 'c', "t:x", "end")
			require.NoError(t, b.SubscribeAll('p', "t"))
			require.NoError(t, b.SubscribeAll('p', "t"), "a second time")
			meet(t, a, b, 'p', r)
			publish(t, a, 'p', "t:x", "1")
			publish(t, a, 'p', "t:*", "2")
			publish(t, a, 'p', "r:x", "another class")
			publish(t, a, 'p', "t", "no class")
			publish(t, a, 'c', "t:x", "another lane")
			publish(t, a, 'c', "t:y", "and not wanted there")
			publish(t, a, 'p', "end", "end")
			publish(t, a, 'c', "end", "end")
			require.Equal(t, []string{"1", "2"}, r.until("end"))
			require.Equal(t, []string{"another lane"}, other.until("end"))

			require.NoError(t, b.UnsubscribeAll('p', "t"))
			require.NoError(t, b.UnsubscribeAll('p', "t"), "a second time")
			require.NoError(t, b.UnsubscribeAll('p', "never"))
			require.NoError(t, b.nc.Flush())
			publish(t, a, 'p', "t:x", "late")
			publish(t, a, 'c', "t:x", "still there")
			publish(t, a, 'p', "end", "end")
			publish(t, a, 'c', "end", "end")
			require.Empty(t, r.until("end"))
			require.Equal(t, []string{"still there"}, other.until("end"))
		})
	})
}

func TestAClosedLaneWantsNothingOfItsClasses(t *testing.T) {
	s := startServer(t)
	b := newBus(t, s)
	stop, err := b.Listen('p', func([]byte) {}, func(string, string) {})
	require.NoError(t, err)
	require.NoError(t, b.SubscribeAll('p', "t"))
	before := b.nc.NumSubscriptions()
	require.Equal(t, 1, b.Stats().Subscriptions)
	stop()
	require.Equal(t, before-1, b.nc.NumSubscriptions())
	require.Empty(t, b.classes)
	require.ErrorIs(t, b.SubscribeAll('p', "t"), ErrLaneClosed)
	require.ErrorIs(t, b.SubscribeAll('p', ""), ErrDest)
	require.ErrorIs(t, b.UnsubscribeAll('p', ""), ErrDest)
}
