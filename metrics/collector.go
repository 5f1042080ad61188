package metrics

import "github.com/prometheus/client_golang/prometheus"

// collector exports metrics that are all read from one snapshot, taken anew for each
// scrape.
type collector[S any] struct {
	// static after its constructor
	prefix   string
	self     prometheus.Labels
	snapshot func() S
	metrics  []metric[S]
}

type metric[S any] struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(s S, emit emit)
}

// emit takes the value of one series, and the values of the metric's labels.
type emit func(value float64, labels ...string)

// newCollector returns a collector without metrics. Names of its metrics begin with
// rollcall_, subsystem and _.
func newCollector[S any](subsystem, self string, snapshot func() S) *collector[S] {
	return &collector[S]{prefix: prefix(subsystem), self: selfLabel(self), snapshot: snapshot}
}

func prefix(subsystem string) string { return "rollcall_" + subsystem + "_" }

func selfLabel(self string) prometheus.Labels { return prometheus.Labels{"self": self} }

// add adds a metric with labels.
func (c *collector[S]) add(name, help string, kind prometheus.ValueType, labels []string, read func(S, emit)) {
	c.metrics = append(c.metrics, metric[S]{prometheus.NewDesc(c.prefix+name, help, labels, c.self), kind, read})
}

type number interface{ int | int64 | uint64 | float64 }

func gauge[S any, N number](c *collector[S], name, help string, read func(S) N) {
	c.add(name, help, prometheus.GaugeValue, nil, func(s S, emit emit) { emit(float64(read(s))) })
}

func counter[S any, N number](c *collector[S], name, help string, read func(S) N) {
	c.add(name, help, prometheus.CounterValue, nil, func(s S, emit emit) { emit(float64(read(s))) })
}

// Describe implements prometheus.Collector.
func (c *collector[S]) Describe(out chan<- *prometheus.Desc) {
	for _, m := range c.metrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector[S]) Collect(out chan<- prometheus.Metric) {
	s := c.snapshot()
	for _, m := range c.metrics {
		m.read(s, func(value float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
		})
	}
}
