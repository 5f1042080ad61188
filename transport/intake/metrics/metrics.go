package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-go/rollcall/transport/intake"
)

// Collector is a prometheus.Collector over one intake.
type Collector struct {
	stats   func() intake.Stats // static
	figures []figure            // static
}

// figure is one metric: how it is described, and what it reads.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(intake.Stats) float64
}

// New returns a collector of in's figures, labelled with the name of the replica
// that it is the intake of ("self").
func New(self string, in *intake.Intake) *Collector { return newCollector(self, in.Stats) }

func newCollector(self string, stats func() intake.Stats) *Collector {
	c := &Collector{stats: stats}
	add := func(metric, help string, kind prometheus.ValueType, read func(intake.Stats) float64) {
		desc := prometheus.NewDesc("rollcall_intake_"+metric, help, nil, prometheus.Labels{"self": self})
		c.figures = append(c.figures, figure{desc, kind, read})
	}
	gauge, counter := prometheus.GaugeValue, prometheus.CounterValue
	add("queued", "Connections that wait in a listener, before anything is read of them.", gauge, func(s intake.Stats) float64 { return float64(s.Queued) })
	add("handshakes_running", "Handshakes that have their turn.", gauge, func(s intake.Stats) float64 { return float64(s.Running) })
	add("handshakes_waiting", "Handshakes that wait for their turn.", gauge, func(s intake.Stats) float64 { return float64(s.Waiting) })
	add("waited_total", "Handshakes that had to wait.", counter, func(s intake.Stats) float64 { return float64(s.Waited) })
	add("refused_total", "Handshakes refused because too many waited, or for having waited too long.", counter, func(s intake.Stats) float64 { return float64(s.Refused) })
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
