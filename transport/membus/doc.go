// Package membus is the bus between replicas that live in one process. It
// meets the interfaces that packages presence and channel declare, as natsbus
// does over NATS: for tests, examples and programs with a single replica.
//
//	network := membus.New()
//	a, b := network.Bus(), network.Bus() // one Bus a replica
//
// # Terms
//
// A [Net] is what its buses share: who is subscribed to what. A [Bus] is one
// replica's attachment to it. A lane, named by a byte, is one user of a bus
// (presence has one, channel another): it has its own subscriptions, its own
// queue and its own callbacks. A destination is an opaque UTF-8 string of 1 to
// [MaxDest] bytes; nothing in it is a wildcard. What stands before its first colon
// is its class, which can be subscribed to as a whole ([Bus.SubscribeAll]).
//
// # What is delivered
//
// A message published on a lane goes, at once, to the queue of that lane on
// every connected bus whose lane is subscribed to the destination, the
// publisher's own included (echo). Every receiver gets a copy of its own.
// All receivers see all messages in one order, across destinations.
//
// A queue is bounded in bytes ([QueueBytes]). A message that does not fit is
// dropped, and the lane is told so by the event "lost", which has its place
// between the messages: one event stands for everything dropped until it is
// given, so it is not repeated while it waits.
//
// # Events
//
//   - "lost": messages may have been dropped, by an overflow or a reconnect.
//   - "down", and "up" followed by "lost": [Bus.Disconnect] and [Bus.Reconnect].
//     A lane opened while the bus is down is told "down" first. Of several
//     changes that a slow lane has not yet been told, it is told the outcome.
//   - "unreachable" with the destination, to the asker: no connected bus had a
//     subscriber for an earlier [Bus.Request].
//
// # Concurrency and shutdown
//
// All methods may be called concurrently, and none waits for a receiver. Each
// open lane has one goroutine, which makes all calls of its callbacks, one at
// a time; [Bus.Listen] starts it and the stop function waits for its end. There
// are no timers and no other goroutines, so that a bubble of testing/synctest
// that opens its lanes itself runs in virtual time.
package membus
