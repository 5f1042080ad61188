// Package admit limits how many joins run at once, so that a storm of them leaves the
// replica, and what a join asks, to the clients that are in.
//
//	c := admit.New(admit.Limits{Running: 256, Slots: 2, Waiting: 20_000, Wait: 5 * time.Second}, group.After)
//
//	var j admit.Join
//	c.Enter(&j, queue, topic, r) // calls r.Release, now or when j's turn has come
//
//	if j.State() == admit.Running { // in what Release began
//		...
//		c.End(&j)
//	}
//
// # Terms
//
//   - queue: joins that share limits, and wait for each other only. It is known by a key,
//     any comparable value.
//   - topic: joins of a queue that have one topic are served in order of arrival. Topics
//     take turns, so a storm in one delays a join of another by one turn.
//   - waiting: the join has not been released. It holds no goroutine.
//   - running: it has been released, until End.
//   - slot: what a running join holds for the first 1 ms. A join that computes ends well
//     within it. A join that takes longer is blocked (a database, a lock), needs no
//     processor, and leaves its slot to the next.
//   - cooldown: while joins wait, a slot that a join gives back is left empty for a
//     while; see package internal/cooldown.
//
// So a storm of joins that compute runs a few at a time, and joins that block do not
// delay each other before Limits.Running of them are blocked.
//
// # Limits
//
// A join that finds too many waiting is refused at once ([Crowded]), a join that has
// waited for too long then ([Late]). Both are released like the others: what follows from
// the state is for the caller.
//
// # How it is built
//
// A machine, which is pure, decides: joins that enter, end and are withdrawn, and the time
// go in; released joins, cooldowns, and when it next needs the time come out. Its tests
// are stories in testdata. [Controller] is the shell around it: a mutex, the clock and the
// timers.
//
// # Concurrency
//
// The methods of a [Controller] may be called concurrently. A join is entered once.
// Its state may be read, and End called, by what Release began: one goroutine at a time.
//
// # Shutdown
//
// A controller has no goroutines but those of its timers, which are set only while a join
// waits or a slot cools down. The after function that it is given decides what waits for
// them.
package admit
