// Package metrics exports an intake's counts to Prometheus: how many clients wait to
// connect, and how many were refused. It is a package of its own so that intake does
// not import Prometheus.
//
//	registry.MustRegister(metrics.New("eu-1", in))
//
// # Figures
//
// All are named rollcall_intake_* and labelled with the replica's name ("self").
//
//	queued              connections that wait in a listener now, unread; those of a
//	                    storm are here
//	handshakes_running  handshakes that have their turn now
//	handshakes_waiting  handshakes that wait for it now, as requests
//	waited_total        handshakes that had to wait
//	refused_total       handshakes that were refused, with 503, because too many
//	                    waited or for having waited too long: a replica where it
//	                    rises needs help
//
// They are counts of [intake.Stats].
//
// # Concurrency
//
// The figures are read when they are scraped: a collector that is not scraped costs
// nothing. A [Collector] may be used concurrently, and needs no shutdown.
package metrics
