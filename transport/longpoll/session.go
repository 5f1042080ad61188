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

// A conn is what a session serves: a *channel.Conn.
type conn interface {
	Start(wire.Link)
	Receive(binary bool, data []byte) *wire.Close
	Reject(wire.Rejection)
	Closed(channel.Reason)
}

// A session is one client's connection, as long as it is polled: the
// [wire.Link] of its conn. It belongs to one replica. Its lock is taken under
// those of its conn and no other is taken under it.
//
// At most one poll waits: the latest. A timer runs while none does, and ends the
// session when it has run for one and a half windows.
type session struct {
	// Static after creation.
	host    *Transport
	id      sessionID
	token   string
	conn    conn
	address *intake.Place // counts it; may be nil
	turn    chan struct{} // of capacity 1: in it while conn.Receive is called

	mu sync.Mutex
	// Guarded by mu.
	frames   []*wire.Frame // what waits for the next poll
	bytes    int           // of frames
	waiting  *poll         // nil: none waits
	idle     *time.Timer   // nil until the session is open
	idleFrom time.Time     // when a poll last ended
	ended    bool
}

var _ wire.Link = (*session)(nil)

// A poll is one request for messages, as its session sees it.
type poll struct {
	// wake tells that finish would find something. It is called at most once,
	// with the session's lock held, and must not block.
	wake  func()
	woken bool // guarded by the session's mu
}

// An outcome is what a poll came to.
type outcome uint8

const (
	pollWaits     outcome = iota // there is nothing yet
	pollMessages                 // there are messages
	pollNothing                  // the window is over
	pollOvertaken                // a later poll has taken its place
	pollGone                     // there is no such session any more
	pollCanceled                 // the client does not wait for the answer
	pollClosing                  // the transport closes
)

// frameOverhead is what a frame is charged besides its data, so that empty ones
// are bounded too.
const frameOverhead = 64

// Send implements wire.Link.
func (s *session) Send(frames ...*wire.Frame) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, f := range frames {
		size := len(f.Data) + frameOverhead
		switch {
		case s.ended:
		case f.Binary:
			s.end(ending{wire.ReasonClosed, endBinary})
		case s.bytes > 0 && s.bytes+size > s.host.config.BufferBytes:
			s.end(ending{wire.ReasonClosed, endSlow})
		default:
			s.frames = append(s.frames, f)
			s.bytes += size
			s.wake()
		}
	}
}

// Close implements wire.Link. What waits is dropped: the client learns of the
// end by the answer to its next poll, and starts over.
func (s *session) Close(int, string) { s.stop(ending{wire.ReasonClosed, endClosed}) }

// An ending is why a session ends: for its channels, and for us.
type ending struct {
	reason channel.Reason
	cause  endCause
}

type endCause uint8

const (
	endClosed    endCause = iota // by its conn, or by Transport.Close
	endMalformed                 // its client sent what its conn refused
	endSlow                      // too much waited for its client
	endBinary                    // it was sent a binary frame
	endInactive                  // its client did not poll
	endLost                      // what it gave to a poll did not reach the client
	endPanic
)

// stop ends the session, unless it has ended.
func (s *session) stop(e ending) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.end(e)
	}
}

// end is called with mu held. The conn is told by a goroutine: its locks may be
// held by the caller.
func (s *session) end(e ending) {
	s.ended = true
	s.frames, s.bytes = nil, 0
	if s.idle != nil {
		s.idle.Stop()
	}
	s.wake()
	go s.host.bury(s, e)
}

// wake is called with mu held.
func (s *session) wake() {
	if s.waiting != nil && !s.waiting.woken {
		s.waiting.woken = true
		s.waiting.wake()
	}
}

// open starts the conn and the time in which the first poll has to come.
func (s *session) open() {
	s.mu.Lock()
	if !s.ended {
		s.rest()
	}
	s.mu.Unlock()
	s.conn.Start(s)
}

// rest is called with mu held, when no poll waits any more.
func (s *session) rest() {
	s.waiting = nil
	s.idleFrom = time.Now()
	if s.idle == nil {
		s.idle = time.AfterFunc(s.inactivity(), s.expire)
	} else {
		s.idle.Reset(s.inactivity())
	}
}

// inactivity is how long a session lasts without a poll (B106).
func (s *session) inactivity() time.Duration { return s.host.config.Window * 3 / 2 }

// expire is called by the timer, perhaps just when a poll has begun or ended.
func (s *session) expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended && s.waiting == nil && time.Since(s.idleFrom) >= s.inactivity() {
		s.end(ending{wire.ReasonInactive, endInactive})
	}
}

// start begins a poll, which takes the place of one that waits (B110). It
// returns what there is, or pollWaits: then the caller must call finish or
// withdraw.
func (s *session) start(p *poll) ([]*wire.Frame, outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return nil, pollGone
	}
	s.waiting = p
	if len(s.frames) > 0 {
		return s.take(), pollMessages
	}
	s.idle.Stop()
	return nil, pollWaits
}

// finish ends a poll that waits.
func (s *session) finish(p *poll) ([]*wire.Frame, outcome) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.waiting != p:
		return nil, pollOvertaken
	case s.ended:
		return nil, pollGone
	case len(s.frames) == 0:
		s.rest()
		return nil, pollNothing
	}
	return s.take(), pollMessages
}

// withdraw ends a poll whose client does not wait any more; it takes nothing.
func (s *session) withdraw(p *poll) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.waiting == p && !s.ended {
		s.rest()
	}
}

// take is called with mu held.
func (s *session) take() []*wire.Frame {
	frames := s.frames
	s.frames, s.bytes = nil, 0
	s.rest()
	return frames
}

func (s *session) isEnded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}

// receive gives a client's messages to the conn, those of one call after those
// of another. It waits for its turn for at most one window.
func (s *session) receive(ctx context.Context, entries []entry) (status wireStatus) {
	patience := time.NewTimer(s.host.config.Window)
	defer patience.Stop()
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-patience.C:
		return answerTimeout
	case <-ctx.Done():
		return answerTimeout
	}
	if s.isEnded() {
		return answerGone
	}
	defer func() {
		if p := recover(); p != nil {
			s.host.config.Logger.Error("longpoll: panic", "doing", "receiving", "panic", p, "stack", string(debug.Stack()))
			s.stop(ending{wire.ReasonClosed, endPanic})
			status = answerTimeout
		}
	}()
	for _, e := range entries {
		if refused := s.conn.Receive(e.binary, e.data); refused != nil {
			s.stop(ending{wire.ReasonClosed, endMalformed})
			return answerTimeout
		}
	}
	return answerAccepted
}
