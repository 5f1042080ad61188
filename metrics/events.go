package metrics

import (
	"errors"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// EventOptions configure [ChannelEvents]. The zero value is usable.
type EventOptions struct {
	// Class returns the class of a topic, such as "room" for all of "room:*". Joins
	// and durations then have the label class. It is called concurrently, for every
	// message, and must return quickly. Nil: there is no such label.
	Class func(topic string) string
	// Buckets are the upper bounds of durations, in seconds. Default: 0.1 ms to 10 s,
	// in steps of 1, 2.5 and 5.
	Buckets []float64
}

var defaultBuckets = []float64{
	.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10,
}

// maxClasses limits the values of the label class, apart from otherLabel.
const maxClasses = 64

// otherLabel replaces a value that is outside its label's set.
const otherLabel = "other"

// EventCollector is a prometheus.Collector of an endpoint's events. Its methods may be
// called concurrently.
type EventCollector struct {
	// static after ChannelEvents
	class   func(topic string) string
	vectors []prometheus.Collector

	connects, joins, rejections *prometheus.CounterVec
	joinDurations, inDurations  *prometheus.HistogramVec
	batches, drained            prometheus.Counter

	mu      sync.Mutex
	classes map[string]bool // guarded by mu
}

// ChannelEvents returns a collector of what an endpoint reports to a
// channel.Telemetry. The endpoint's config must list [EventCollector.Telemetry]. self
// is the replica's name.
func ChannelEvents(self string, options EventOptions) *EventCollector {
	c := &EventCollector{class: options.Class, classes: map[string]bool{}}
	buckets := options.Buckets
	if buckets == nil {
		buckets = defaultBuckets
	}
	var class []string
	if c.class != nil {
		class = []string{"class"}
	}
	prefix, labels := prefix("channel"), selfLabel(self)
	counter := func(name, help string, variable ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help, ConstLabels: labels}, variable)
		c.vectors = append(c.vectors, v)
		return v
	}
	durations := func(name, help string) *prometheus.HistogramVec {
		v := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: prefix + name, Help: help, ConstLabels: labels, Buckets: buckets}, class)
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
		c.rejections.WithLabelValues(string(cause)) // so that a rate is defined before the first one
	}
	return c
}

// Telemetry returns the hooks that count an endpoint's events.
func (c *EventCollector) Telemetry() channel.Telemetry {
	return channel.Telemetry{
		Connect: func(e channel.ConnectEvent) {
			result := "accepted"
			if e.Err != nil {
				result = "refused"
			}
			c.connects.WithLabelValues(e.Request.Transport(), result).Inc()
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
			if !slices.Contains(wire.Causes(), cause) { // of a transport outside this module
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

// labels returns the value of the label class for a topic, if there is that label.
func (c *EventCollector) labels(topic string) []string {
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
func (c *EventCollector) Describe(out chan<- *prometheus.Desc) {
	for _, v := range c.vectors {
		v.Describe(out)
	}
}

// Collect implements prometheus.Collector.
func (c *EventCollector) Collect(out chan<- prometheus.Metric) {
	for _, v := range c.vectors {
		v.Collect(out)
	}
}
