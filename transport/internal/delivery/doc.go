// Package delivery is the queue between a bus and one of its users: it keeps what a
// [bus.Conn] has yet to deliver, in order and within bounds, and calls the Conn's
// [bus.Handler] from one goroutine. All buses share it.
//
// # The queue
//
// A [Queue] is bounded in bytes. Messages and [bus.Unreachable] events count, each
// with [Overhead] on top. What does not fit is dropped, and [bus.Lost] takes its
// place in the order. One Lost stands for everything dropped until it is delivered,
// so at most one waits. At most one mark waits for changes of the link as well, and
// when its turn comes the handler is told the outcome, whatever happened in between:
//
//	knows   is now, since then        is told
//	up      down                      Down
//	down    up                        Up, Lost
//	up      up, but was down          Down, Up, Lost
//	down    down, but was up          nothing
//
// Lost follows every Up because others may have published meanwhile. So a queue
// outgrows its limit by at most two marks, however slow the handler.
//
// # Concurrency and shutdown
//
// All methods may be called concurrently, and only [Queue.Wait] waits: a bus calls
// the others with its own locks held. [Start] starts one goroutine, which makes all
// calls of the handler. [Queue.Close] drops what waits and does not interrupt a running
// call; [Queue.Wait] returns when the goroutine has ended. There are no timers, so a
// whole queue may run in a bubble of testing/synctest.
package delivery
