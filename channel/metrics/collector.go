package metrics

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// Options say how the figures of an endpoint are labelled. The zero value is
// usable.
type Options struct {
	// Self is the replica's name.
	Self string
	// Class is the class of a topic, such as "room" for all of "room:*". It is
	// called concurrently, for every message, and must be quick. Nil: there is no
	// such label.
	Class func(topic string) string
	// Buckets are the upper bounds of the durations, in seconds. Default: 0.1 ms
	// to 10 s, in steps of 1, 2.5 and 5.
	Buckets []float64
}

var defaultBuckets = []float64{
	.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10,
}

// maxClasses bounds how many classes there can be, whatever Class does.
const maxClasses = 64

// otherLabel is what does not fit into a label's set.
const otherLabel = "other"

// Collector is a prometheus.Collector over one endpoint.
type Collector struct {
	// static after New
	class   func(topic string) string
	vectors []prometheus.Collector
	figures []figure

	connects, joins, rejections *prometheus.CounterVec
	joinDurations, inDurations  *prometheus.HistogramVec
	batches, drained            prometheus.Counter

	endpoint atomic.Pointer[channel.Endpoint] // nil before Watch

	mu      sync.Mutex
	classes map[string]bool
}

// figure is one metric of channel.Stats.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(channel.Stats) float64
}

// New makes a collector. Give its Telemetry to the endpoint's config, and the
// endpoint to Watch.
func New(options Options) *Collector {
	c := &Collector{class: options.Class, classes: map[string]bool{}}
	buckets := options.Buckets
	if buckets == nil {
		buckets = defaultBuckets
	}
	self := prometheus.Labels{"self": options.Self}
	const prefix = "rollcall_channel_"
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help, ConstLabels: self}, labels)
		c.vectors = append(c.vectors, v)
		return v
	}
	var class []string
	if c.class != nil {
		class = []string{"class"}
	}
	durations := func(name, help string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + name, Help: help, ConstLabels: self, Buckets: buckets}, class)
		c.vectors = append(c.vectors, v)
		return v
	}
	c.connects = counter("connects_total", "Connections that a handler has judged.", "transport", "result")
	c.joins = counter("joins_total", "Joins that a channel has judged.", append([]string{"result"}, class...)...)
	c.rejections = counter("rejections_total", "What was refused without asking the application, and ends of connections that their clients are to blame for.", "cause")
	c.joinDurations = durations("join_duration_seconds", "How long Join took.")
	c.inDurations = durations("handle_in_duration_seconds", "How long HandleIn took.")
	c.batches = counter("drain_batches_total", "Batches of connections that were closed by a drain.").WithLabelValues()
	c.drained = counter("drained_total", "Connections that were closed by a drain.").WithLabelValues()
	for _, cause := range append(wire.Causes(), otherLabel) {
		c.rejections.WithLabelValues(string(cause)) // a rate is defined before the first
	}

	read := func(name, help string, kind prometheus.ValueType, read func(channel.Stats) float64) {
		c.figures = append(c.figures, figure{prometheus.NewDesc(prefix+name, help, nil, self), kind, read})
	}
	gauge, count := prometheus.GaugeValue, prometheus.CounterValue
	read("connections", "Connections of clients.", gauge, func(s channel.Stats) float64 { return float64(s.Connections) })
	read("channels", "Channels that are joined.", gauge, func(s channel.Stats) float64 { return float64(s.Channels) })
	read("busy", "Channels, subscribers and topics that have something to do.", gauge, func(s channel.Stats) float64 { return float64(s.Busy) })
	read("graces", "Lost channels whose presences are in their grace.", gauge, func(s channel.Stats) float64 { return float64(s.Graces) })
	read("joins_running", "Joins that run.", gauge, func(s channel.Stats) float64 { return float64(s.JoinsRunning) })
	read("joins_waiting", "Joins that wait for their turn.", gauge, func(s channel.Stats) float64 { return float64(s.JoinsWaiting) })
	read("joins_waited_total", "Joins that had to wait for their turn.", count, func(s channel.Stats) float64 { return float64(s.JoinsWaited) })
	read("joins_refused_total", "Joins that were refused because too many waited, or for having waited too long.", count, func(s channel.Stats) float64 { return float64(s.JoinsRefused) })
	read("panics_total", "Panics of callbacks.", count, func(s channel.Stats) float64 { return float64(s.Panics) })
	read("mailbox_overflows_total", "Channels that ended because they did not keep up.", count, func(s channel.Stats) float64 { return float64(s.MailboxOverflows) })
	read("dropped_total", "Broadcasts that plain subscribers lost.", count, func(s channel.Stats) float64 { return float64(s.Dropped) })
	read("garbage_total", "Messages on the bus that could not be read.", count, func(s channel.Stats) float64 { return float64(s.Garbage) })
	read("fetch_failures_total", "Calls of Fetch that clients had to do without.", count, func(s channel.Stats) float64 { return float64(s.FetchFailures) })
	return c
}

// Watch has the figures of channel.Stats read from the endpoint when they are
// scraped. Before it they are missing.
func (c *Collector) Watch(e *channel.Endpoint) { c.endpoint.Store(e) }

// Telemetry counts what an endpoint tells.
func (c *Collector) Telemetry() channel.Telemetry {
	return channel.Telemetry{
		Connect: func(e channel.ConnectEvent) {
			result := "accepted"
			if e.Err != nil {
				result = "refused"
			}
			c.connects.WithLabelValues(e.Conn.Transport(), result).Inc()
		},
		Join: func(e channel.JoinEvent) {
			class := c.labels(e.Socket.Topic())
			c.joins.WithLabelValues(append([]string{joinResult(e.Err)}, class...)...).Inc()
			c.joinDurations.WithLabelValues(class...).Observe(e.Duration.Seconds())
		},
		HandleIn: func(e channel.HandleInEvent) {
			c.inDurations.WithLabelValues(c.labels(e.Socket.Topic())...).Observe(e.Duration.Seconds())
		},
		Drain: func(e channel.DrainEvent) {
			c.batches.Inc()
			c.drained.Add(float64(e.Count))
		},
		Reject: func(r channel.RejectEvent) {
			cause := r.Cause
			if !slices.Contains(wire.Causes(), cause) { // a transport that is not ours
				cause = otherLabel
			}
			c.rejections.WithLabelValues(string(cause)).Inc()
		},
	}
}

func joinResult(err error) string {
	switch refusal := (*channel.Refusal)(nil); {
	case err == nil:
		return "accepted"
	case errors.As(err, &refusal):
		return "refused"
	}
	return "crashed"
}

// labels has the label of a topic's class, if there is one.
func (c *Collector) labels(topic string) []string {
	if c.class == nil {
		return nil
	}
	class := c.class(topic)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.classes[class] {
		if len(c.classes) >= maxClasses {
			return []string{otherLabel}
		}
		c.classes[class] = true
	}
	return []string{class}
}

// Describe implements prometheus.Collector.
func (c *Collector) Describe(ch chan<- *prometheus.Desc) {
	for _, v := range c.vectors {
		v.Describe(ch)
	}
	for _, f := range c.figures {
		ch <- f.desc
	}
}

// Collect implements prometheus.Collector.
func (c *Collector) Collect(ch chan<- prometheus.Metric) {
	for _, v := range c.vectors {
		v.Collect(ch)
	}
	e := c.endpoint.Load()
	if e == nil {
		return
	}
	stats := e.Stats()
	for _, f := range c.figures {
		ch <- prometheus.MustNewConstMetric(f.desc, f.kind, f.read(stats))
	}
}
