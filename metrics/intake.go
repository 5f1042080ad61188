package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-go/rollcall/transport/intake"
)

// Intake returns a collector of an intake's statistics, intake.Stats. self is the name
// of the replica whose clients it admits.
func Intake(self string, in *intake.Intake) prometheus.Collector {
	return intakeCollector(self, in.Stats)
}

func intakeCollector(self string, stats func() intake.Stats) prometheus.Collector {
	c := newCollector("intake", self, stats)
	gauge(c, "queued", "Connections that wait in a listener, before anything is read of them.", func(s intake.Stats) int { return s.Queued })
	gauge(c, "handshakes_running", "Handshakes that have their turn.", func(s intake.Stats) int { return s.Running })
	gauge(c, "handshakes_waiting", "Handshakes that wait for their turn.", func(s intake.Stats) int { return s.Waiting })
	counter(c, "waited_total", "Handshakes that had to wait.", func(s intake.Stats) uint64 { return s.Waited })
	counter(c, "refused_total", "Handshakes refused because too many waited, or for having waited too long.", func(s intake.Stats) uint64 { return s.Refused })
	return c
}
