package websocket

import (
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/channel"
)

// A batch is what goes out together. Batches are pooled: an idle connection
// holds none.
type batch struct {
	since   time.Time // when the first of it began to wait
	frames  []*channel.Frame
	bytes   int // of the frames, with their headers
	pong    []byte
	pongDue bool
	prompt  bool // some of it is not patient
	tells   bool // somebody wants to know when some of it is written

	// bytes of the frames as they go out, once gathered; unsent is the part that
	// is not written yet. gathered is the batch's own, unsent need not be.
	gathered *[]byte
	unsent   []byte

	// What a try to write came to. try is the batch's tryWrite as a value, which
	// lasts as long as the batch: so writing costs no allocation.
	try     func(fd uintptr)
	written int
	fault   error
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// keepBatch is the most frames that a pooled batch keeps room for.
const keepBatch = 1024

// frameHeader is what a frame costs besides its data, at most: its header on
// the wire and its place in the queue.
const frameHeader = 18

func newBatch(now time.Time) *batch {
	b := batches.Get().(*batch)
	b.since = now
	return b
}

func (b *batch) release() {
	clear(b.frames)
	if cap(b.frames) > keepBatch {
		b.frames = nil
	}
	if b.gathered != nil {
		releaseCork(b.gathered)
	}
	*b = batch{frames: b.frames[:0], pong: b.pong[:0], try: b.try}
	batches.Put(b)
}

// sent tells who wants to know that the batch is written.
func (b *batch) sent() {
	if !b.tells {
		return
	}
	for _, f := range b.frames {
		if f.Sent != nil {
			f.Sent()
		}
	}
}

// gather makes the bytes of the whole batch. A single shared frame is not copied.
func (b *batch) gather() {
	if len(b.frames) == 1 && !b.pongDue && b.frames[0].Shared {
		if p := prepared(b.frames[0]); p != nil {
			b.unsent = p.plain
			return
		}
	}
	b.gathered = newCork()
	buf := *b.gathered
	if b.pongDue {
		buf = append(appendHeader(buf, opPong, len(b.pong)), b.pong...)
	}
	for _, f := range b.frames {
		buf = appendFrame(buf, f)
	}
	*b.gathered, b.unsent = buf, buf
}

// corkSize is how many bytes are gathered for one write to the socket, and the
// size from which a frame is written by itself, uncopied.
const corkSize = 64 << 10

// corks holds the buffers that bytes are gathered in.
var corks = sync.Pool{New: func() any {
	buf := make([]byte, 0, 4<<10)
	return &buf
}}

// newCork is an empty buffer.
func newCork() *[]byte {
	cork := corks.Get().(*[]byte)
	*cork = (*cork)[:0]
	return cork
}

func releaseCork(cork *[]byte) {
	if cap(*cork) <= corkSize {
		corks.Put(cork)
	}
}
