package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rollcall-go/rollcall/channel"
)

// Channel returns a collector of an endpoint's statistics, channel.Stats. self is the
// replica's name. [ChannelEvents] exports what happens between two scrapes.
func Channel(self string, e *channel.Endpoint) prometheus.Collector {
	c := newCollector("channel", self, e.Stats)
	gauge(c, "connections", "Connections of clients.", func(s channel.Stats) int64 { return s.Connections })
	gauge(c, "channels", "Channels that are joined.", func(s channel.Stats) int64 { return s.Channels })
	gauge(c, "busy", "Channels, subscribers and topics that have something to do.", func(s channel.Stats) int64 { return s.Busy })
	gauge(c, "graces", "Lost channels whose presences are in their grace.", func(s channel.Stats) int64 { return s.Graces })
	gauge(c, "joins_running", "Joins that run.", func(s channel.Stats) int64 { return s.JoinsRunning })
	gauge(c, "joins_waiting", "Joins that wait for their turn.", func(s channel.Stats) int64 { return s.JoinsWaiting })
	counter(c, "joins_waited_total", "Joins that had to wait for their turn.", func(s channel.Stats) uint64 { return s.JoinsWaited })
	counter(c, "joins_refused_total", "Joins that were refused because too many waited, or for having waited too long.", func(s channel.Stats) uint64 { return s.JoinsRefused })
	counter(c, "panics_total", "Panics of callbacks.", func(s channel.Stats) uint64 { return s.Panics })
	counter(c, "mailbox_overflows_total", "Channels that ended because they did not keep up.", func(s channel.Stats) uint64 { return s.MailboxOverflows })
	counter(c, "dropped_total", "Broadcasts that plain subscribers lost.", func(s channel.Stats) uint64 { return s.Dropped })
	counter(c, "garbage_total", "Messages on the bus that could not be read.", func(s channel.Stats) uint64 { return s.Garbage })
	counter(c, "fetch_failures_total", "Calls of Fetch that clients had to do without.", func(s channel.Stats) uint64 { return s.FetchFailures })
	return c
}
