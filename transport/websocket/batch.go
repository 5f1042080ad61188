package websocket

import (
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// A batch is what goes out together. Batches are pooled: an idle connection
// holds none.
type batch struct {
	since   time.Time // when the first of it began to wait, see outbox.unlist
	listed  time.Time // when what is left of it began to wait at the low priority
	frames  []*wire.Frame
	bytes   int // of the frames, with their headers
	pong    []byte
	pongDue bool
	normal  bool         // some of it is of normal priority
	notice  *closeNotice // the close frame at its end; nil: none

	compress bool // frames are compressed as they are gathered

	// How far writing has come: the bytes to be written next, those that follow
	// them, what is left of the last frame that was begun, the first frame that was
	// not, and whether the close frame was.
	unsent, large, rest []byte
	next                int
	closed              bool
	cork                *[]byte // what is gathered; nil: nothing was yet
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
	if b.cork != nil {
		releaseCork(b.cork)
	}
	*b = batch{frames: b.frames[:0], pong: b.pong[:0]}
	batches.Put(b)
}

// gather readies unsent, and reports whether there is anything to write. It gathers
// some corkSize bytes. What is larger than half of that, and is there as it goes out,
// is not copied.
func (b *batch) gather() bool {
	switch {
	case len(b.unsent) > 0:
		return true
	case b.large != nil:
		b.unsent, b.large = b.large, nil
		return true
	case b.next == len(b.frames) && len(b.rest) == 0 && !b.pongDue && (b.notice == nil || b.closed):
		return false
	case len(b.frames) == 1 && b.next == 0 && !b.pongDue && b.notice == nil:
		if p := prepared(b.frames[0]); p != nil { // a broadcast, mostly: nothing to gather
			b.unsent, b.next = p.bytes(b.compress), 1
			return true
		}
	}
	if b.cork == nil {
		b.cork = newCork()
	}
	buf := append((*b.cork)[:0], b.rest...)
	b.rest = nil
	if b.pongDue {
		b.pongDue = false
		buf = append(appendHeader(buf, opPong, len(b.pong)), b.pong...)
	}
	for b.next < len(b.frames) && len(buf) < corkSize && b.large == nil {
		buf = b.begin(buf, b.frames[b.next])
		b.next++
	}
	if b.next == len(b.frames) && b.large == nil && b.notice != nil {
		b.closed = true
		buf = appendClose(buf, b.notice)
	}
	*b.cork, b.unsent = buf, buf
	if len(buf) == 0 { // a large frame comes first
		return b.gather()
	}
	return true
}

// begin appends a frame to buf, or its beginning: the others are then large and
// rest.
func (b *batch) begin(buf []byte, f *wire.Frame) []byte {
	if p := prepared(f); p != nil {
		whole := p.bytes(b.compress)
		if len(whole) > corkSize/2 {
			b.large = whole
			return buf
		}
		return append(buf, whole...)
	}
	head, body, tail := f.Pieces()
	if b.compress {
		return appendCompressed(buf, firstByte(f), head, body, tail)
	}
	buf = appendHeader(buf, firstByte(f), f.Len())
	switch {
	case len(body) > corkSize/2:
		b.large, b.rest = body, tail
		return append(buf, head...)
	case body == nil && len(head) > corkSize/2: // one that is not in pieces
		b.large = head
		return buf
	}
	return append(append(append(buf, head...), body...), tail...)
}

// wrote notes that n bytes of unsent were written.
func (b *batch) wrote(n int) { b.unsent = b.unsent[n:] }

// corkSize is how many bytes are gathered for one write to the socket.
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
