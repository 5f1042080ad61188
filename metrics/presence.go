package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-go/rollcall/presence"
)

// Presence returns a collector of a tracker's status, presence.Status. self is the
// tracker's name.
func Presence(self string, t *presence.Tracker) prometheus.Collector {
	return presenceCollector(self, t.Status)
}

func presenceCollector(self string, status func() presence.Status) prometheus.Collector {
	c := newCollector("presence", self, status)
	perReplica := func(name, help string, read func(m presence.Member) float64) {
		c.add(name, help, prometheus.GaugeValue, []string{"replica"}, func(s presence.Status, emit emit) {
			for _, m := range s.Replicas {
				emit(read(m), m.Name)
			}
		})
	}
	c.add("replicas", "Other replicas, by status.", prometheus.GaugeValue, []string{"status"}, func(s presence.Status, emit emit) {
		up := 0
		for _, m := range s.Replicas {
			if m.Up {
				up++
			}
		}
		emit(float64(up), "up")
		emit(float64(len(s.Replicas)-up), "down")
	})
	gauge(c, "ready", "1 when lists can be relied upon and others hear this replica.", func(s presence.Status) float64 { return one(s.Ready()) })
	gauge(c, "isolated", "1 while this replica is cut off and holds its verdicts on others back.", func(s presence.Status) float64 { return one(s.Isolated) })
	gauge(c, "fenced", "1 while another process of this replica's name lives.", func(s presence.Status) float64 { return one(s.Fenced) })
	gauge(c, "mirror", "1 while this replica follows every topic.", func(s presence.Status) float64 { return one(s.Mirror) })
	gauge(c, "topics", "Topics that are followed.", func(s presence.Status) int { return s.Topics })
	gauge(c, "presences", "Presences of this replica's own sessions.", func(s presence.Status) int { return s.Presences })
	gauge(c, "queued_bytes", "Bytes that wait for the bus.", func(s presence.Status) int { return s.Queued })
	gauge(c, "undelivered_events", "Events that wait for watchers.", func(s presence.Status) int { return s.Undelivered })

	perReplica("replica_up", "1 when the replica is up.", func(m presence.Member) float64 { return one(m.Up) })
	perReplica("replica_beat", "The number of the replica's last heartbeat.", func(m presence.Member) float64 { return float64(m.Beat) })
	perReplica("replica_silent_seconds", "Time since the replica's last word.", func(m presence.Member) float64 { return m.Silent.Seconds() })
	perReplica("replica_presences", "Presences known of the replica.", func(m presence.Member) float64 { return float64(m.Presences) })
	perReplica("replica_lagging_topics", "Topics in which the replica is known to have more than is known of it.", func(m presence.Member) float64 { return float64(m.Lagging) })

	counter(c, "received_total", "Messages from other replicas.", func(s presence.Status) uint64 { return s.Stats.Received })
	counter(c, "malformed_total", "Messages that could not be decoded.", func(s presence.Status) uint64 { return s.Stats.Malformed })
	counter(c, "flushed_total", "Deltas sent.", func(s presence.Status) uint64 { return s.Stats.Flushed })
	counter(c, "applied_total", "Deltas and answers that changed something.", func(s presence.Status) uint64 { return s.Stats.Applied })
	counter(c, "gaps_total", "Deltas that came too early.", func(s presence.Status) uint64 { return s.Stats.Gaps })
	counter(c, "asked_total", "Topics asked for.", func(s presence.Status) uint64 { return s.Stats.Asked })
	counter(c, "joint_answers_total", "Answers that were for several who asked for the same.", func(s presence.Status) uint64 { return s.Stats.Joint })
	counter(c, "unheard_total", "Questions that were not answered because too many waited.", func(s presence.Status) uint64 { return s.Stats.Unheard })
	counter(c, "outdated_total", "Messages that need a later version of this program.", func(s presence.Status) uint64 { return s.Stats.Outdated })
	counter(c, "ignored_total", "Heartbeats of replicas beyond the limit.", func(s presence.Status) uint64 { return s.Stats.Ignored })
	counter(c, "unmirrored_total", "Messages about topics that a mirror has no room for.", func(s presence.Status) uint64 { return s.Stats.Unmirrored })
	counter(c, "lost_total", "Times that the bus may have dropped messages to this replica.", func(s presence.Status) uint64 { return s.Stats.Lost })
	counter(c, "dropped_total", "Messages that were not sent because too many waited.", func(s presence.Status) uint64 { return s.Dropped })
	counter(c, "unsent_total", "Messages that the bus refused: it was disconnected, or they were too large.", func(s presence.Status) uint64 { return s.Unsent })
	counter(c, "audit_mismatches_total", "Views that differed from their owner's content: should stay 0.", func(s presence.Status) uint64 { return s.Stats.AuditMismatches })
	c.add("answers_total", "Topics answered, by what the asker needed.", prometheus.CounterValue, []string{"kind"}, func(s presence.Status, emit emit) {
		emit(float64(s.Stats.Unchanged), "unchanged")
		emit(float64(s.Stats.LogRepairs), "log")
		emit(float64(s.Stats.DotSets), "dots")
		emit(float64(s.Stats.Snapshots), "snapshot")
	})
	return c
}

func one(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
