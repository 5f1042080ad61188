// Package metrics shows an endpoint of package channel to Prometheus. It is a
// package of its own so that channel brings no HTTP along.
//
//	m := metrics.New(metrics.Options{Self: "eu-1"})
//	endpoint, err := channel.New(channel.Config{Telemetry: []channel.Telemetry{m.Telemetry()}})
//	m.Watch(endpoint)
//	registry.MustRegister(m)
//
// # Figures
//
// All are named rollcall_channel_* and labelled with the replica's name ("self").
//
//	connects_total{transport,result}        judged by a handler: accepted, refused
//	joins_total{result}                     accepted, refused, crashed
//	join_duration_seconds                   of Join
//	handle_in_duration_seconds              of HandleIn; its count is that of messages
//	rejections_total{cause}                 refused without asking the application:
//	                                        limits, slow clients, malformed frames
//	drain_batches_total, drained_total      batches of a drain, connections in them
//	connections, channels, busy, graces     now; see channel.Stats
//	joins_running, joins_waiting            now; a replica where joins wait for
//	                                        long needs help
//	joins_waited_total, joins_refused_total had to wait, and were refused after
//	                                        all: rejections of the cause overloaded
//	panics_total, mailbox_overflows_total,  see channel.Stats
//	dropped_total, garbage_total,
//	fetch_failures_total
//
// A client can make no label up: a transport, a result and a cause ([wire.Cause])
// are of a fixed set, and topics are no labels. With Options.Class joins and
// durations are labelled with the class of their topic too, which is the
// application's to choose; the 65th class and all after it are "other".
//
// # Concurrency
//
// A [Collector] may be used concurrently. There is nothing to shut down.
package metrics
