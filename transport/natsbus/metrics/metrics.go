// Package metrics shows a bus to Prometheus. It is a package of its own so that
// natsbus does not bring Prometheus along.
//
//	registry.MustRegister(metrics.New("eu-1", bus))
//
// The figures are read when they are scraped: a collector that is not scraped costs
// nothing. A [Collector] may be used concurrently, and needs no shutdown.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-go/rollcall/transport/natsbus"
)

// Collector is a prometheus.Collector over one bus.
type Collector struct {
	stats   func() natsbus.Stats // static
	figures []figure             // static
}

// figure is one metric: how it is described, and what it reads.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(natsbus.Stats) float64
}

// New returns a collector of bus's figures, all named rollcall_natsbus_* and
// labelled with the name of the replica that it is the bus of ("self").
func New(self string, bus *natsbus.Bus) *Collector { return newCollector(self, bus.Stats) }

func newCollector(self string, stats func() natsbus.Stats) *Collector {
	c := &Collector{stats: stats}
	add := func(metric, help string, kind prometheus.ValueType, read func(natsbus.Stats) float64) {
		desc := prometheus.NewDesc("rollcall_natsbus_"+metric, help, nil, prometheus.Labels{"self": self})
		c.figures = append(c.figures, figure{desc, kind, read})
	}
	counter := func(metric, help string, read func(natsbus.Stats) uint64) {
		add(metric, help, prometheus.CounterValue, func(s natsbus.Stats) float64 { return float64(read(s)) })
	}
	gauge := func(metric, help string, read func(natsbus.Stats) int) {
		add(metric, help, prometheus.GaugeValue, func(s natsbus.Stats) float64 { return float64(read(s)) })
	}
	counter("published_total", "Messages given to NATS.", func(s natsbus.Stats) uint64 { return s.Published })
	counter("received_total", "Messages of what is subscribed to here.", func(s natsbus.Stats) uint64 { return s.Received })
	counter("dropped_total", "Messages for which the queue of their lane had no room.", func(s natsbus.Stats) uint64 { return s.Dropped })
	counter("overruns_total", "Times that NATS may have dropped any number of messages, since this program was too slow.", func(s natsbus.Stats) uint64 { return s.Overruns })
	counter("lost_total", "Times that a lane was told of a loss.", func(s natsbus.Stats) uint64 { return s.Lost })
	counter("errors_total", "Asynchronous errors of the connection, such as missing permissions.", func(s natsbus.Stats) uint64 { return s.Errors })
	gauge("subscriptions", "NATS subscriptions.", func(s natsbus.Stats) int { return s.Subscriptions })
	gauge("queued_bytes", "Bytes that were received and wait in the queues of the lanes.", func(s natsbus.Stats) int { return s.QueuedBytes })
	return c
}

// Describe is for the registry.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, f := range c.figures {
		out <- f.desc
	}
}

// Collect is for the registry.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	stats := c.stats()
	for _, f := range c.figures {
		out <- prometheus.MustNewConstMetric(f.desc, f.kind, f.read(stats))
	}
}
