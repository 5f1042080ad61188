// Package lane is what all buses between replicas do alike for one user of the
// bus: keep what it has yet to be told, in order and within bounds, and tell it
// from one goroutine.
//
// # Terms
//
// A lane is one user of a bus (presence has one, channel another). It is told
// messages, by its receive callback, and events, by its event callback:
// [Lost], [Down], [Up] and [Unreachable]. A destination is what messages are
// published to; [DestFault] says which strings are none.
//
// # The queue
//
// A [Queue] is bounded in bytes. Messages and "unreachable" events count, each
// with [Overhead] on top; what does not fit is dropped, and "lost" takes its
// place in the order. One "lost" stands for everything dropped until it is
// given, so at most one waits. Of changes of the link (the bus's connection) at
// most one mark waits too, and when its turn comes the lane is told the
// outcome, whatever happened in between:
//
//	knows   is now, since then        is told
//	up      down                      down
//	down    up                        up, lost
//	up      up, but was down          down, up, lost
//	down    down, but was up          nothing
//
// "lost" follows every "up" because others may have published meanwhile. So a
// queue cannot outgrow its limit by more than two marks, however slow the lane.
//
// # Concurrency and shutdown
//
// All methods may be called concurrently and none but [Queue.Wait] waits: a bus
// calls them with its own locks held. [Start] starts one goroutine, which makes
// all calls of both callbacks, one at a time. [Queue.Close] drops what waits
// and lets a running call end; [Queue.Wait] returns when the goroutine has
// ended. There are no timers, so that a bubble of testing/synctest may hold
// the whole of it.
package lane
