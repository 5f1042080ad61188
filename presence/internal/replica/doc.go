// Package replica is the state machine of one replica of package presence. It is
// pure: time and chance are arguments, and what is to be done comes out of
// [Replica.Ready], so that a test runs a cluster of replicas through any fault in
// virtual time. presence.Tracker is the shell around it: it owns the goroutines, the
// timers and the bus.
//
// The methods of a Replica must not be called concurrently. Each takes the current
// time, of which only differences count, and must be followed by Ready.
//
// # Terms
//
// A peer is another replica that its own heartbeats admitted; a tombstone remembers
// which epochs of a name are over. The unit of replication is the topic. What one
// replica has in a topic is an observed-remove map with a single writer (package
// crdt), its owner. A view is what we hold of one peer in one topic: the owner's
// history at exactly one number, or nothing yet. What a peer had without a view was
// empty at some number at or below the peer's watermark. Rows are what readers and
// watchers see of all parts of a topic.
//
// # Messages
//
//	delta      what changed in a topic between two numbers: at once in a quiet
//	           topic, else every FlushInterval
//	tip        where a topic stands, 1 s and 5 s after its last delta, so that the
//	           loss of that delta is noticed
//	heartbeat  every BeatPeriod, numbered: it alone admits a replica, and a missing
//	           number means that more may be missing
//	sync       a question: for each of some topics, the number that we hold
//	reply      what the owner has beyond that: a log repair, a dot-set repair or a
//	           snapshot
//	syncall    full sync, a question of mirrors: for some slices of all topics (64,
//	           by a hash of their names), what is there beyond this number?
//	page       its answer, in one or more messages, which count only together:
//	           topics as in a reply, and all others of the slices are empty
//	probe      asks a silent peer for a sign of life; alive answers
//	nack       tells the sender of a heartbeat that a later epoch of its name exists
//	leave      a graceful stop
//
// The wire format is in wire.go. A message is written in the lowest version that
// knows it, and in a later one only while every peer that is up can read it, which
// heartbeats tell.
//
// # How a view stays right
//
// A view starts with a question under a fresh nonce and takes no other answer, so that
// a late answer to an earlier question cannot complete it. Deltas that come too early
// wait in its reorder buffer; what is known to be missing is asked for, again and
// again, until it is there. A view that stays empty is dropped. A later delta or
// answer starts a view only where the watermark proves that nothing was missed. Once a
// beat, a part of all topics is compared with one peer, which finds what everything
// else missed; and an audit compares hashes of content at equal numbers.
//
// What does not fit into a message goes in several: deltas count one by one, chunks of
// an answer only together. A large answer to a full sync comes in pages of 1 MiB, and
// each is asked for when the one before has come, so that a mirror takes them at its
// own pace.
//
// # Which peers are shown
//
// A silent peer is probed. It is down when the network says for 1.25 s that its address
// has no subscriber, or when it was silent for DownPeriod: what it has is hidden, and
// kept until PermdownPeriod. While this replica may be cut off itself (its own
// heartbeats do not come back, or the bus is down) it gives no such verdict, for up to
// IsolatedPeriod. A higher epoch of a name ends the one before: what that had leaves at
// once, and what the new one has joins with its first answer. These are two diffs; a
// process that goes on under a fresh epoch keeps its refs, so that the two cancel out
// when they are merged.
package replica
