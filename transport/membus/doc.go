// Package membus is the bus of replicas that live in one process: for tests, examples
// and programs with a single replica. It implements [bus.Bus], whose package comment
// says what a bus promises; natsbus does the same over NATS.
//
//	network := membus.New()
//	a, b := network.Bus(), network.Bus() // one Bus for each replica
//
// # Delivery
//
// A [Net] connects its buses. A message goes to the queues of its receivers before
// Publish returns, so a subscription holds for all buses at once. All receivers get the
// messages of all senders in one order. A message is lost only when the queue of its
// receiver is full ([QueueBytes]) or the receiving bus is disconnected.
//
// [Bus.Disconnect] takes the link of a bus down and [Bus.Reconnect] brings it up.
// bus.Unreachable is delivered when no connected bus has a subscriber on the lane.
//
// # Concurrency and shutdown
//
// No method waits for a receiver, except for Close of a bus.Conn, which waits for a
// running callback. Each open Conn has one goroutine. There are no timers and no other
// goroutines: a bubble of testing/synctest that opens its lanes itself runs in virtual
// time. A Net and a Bus need no Close of their own.
package membus
