// Package actor handles messages one at a time, on goroutines that exist only while
// there is something to handle.
//
//	var group actor.Group
//	group.Add(1) // until the mailbox is closed
//	var box actor.Mailbox[Message]
//	box.Init(&group, actor.Limits{Messages: 4096, Bytes: 4 << 20}, handle)
//	err := box.Put(message, len(message.Text)) // handle(message), soon
//	box.Close()
//	group.Done()
//	group.Wait()
//
// # Terms
//
//   - message: a value of any type. Its size in bytes is what Put is told.
//   - handler: the function that a mailbox gives its messages to, one at a time and
//     in order.
//   - held: a held mailbox takes messages and handles none before it is released.
//   - group: the goroutines and timers that a shutdown waits for.
//
// # Concurrency
//
// The methods of a [Mailbox] and of a [Group] may be called concurrently, from the
// handler too; Init and Hold come before all others. No method blocks, except the
// group's Wait. A handler that blocks holds up its own mailbox only.
//
// A million idle mailboxes cost no goroutine, and no memory but their own.
//
// # Limits
//
// [Limits] apply to the messages that wait, not to the one that is being handled. A
// message beyond them is refused with an [Overflow]; what follows from that is for the
// caller to decide: to drop the message, or to end what the mailbox belongs to with
// [Mailbox.Replace].
//
// # Shutdown
//
// Close refuses further messages and returns those that wait. It does not wait for the
// handler, since it may be called by it. Wait returns when every goroutine of the group
// has ended and every timer has been stopped or has run. As with any sync.WaitGroup, the
// owner of a mailbox holds the group above zero (Add, Done) as long as messages may come.
package actor
