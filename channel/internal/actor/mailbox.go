package actor

import (
	"errors"
	"fmt"
	"sync"

	"github.com/rollcall-go/rollcall/internal/queue"
)

// ErrClosed is the error of a message for a mailbox that was closed, or whose messages
// were replaced.
var ErrClosed = errors.New("actor: mailbox closed")

// An Overflow is the error of a message that is beyond a limit.
type Overflow struct {
	Limit int
	unit  string
}

// Error returns the limit and its unit, for an error that says what was exceeded.
func (o *Overflow) Error() string { return fmt.Sprintf("%d %s", o.Limit, o.unit) }

// Limits bound what waits in a mailbox.
type Limits struct {
	Messages int
	Bytes    int // the sum of their sizes; one message alone may be larger
}

// A Mailbox hands messages to a handler, one at a time and in order, on a goroutine that
// exists only while there are any. It must not be copied.
type Mailbox[T any] struct {
	// static after Init
	handle func(T)
	group  *Group // the owner holds it above zero until Close
	limits Limits

	mu      sync.Mutex
	queue   queue.Queue[sized[T]]
	bytes   int
	held    bool
	running bool
	closed  bool
}

type sized[T any] struct {
	message T
	size    int
}

// Init readies the mailbox. handle is called on goroutines of group.
func (b *Mailbox[T]) Init(group *Group, limits Limits, handle func(T)) {
	b.group, b.limits, b.handle = group, limits, handle
}

// Hold makes the mailbox handle nothing before Release. It comes before the first
// message.
func (b *Mailbox[T]) Hold() { b.held = true }

// Release ends what Hold began. It may be called more than once.
func (b *Mailbox[T]) Release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = false
	b.start()
}

// Put adds a message of a size in bytes. The error is ErrClosed or an *Overflow.
func (b *Mailbox[T]) Put(message T, size int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return ErrClosed
	case b.queue.Len() >= b.limits.Messages:
		return &Overflow{b.limits.Messages, "pieces of mail"}
	case b.bytes+size > b.limits.Bytes && b.queue.Len() > 0:
		return &Overflow{b.limits.Bytes, "bytes"}
	}
	b.add(message, size)
	return nil
}

// Force adds a message whatever the limits, for the few that must come. A closed mailbox
// drops it.
func (b *Mailbox[T]) Force(message T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.add(message, 0)
	}
}

// Replace drops all messages that wait, puts last in their place and closes the mailbox.
// It runs report on a goroutine of its own: the caller may hold locks, and the handler may
// never return. On a closed mailbox it does nothing.
func (b *Mailbox[T]) Replace(last T, report func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.clear()
	b.add(last, 0)
	b.closed = true
	b.group.Go(report)
}

// Close refuses further messages and returns those that wait, which are not handled.
func (b *Mailbox[T]) Close() (rest []T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for next, ok := b.queue.Pop(); ok; next, ok = b.queue.Pop() {
		rest = append(rest, next.message)
	}
	b.clear()
	b.closed = true
	return rest
}

// add, clear and start are called with mu held.

func (b *Mailbox[T]) add(message T, size int) {
	b.queue.Push(sized[T]{message, size})
	b.bytes += size
	b.start()
}

func (b *Mailbox[T]) clear() {
	b.queue.Clear()
	b.bytes = 0
}

func (b *Mailbox[T]) start() {
	if !b.running && !b.held && b.queue.Len() > 0 {
		b.running = true
		b.group.Go(b.run)
	}
}

// run calls the handler until no message waits.
func (b *Mailbox[T]) run() {
	for {
		b.mu.Lock()
		next, ok := b.queue.Pop()
		if !ok {
			b.queue.Clear() // an idle mailbox keeps no memory but its own
			b.running = false
			b.mu.Unlock()
			return
		}
		b.bytes -= next.size
		b.mu.Unlock()
		b.handle(next.message)
	}
}
