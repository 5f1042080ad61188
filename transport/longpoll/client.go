package longpoll

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/transport/intake"
)

// A channelConn is the channels of one client: a *channel.Conn, but in tests.
type channelConn interface {
	Start(wire.Link)
	Receive(binary bool, data []byte) *wire.Close
	Reject(wire.Rejection)
	Closed(channel.Reason)
}

// A client is one that polls, from the beginning of its session to the end: the
// [wire.Link] of its channelConn. It belongs to one replica. Its lock is taken under
// those of its channelConn, and no other is taken under it.
//
// At most one poll waits: the latest. A timer runs while none does, and ends the
// session when it has run for one and a half windows.
type client struct {
	// Static after creation.
	host     *Transport
	id       clientID
	token    string
	channels channelConn
	address  *intake.Place // counts it; may be nil
	turn     chan struct{} // of capacity 1: in it while channels.Receive is called

	mu sync.Mutex
	// Guarded by mu.
	frames   []*wire.Frame // what waits for the next poll
	bytes    int           // of frames
	waiting  *poll         // nil: none waits
	idle     *time.Timer   // nil until open
	idleFrom time.Time     // when a poll last ended
	ended    bool
}

var _ wire.Link = (*client)(nil)

// A poll is one request of a client for messages.
type poll struct {
	// wake tells that finish would find something. It is called at most once,
	// with the client's lock held, and must not block.
	wake  func()
	woken bool // guarded by the client's mu
}

// An outcome is what a poll came to.
type outcome uint8

const (
	pollWaits     outcome = iota // there is nothing yet
	pollMessages                 // there are messages
	pollNothing                  // the window is over
	pollOvertaken                // a later poll has taken its place
	pollGone                     // there is no such client any more
	pollCanceled                 // the client does not wait for the answer
	pollClosing                  // the transport closes
)

// frameOverhead is what a frame is charged besides its data, so that empty ones
// are bounded too.
const frameOverhead = 64

// Send implements wire.Link.
func (c *client) Send(frames ...*wire.Frame) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range frames {
		size := len(f.Data) + frameOverhead
		switch {
		case c.ended:
		case f.Binary:
			c.end(ending{wire.ReasonClosed, endBinary})
		case c.bytes > 0 && c.bytes+size > c.host.config.BufferBytes:
			c.end(ending{wire.ReasonClosed, endSlow})
		default:
			c.frames = append(c.frames, f)
			c.bytes += size
			c.wake()
		}
	}
}

// Close implements wire.Link. What waits is dropped: the client learns of the
// end by the answer to its next poll, and starts over.
func (c *client) Close(int, string) { c.stop(ending{wire.ReasonClosed, endClosed}) }

// An ending is why a session ends: for the channels, and for us.
type ending struct {
	reason channel.Reason
	cause  endCause
}

type endCause uint8

const (
	endClosed    endCause = iota // by its channelConn, or by Transport.Close
	endMalformed                 // the client sent what its channelConn refused
	endSlow                      // too much waited for the client
	endBinary                    // it was sent a binary frame
	endInactive                  // the client did not poll
	endLost                      // what it gave to a poll did not reach the client
	endPanic
)

// stop ends the session, unless it has ended.
func (c *client) stop(e ending) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended {
		c.end(e)
	}
}

// end is called with mu held. The channelConn is told by a goroutine: its locks may be
// held by the caller.
func (c *client) end(e ending) {
	c.ended = true
	c.frames, c.bytes = nil, 0
	if c.idle != nil {
		c.idle.Stop()
	}
	c.wake()
	go c.host.bury(c, e)
}

// wake is called with mu held.
func (c *client) wake() {
	if c.waiting != nil && !c.waiting.woken {
		c.waiting.woken = true
		c.waiting.wake()
	}
}

// open starts the channelConn and the time in which the first poll has to come.
func (c *client) open() {
	c.mu.Lock()
	if !c.ended {
		c.rest()
	}
	c.mu.Unlock()
	defer c.contain("starting")
	c.channels.Start(c)
}

// contain ends the session at a panic. It is deferred.
func (c *client) contain(doing string) {
	if p := recover(); p != nil {
		c.host.config.Logger.Error("longpoll: panic", "doing", doing, "panic", p, "stack", string(debug.Stack()))
		c.stop(ending{wire.ReasonClosed, endPanic})
	}
}

// rest is called with mu held, when no poll waits any more.
func (c *client) rest() {
	c.waiting = nil
	c.idleFrom = time.Now()
	if c.idle == nil {
		c.idle = time.AfterFunc(c.inactivity(), c.expire)
	} else {
		c.idle.Reset(c.inactivity())
	}
}

// inactivity is how long a session lasts without a poll (B106).
func (c *client) inactivity() time.Duration { return c.host.config.Window * 3 / 2 }

// expire is called by the timer, perhaps just when a poll has begun or ended.
func (c *client) expire() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ended && c.waiting == nil && time.Since(c.idleFrom) >= c.inactivity() {
		c.end(ending{wire.ReasonInactive, endInactive})
	}
}

// start begins a poll, which takes the place of one that waits (B110). It
// returns what there is, or pollWaits: then the caller must call finish or
// withdraw.
func (c *client) start(p *poll) ([]*wire.Frame, outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return nil, pollGone
	}
	c.waiting = p
	if len(c.frames) > 0 {
		return c.take(), pollMessages
	}
	c.idle.Stop()
	return nil, pollWaits
}

// finish ends a poll that waits.
func (c *client) finish(p *poll) ([]*wire.Frame, outcome) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.waiting != p:
		return nil, pollOvertaken
	case c.ended:
		return nil, pollGone
	case len(c.frames) == 0:
		c.rest()
		return nil, pollNothing
	}
	return c.take(), pollMessages
}

// withdraw ends a poll whose client does not wait any more; it takes nothing.
func (c *client) withdraw(p *poll) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == p && !c.ended {
		c.rest()
	}
}

// take is called with mu held.
func (c *client) take() []*wire.Frame {
	frames := c.frames
	c.frames, c.bytes = nil, 0
	c.rest()
	return frames
}

func (c *client) isEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ended
}

// receive gives the client's messages to its channelConn, those of one call after those
// of another. It waits for its turn for at most one window.
func (c *client) receive(ctx context.Context, entries []entry) (status wireStatus) {
	timeout := time.NewTimer(c.host.config.Window)
	defer timeout.Stop()
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-timeout.C:
		return answerTimeout
	case <-ctx.Done():
		return answerTimeout
	}
	if c.isEnded() {
		return answerGone
	}
	status = answerTimeout // also at a panic
	defer c.contain("receiving")
	for _, e := range entries {
		if refused := c.channels.Receive(e.binary, e.data); refused != nil {
			c.stop(ending{wire.ReasonClosed, endMalformed})
			return answerTimeout
		}
	}
	return answerAccepted
}
