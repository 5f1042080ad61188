// Package metrics shows a tracker to Prometheus. It is a package of its own so
// that presence brings no HTTP along.
//
//	registry.MustRegister(metrics.New(tracker))
//
// The figures are read when they are scraped: nothing is counted twice, and a
// collector that is not scraped costs nothing. A [Collector] may be used
// concurrently.
package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-go/rollcall/presence"
)

// Collector is a prometheus.Collector over one tracker.
type Collector struct {
	status  func() presence.Status
	figures []figure
}

// figure is one metric: how it is described, and what it reads.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(s presence.Status, emit func(value float64, labels ...string))
}

// New returns a collector of tracker's figures, all named rollcall_presence_*
// and labelled with the replica's name ("self").
func New(tracker *presence.Tracker) *Collector { return newCollector(tracker.Name(), tracker.Status) }

func newCollector(name string, status func() presence.Status) *Collector {
	c := &Collector{status: status}
	add := func(metric, help string, kind prometheus.ValueType, labels []string, read func(s presence.Status, emit func(float64, ...string))) {
		desc := prometheus.NewDesc("rollcall_presence_"+metric, help, labels, prometheus.Labels{"self": name})
		c.figures = append(c.figures, figure{desc, kind, read})
	}
	gauge := func(metric, help string, read func(s presence.Status) float64) {
		add(metric, help, prometheus.GaugeValue, nil, func(s presence.Status, emit func(float64, ...string)) { emit(read(s)) })
	}
	counter := func(metric, help string, read func(s presence.Status) uint64) {
		add(metric, help, prometheus.CounterValue, nil, func(s presence.Status, emit func(float64, ...string)) { emit(float64(read(s))) })
	}
	perReplica := func(metric, help string, read func(m presence.Member) float64) {
		add(metric, help, prometheus.GaugeValue, []string{"replica"}, func(s presence.Status, emit func(float64, ...string)) {
			for _, m := range s.Replicas {
				emit(read(m), m.Name)
			}
		})
	}

	add("replicas", "Other replicas, by status.", prometheus.GaugeValue, []string{"status"}, func(s presence.Status, emit func(float64, ...string)) {
		up := 0
		for _, m := range s.Replicas {
			if m.Up {
				up++
			}
		}
		emit(float64(up), "up")
		emit(float64(len(s.Replicas)-up), "down")
	})
	gauge("ready", "1 when lists can be relied upon and others hear this replica.", func(s presence.Status) float64 { return one(s.Ready()) })
	gauge("isolated", "1 while this replica is cut off and holds its verdicts on others back.", func(s presence.Status) float64 { return one(s.Isolated) })
	gauge("fenced", "1 while another process of this replica's name lives.", func(s presence.Status) float64 { return one(s.Fenced) })
	gauge("mirror", "1 while this replica follows every topic.", func(s presence.Status) float64 { return one(s.Mirror) })
	gauge("topics", "Topics that are followed.", func(s presence.Status) float64 { return float64(s.Topics) })
	gauge("presences", "Presences of this replica's own sessions.", func(s presence.Status) float64 { return float64(s.Presences) })
	gauge("queued_bytes", "Bytes that wait for the bus.", func(s presence.Status) float64 { return float64(s.Queued) })
	gauge("undelivered_events", "Events that wait for watchers.", func(s presence.Status) float64 { return float64(s.Undelivered) })

	perReplica("replica_up", "1 when the replica is up.", func(m presence.Member) float64 { return one(m.Up) })
	perReplica("replica_beat", "The number of the replica's last heartbeat.", func(m presence.Member) float64 { return float64(m.Beat) })
	perReplica("replica_silent_seconds", "Time since the replica's last word.", func(m presence.Member) float64 { return m.Silent.Seconds() })
	perReplica("replica_presences", "Presences known of the replica.", func(m presence.Member) float64 { return float64(m.Presences) })
	perReplica("replica_lagging_topics", "Topics in which the replica is known to have more than is known of it.", func(m presence.Member) float64 { return float64(m.Lagging) })

	counter("received_total", "Messages from other replicas.", func(s presence.Status) uint64 { return s.Stats.Received })
	counter("malformed_total", "Messages that could not be decoded.", func(s presence.Status) uint64 { return s.Stats.Malformed })
	counter("flushed_total", "Deltas sent.", func(s presence.Status) uint64 { return s.Stats.Flushed })
	counter("applied_total", "Deltas and answers that changed something.", func(s presence.Status) uint64 { return s.Stats.Applied })
	counter("gaps_total", "Deltas that came too early.", func(s presence.Status) uint64 { return s.Stats.Gaps })
	counter("asked_total", "Topics asked for.", func(s presence.Status) uint64 { return s.Stats.Asked })
	counter("joint_answers_total", "Answers that were for several who asked for the same.", func(s presence.Status) uint64 { return s.Stats.Joint })
	counter("unheard_total", "Questions that were not answered because too many waited.", func(s presence.Status) uint64 { return s.Stats.Unheard })
	counter("outdated_total", "Messages that need a later version of this program.", func(s presence.Status) uint64 { return s.Stats.Outdated })
	counter("ignored_total", "Heartbeats of replicas beyond the limit.", func(s presence.Status) uint64 { return s.Stats.Ignored })
	counter("unmirrored_total", "Messages about topics that a mirror has no room for.", func(s presence.Status) uint64 { return s.Stats.Unmirrored })
	counter("lost_total", "Times that the bus may have dropped messages to this replica.", func(s presence.Status) uint64 { return s.Stats.Lost })
	counter("dropped_total", "Messages that were not sent because too many waited.", func(s presence.Status) uint64 { return s.Dropped })
	counter("unsent_total", "Messages that the bus refused: it was disconnected, or they were too large.", func(s presence.Status) uint64 { return s.Unsent })
	counter("audit_mismatches_total", "Views that differed from their owner's content: should stay 0.", func(s presence.Status) uint64 { return s.Stats.AuditMismatches })
	add("answers_total", "Topics answered, by what the asker needed.", prometheus.CounterValue, []string{"kind"}, func(s presence.Status, emit func(float64, ...string)) {
		emit(float64(s.Stats.Unchanged), "unchanged")
		emit(float64(s.Stats.LogRepairs), "log")
		emit(float64(s.Stats.DotSets), "dots")
		emit(float64(s.Stats.Snapshots), "snapshot")
	})
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
	status := c.status()
	for _, f := range c.figures {
		f.read(status, func(value float64, labels ...string) {
			out <- prometheus.MustNewConstMetric(f.desc, f.kind, value, labels...)
		})
	}
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
