package metrics

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/transport/natsbus"
)

func TestEveryNATSStatisticIsExported(t *testing.T) {
	c := natsCollector("eu", func() natsbus.Stats {
		return natsbus.Stats{Published: 1, Received: 2, Dropped: 3, Overruns: 4, Lost: 5, Errors: 6, Subscriptions: 7, QueuedBytes: 8}
	})
	problems, err := testutil.CollectAndLint(c)
	require.NoError(t, err)
	require.Empty(t, problems)
	require.NoError(t, testutil.CollectAndCompare(c, strings.NewReader(`
# HELP rollcall_natsbus_dropped_total Messages for which the queue of their lane had no room.
# TYPE rollcall_natsbus_dropped_total counter
rollcall_natsbus_dropped_total{self="eu"} 3
# HELP rollcall_natsbus_errors_total Asynchronous errors of the connection, such as missing permissions.
# TYPE rollcall_natsbus_errors_total counter
rollcall_natsbus_errors_total{self="eu"} 6
# HELP rollcall_natsbus_lost_total Times that a lane was told of a loss.
# TYPE rollcall_natsbus_lost_total counter
rollcall_natsbus_lost_total{self="eu"} 5
# HELP rollcall_natsbus_overruns_total Times that NATS may have dropped any number of messages, since this program was too slow.
# TYPE rollcall_natsbus_overruns_total counter
rollcall_natsbus_overruns_total{self="eu"} 4
# HELP rollcall_natsbus_published_total Messages given to NATS.
# TYPE rollcall_natsbus_published_total counter
rollcall_natsbus_published_total{self="eu"} 1
# HELP rollcall_natsbus_queued_bytes Bytes that were received and wait in the queues of the lanes.
# TYPE rollcall_natsbus_queued_bytes gauge
rollcall_natsbus_queued_bytes{self="eu"} 8
# HELP rollcall_natsbus_received_total Messages of what is subscribed to here.
# TYPE rollcall_natsbus_received_total counter
rollcall_natsbus_received_total{self="eu"} 2
# HELP rollcall_natsbus_subscriptions NATS subscriptions.
# TYPE rollcall_natsbus_subscriptions gauge
rollcall_natsbus_subscriptions{self="eu"} 7
`)))
}
