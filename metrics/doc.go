// Package metrics exports the statistics of a replica's parts to Prometheus.
//
//	events := metrics.ChannelEvents("eu-1", metrics.EventOptions{})
//	endpoint, err := channel.New(channel.Config{Telemetry: []channel.Telemetry{events.Telemetry()}})
//	registry.MustRegister(
//		events,
//		metrics.Channel("eu-1", endpoint),
//		metrics.Presence("eu-1", tracker),
//		metrics.NATS("eu-1", bus),
//		metrics.Intake("eu-1", in),
//	)
//
// It is a package of its own so that the packages that it measures do not import
// Prometheus; it imports them all, and so the NATS client. Each part has one constructor. Every metric has the label self, the
// replica's name. Names that end in _total are counters since the start of the part;
// the others are gauges, but for durations, which are histograms in seconds.
//
// # ChannelEvents and Channel: rollcall_channel_*
//
//	connects_total{transport,result}  connections by the handler's verdict: accepted, refused
//	joins_total{result}               joins by the channel's verdict: accepted, refused, crashed
//	join_duration_seconds             duration of Join
//	handle_in_duration_seconds        duration of HandleIn; its count is that of messages
//	rejections_total{cause}           refusals without a callback: limits, slow clients,
//	                                  malformed frames; see wire.Cause
//	drain_batches_total               batches of connections that a drain closed
//	drained_total                     connections in them
//
//	connections, channels             open connections, joined channels
//	busy                              channels, subscribers and topics with work to do
//	graces                            lost channels whose presences are in leave grace
//	joins_running, joins_waiting      joins in progress and queued; a replica whose queue
//	                                  stays long is overloaded
//	joins_waited_total                joins that were queued
//	joins_refused_total               joins refused after queuing, or because the queue
//	                                  was full: rejections of cause overloaded
//	panics_total                      panics of callbacks
//	mailbox_overflows_total           channels that ended because they did not keep up
//	dropped_total                     broadcasts that plain subscribers lost
//	garbage_total                     bus messages that could not be read
//	fetch_failures_total              failed calls of Fetch
//
// The first group is of ChannelEvents, the second of Channel.
//
// # Presence: rollcall_presence_*
//
//	ready                             1 if lists can be relied on: settled, not isolated,
//	                                  not fenced
//	isolated, fenced, mirror          1 if the replica is cut off, if another process has
//	                                  its name, if it follows every topic
//	topics, presences                 topics followed, presences of its own sessions
//	queued_bytes                      bytes that wait for the bus
//	undelivered_events                events that wait for watchers
//	replicas{status}                  other replicas: up, down
//	replica_up{replica}               1 if the replica is up
//	replica_beat{replica}             number of its last heartbeat
//	replica_silent_seconds{replica}   time since its last message
//	replica_presences{replica}        presences known of it
//	replica_lagging_topics{replica}   topics in which it has more than is known of it
//	received_total, flushed_total     messages from other replicas, deltas sent
//	applied_total, gaps_total         deltas and answers that changed a list, deltas that
//	                                  came too early
//	asked_total, answers_total{kind}  topics asked for, and answered with: unchanged, log,
//	                                  dots, snapshot
//	joint_answers_total               answers to several replicas at once
//	unheard_total                     questions that were not answered: the queue was full
//	malformed_total, outdated_total   messages that could not be decoded, or need a later
//	                                  version
//	ignored_total, unmirrored_total   heartbeats beyond MaxReplicas, messages about topics
//	                                  beyond a mirror's MaxTopics
//	lost_total                        times that the bus may have dropped messages
//	dropped_total, unsent_total       messages not sent: the queue was full, the bus refused
//	audit_mismatches_total            lists that differed from their owner's; always 0
//	                                  unless there is a bug
//
// # NATS: rollcall_natsbus_*
//
//	published_total, received_total   messages
//	dropped_total                     messages for which a lane's queue had no room
//	overruns_total                    times that NATS may have dropped messages
//	lost_total                        losses reported to lanes
//	errors_total                      asynchronous errors, such as missing permissions
//	subscriptions                     NATS subscriptions
//	queued_bytes                      bytes in the queues of the lanes
//
// # Intake: rollcall_intake_*
//
//	queued                            accepted connections that are not read yet; those of
//	                                  a reconnect storm are here
//	handshakes_running                handshakes in progress
//	handshakes_waiting                handshakes queued
//	waited_total                      handshakes that were queued
//	refused_total                     handshakes refused with 503: the queue was full, or
//	                                  they were queued for too long
//
// # Cardinality
//
// Clients cannot create series. Values of transport, result, cause, status and kind are
// from fixed sets; a cause that is not in wire.Causes is "other". Values of replica
// are at most presence.Config.MaxReplicas. Topics are no labels; EventOptions.Class adds
// the label class to joins and durations, with at most 64 values and "other".
//
// # Concurrency
//
// Collectors may be used concurrently, and need no shutdown. All but that of
// ChannelEvents read their part when they are scraped, and cost nothing otherwise.
package metrics
