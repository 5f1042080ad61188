// Package crdt is a delta-state observed-remove map: a map from keys to the
// values that several replicas hold under them, which converges without
// coordination, keeps no tombstones, and merges a change at the cost of the
// change, whatever the size of the state.
//
// # Terms
//
// Every added value is named by a dot: a number that its replica issues once.
// Each replica is the only writer of its own dots, so what it contributes to a
// map is one totally ordered history: the state at number n is unique, and the
// causal context, in general a vector per element, is one integer a replica. A
// removal is "this dot is covered by the causal context and absent from the
// store". An update is a new dot that keeps the origin (the dot of the first
// add) of the value it replaces, so that observers can tell it from a leave
// and a join.
//
//   - [Owner] is the writer's side: the replica's own contribution. It makes
//     deltas of what changed since the last one ([Owner.Flush]) and answers
//     whoever is behind ([Owner.Since]).
//   - [View] is the receiver's side: what one replica holds of another one's
//     contribution. [View.Apply] is the one join rule.
//   - [Map] is the whole map: a view for each replica, each with an index by key.
//
// # The join rule
//
// A [Delta] D = {From, Base, To, Adds, Rems, Keep} leads a view from any number
// between From and To to the owner's state at To. From is the lowest number a
// view may be at for D to apply; Base is where the removal range begins. A live
// delta and a log repair have Base = From. A dot-set repair has From = n and
// Base = 0; a snapshot has both 0.
//
//	To <= view.seq       nothing: the delta is known (idempotence)
//	From > view.seq      a gap: refused, the caller asks the owner
//	                     (the causal delta-merging condition)
//	otherwise            remove every held dot in (Base, To] that is neither in
//	                     Adds nor in Keep; remove Rems; insert each of Adds
//	                     that is above view.seq; view.seq = To
//
// The removal over a range looks redundant for a live delta and is not: a
// window that both added and removed a dot names it in neither list, yet a view
// that was repaired in between may hold it.
//
// # Laws
//
// Applying is idempotent. Any order of deltas that the gap rule admits ends in
// the same state, which is the owner's state at the view's number; so deltas,
// log repairs, dot-set repairs and snapshots can be mixed freely, and merging
// several changes into one delta changes nothing. The tests check these laws
// against a second, deliberately simple implementation.
//
// # Figures
//
// The medians of "make bench" as saved in testdata/bench/bench.txt, on a virtual x86-64
// machine of two cores (Xeon, 2.5 GHz) that did nothing else. The name of the benchmark
// comes first.
//
//	Apply        20 changes into 1e4 / 1e5 / 5e5 rows: 4.5 / 7.8 / 11 us, 2
//	             allocations; 100 changes into 2e4 / 5e4 / 2e5 rows: 20 / 24 / 47 us, 4
//	             allocations: the same work, and more misses of the cache
//	Snapshot     1e5 rows into an empty view: 3.8 ms, 43 bytes a row
//	MergeMaps    1e5 rows of another replica into a Map of 1e5: 20 ms, 78 bytes a
//	             row, with the index by key
//	Drop         a replica with 1e4 / 1e5 rows from a Map: 0.17 / 3.7 ms, a copy of
//	             the rows
//
// # Promises
//
// Everything here is pure: no clock, no randomness, no goroutines, no locks.
// Values are not safe for concurrent use. Everything that is returned in
// slices is ordered by dot (by replica, then dot, in a Map).
//
// Sources: Almeida, Shoker, Baquero, "Delta State Replicated Data Types"
// (arXiv 1603.01529); Bieniusa et al., "An Optimized Conflict-free Replicated
// Set" (2012); van Renesse et al., "Efficient Reconciliation and Flow Control
// for Anti-Entropy Protocols" (Scuttlebutt, 2008); Brown et al., "Big(ger)
// Sets" (arXiv 1605.06424).
package crdt
