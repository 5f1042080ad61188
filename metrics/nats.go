package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-go/rollcall/transport/natsbus"
)

// NATS returns a collector of a bus's statistics, natsbus.Stats. self is the name of
// the replica that uses the bus.
func NATS(self string, bus *natsbus.Bus) prometheus.Collector { return natsCollector(self, bus.Stats) }

func natsCollector(self string, stats func() natsbus.Stats) prometheus.Collector {
	c := newCollector("natsbus", self, stats)
	counter(c, "published_total", "Messages given to NATS.", func(s natsbus.Stats) uint64 { return s.Published })
	counter(c, "received_total", "Messages of what is subscribed to here.", func(s natsbus.Stats) uint64 { return s.Received })
	counter(c, "dropped_total", "Messages for which the queue of their lane had no room.", func(s natsbus.Stats) uint64 { return s.Dropped })
	counter(c, "overruns_total", "Times that NATS may have dropped any number of messages, since this program was too slow.", func(s natsbus.Stats) uint64 { return s.Overruns })
	counter(c, "lost_total", "Times that a lane was told of a loss.", func(s natsbus.Stats) uint64 { return s.Lost })
	counter(c, "errors_total", "Asynchronous errors of the connection, such as missing permissions.", func(s natsbus.Stats) uint64 { return s.Errors })
	gauge(c, "subscriptions", "NATS subscriptions.", func(s natsbus.Stats) int { return s.Subscriptions })
	gauge(c, "queued_bytes", "Bytes that were received and wait in the queues of the lanes.", func(s natsbus.Stats) int { return s.QueuedBytes })
	return c
}
