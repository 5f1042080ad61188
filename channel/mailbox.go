package channel

import (
	"fmt"
	"sync"

	"github.com/rollcall-go/rollcall/internal/queue"
)

// mailbox hands mail to one handler, one piece at a time and in order, on a
// goroutine that it has only while there is mail. Its zero value is unusable;
// see init.
type mailbox[T any] struct {
	// static after init
	handle   func(T)
	group    *jobs // its owner holds it above zero until close
	limit    int   // pieces of mail that wait
	maxBytes int   // their size, as put says it

	mu      sync.Mutex
	queue   queue.Queue[queued[T]]
	bytes   int
	held    bool // until release
	running bool
	closed  bool
}

type queued[T any] struct {
	mail T
	size int
}

// init readies the mailbox. A held one handles nothing before release.
func (b *mailbox[T]) init(group *jobs, limit, maxBytes int, held bool, handle func(T)) {
	b.group, b.limit, b.maxBytes, b.held, b.handle = group, limit, maxBytes, held, handle
}

// put adds mail of a size in bytes. It fails with an *overflow over the limits,
// and with ErrClosed.
func (b *mailbox[T]) put(mail T, size int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.closed:
		return ErrClosed
	case b.queue.Len() >= b.limit:
		return &overflow{b.limit, "pieces of mail"}
	case b.bytes+size > b.maxBytes && b.queue.Len() > 0:
		return &overflow{b.maxBytes, "bytes"}
	}
	b.add(mail, size)
	return nil
}

// An overflow is an errMailboxFull that tells which limit it was.
type overflow struct {
	limit int
	of    string
}

func (o *overflow) Error() string { return fmt.Sprintf("%v: %d %s", errMailboxFull, o.limit, o.of) }
func (o *overflow) Unwrap() error { return errMailboxFull }

// force adds mail whatever waits: what there is little of, and must come.
func (b *mailbox[T]) force(mail T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.closed {
		b.add(mail, 0)
	}
}

func (b *mailbox[T]) add(mail T, size int) {
	b.queue.Push(queued[T]{mail, size})
	b.bytes += size
	b.start()
}

func (b *mailbox[T]) start() {
	if !b.running && !b.held && b.queue.Len() > 0 {
		b.running = true
		b.group.Go(b.run)
	}
}

// release lets a held mailbox begin; it may be called more than once.
func (b *mailbox[T]) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.held = false
	b.start()
}

// replace drops all mail that waits and puts last in its place, behind which
// nothing comes any more. Then it calls tell, on a goroutine of its own: locks may
// be held here, and what is being handled may never return.
func (b *mailbox[T]) replace(last T, tell func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	b.queue.Clear()
	b.bytes = 0
	b.add(last, 0)
	b.closed = true
	b.group.Go(tell)
}

// close refuses further mail and returns what waits, which is not handled.
func (b *mailbox[T]) close() (rest []T) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for q, ok := b.queue.Pop(); ok; q, ok = b.queue.Pop() {
		rest = append(rest, q.mail)
	}
	b.queue.Clear()
	b.closed, b.bytes = true, 0
	return rest
}

func (b *mailbox[T]) run() {
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
		b.handle(next.mail)
	}
}
