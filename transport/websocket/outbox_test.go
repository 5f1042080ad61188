package websocket

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// A fakePort records what an outbox does. While held, its socket is full: writes wait
// until they are let go, their deadline passes or the socket is closed.
type fakePort struct {
	mu        sync.Mutex
	changed   *sync.Cond
	held      bool
	gone      bool // the socket is closed
	fail      error
	slow      *atomic.Int32
	deadline  time.Time
	batches   []string // frames joined by space, a pong in front
	closed    *closeNotice
	armings   int
	wakes     int
	aborts    int
	unlockers []*time.Timer
	tries     int
	waits     int
	parts     int    // tries that write a part only
	after     func() // called after a batch was written
}

func newPort() *fakePort {
	p := &fakePort{}
	p.changed = sync.NewCond(&p.mu)
	return p
}

func (p *fakePort) arm(deadline time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.deadline = deadline
	p.armings++
	p.unlockers = append(p.unlockers, time.AfterFunc(time.Until(deadline), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.changed.Broadcast()
	}))
}

func (p *fakePort) armRead(time.Time) {}
func (p *fakePort) wake()             { p.wakes++ }
func (p *fakePort) tellSlow()         { p.slow.Add(1) }

// tryWrite writes when it is not held, whatever the deadline.
func (p *fakePort) tryWrite(b *batch) (progress, error) {
	p.mu.Lock()
	p.tries++
	held, part := p.held, p.parts > 0
	if !held && part {
		p.parts--
	}
	p.mu.Unlock()
	switch {
	case held:
		return socketFull, nil
	case part:
		return wroteSome, nil
	}
	return wroteAll, p.record(b, func() error { return nil })
}

// waitWrite writes all where nothing was tried before, and else nothing.
func (p *fakePort) waitWrite(b *batch) (progress, error) {
	if p.tries == 0 {
		return wroteAll, p.record(b, p.wait)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.waits++
	return wroteSome, p.wait()
}

func (p *fakePort) record(b *batch, wait func() error) error {
	var parts []string
	if b.pongDue {
		parts = append(parts, "pong:"+string(b.pong))
	}
	for _, f := range b.frames {
		parts = append(parts, string(f.Data))
	}
	if p.after != nil && len(parts) > 0 {
		defer p.after()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := wait(); err != nil {
		return err
	}
	if len(parts) > 0 {
		p.batches = append(p.batches, strings.Join(parts, " "))
	}
	p.closed = b.notice
	return p.fail
}

// wait is called with mu held.
func (p *fakePort) wait() error {
	for {
		if p.gone {
			return net.ErrClosed
		}
		if !p.deadline.IsZero() && !time.Now().Before(p.deadline) {
			return os.ErrDeadlineExceeded
		}
		if !p.held {
			return nil
		}
		p.changed.Wait()
	}
}

func (p *fakePort) abort() { p.aborts++ }

func (p *fakePort) hold(held bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.held = held
	p.changed.Broadcast()
}

// cut closes the socket.
func (p *fakePort) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	p.changed.Broadcast()
}

func (p *fakePort) stop() {
	for _, timer := range p.unlockers {
		timer.Stop()
	}
}

type testOutbox struct {
	outbox
	port *fakePort
	slow atomic.Int32
}

// newTestOutbox makes an outbox that writers write for.
func newTestOutbox(maxBytes int, w *writers) *testOutbox {
	o := &testOutbox{port: newPort()}
	o.port.slow = &o.slow
	o.outbox.port, o.writers, o.direct = o.port, w, true
	o.bounds = &outboxBounds{maxBytes: maxBytes, maxAge: 10 * time.Second, closeTimeout: 5 * time.Second}
	return o
}

// newWaitingOutbox makes an outbox of which nothing is written without waiting.
func newWaitingOutbox(maxBytes int, w *writers) *testOutbox {
	o := newTestOutbox(maxBytes, w)
	o.blocking, o.direct = true, false
	return o
}

// eachOutbox runs a test in virtual time with an outbox of either kind, which
// must behave alike.
func eachOutbox(t *testing.T, maxBytes int, run func(t *testing.T, o *testOutbox)) {
	for name, make := range map[string]func(int, *writers) *testOutbox{"at once": newTestOutbox, "waiting": newWaitingOutbox} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var group sync.WaitGroup
				run(t, make(maxBytes, newWriters(&group)))
				group.Wait()
			})
		})
	}
}

func TestWhatWaitsGoesOutTogetherAndInOrder(t *testing.T) {
	eachOutbox(t, 1<<20, func(t *testing.T, o *testOutbox) {
		o.port.hold(true)
		o.send(text("1"))
		synctest.Wait() // the writer has taken it
		for i := 2; i <= 6; i++ {
			o.send(text(fmt.Sprint(i)))
		}
		o.sendPong("a")
		o.sendPong("b")
		o.port.hold(false)
		synctest.Wait()
		require.Equal(t, []string{"1", "pong:b 2 3 4 5 6"}, o.port.batches)
		o.send(text("7"))
		synctest.Wait()
		require.Equal(t, "7", o.port.batches[2])
		o.sendPong("")
		synctest.Wait()
		require.Equal(t, "pong:", o.port.batches[3])
		o.port.stop()
	})
}

func TestNothingOfAnIdleOutboxRuns(t *testing.T) {
	eachOutbox(t, 1<<20, func(t *testing.T, o *testOutbox) {
		for range 3 {
			o.send(text("x"))
			synctest.Wait()
			o.writing.Wait() // returns: the writer has ended
			require.False(t, o.taken)
			require.Nil(t, o.queue)
		}
		o.port.stop()
	})
}

func TestOutboxOverItsBytesClosesWith1013(t *testing.T) {
	eachOutbox(t, 3*(10+frameHeader), func(t *testing.T, o *testOutbox) {
		o.port.hold(true)
		o.send(text("in flight."))
		synctest.Wait()
		for range 3 {
			o.send(text("0123456789"))
		}
		require.Zero(t, o.slow.Load(), "the bound itself is allowed")
		o.send(text(""))
		require.EqualValues(t, 1, o.slow.Load())
		require.Equal(t, 1, o.port.wakes)
		require.Nil(t, o.queue, "what waits is dropped")
		o.send(text("dropped"))
		o.sendPong("dropped")
		require.False(t, o.close(1012, "later"), "the first close counts")
		o.port.hold(false)
		o.writing.Wait()
		require.Equal(t, []string{"in flight."}, o.port.batches)
		require.Equal(t, wire.CloseTryLater, o.port.closed.code)
		require.EqualValues(t, 1, o.slow.Load())
		require.Zero(t, o.port.aborts)
		o.port.stop()
	})
}

func TestOneFrameMayBeLargerThanTheOutbox(t *testing.T) {
	eachOutbox(t, 100, func(t *testing.T, o *testOutbox) {
		o.port.hold(true)
		large := strings.Repeat("x", 1000)
		o.send(text(large)) // in flight
		synctest.Wait()
		o.send(text(large)) // waits
		require.Zero(t, o.slow.Load())
		o.send(text("y"))
		require.EqualValues(t, 1, o.slow.Load())
		o.port.hold(false)
		o.writing.Wait()
		require.Equal(t, []string{large}, o.port.batches)
		o.port.stop()
	})
}

func TestWriteStuckForTheAgeEndsTheOutbox(t *testing.T) {
	eachOutbox(t, 1<<20, func(t *testing.T, o *testOutbox) {
		o.port.hold(true)
		begin := time.Now()
		o.send(text("stuck"))
		synctest.Wait()
		time.Sleep(9 * time.Second)
		o.send(text("waits behind it"))
		o.writing.Wait()
		took := time.Since(begin)
		require.GreaterOrEqual(t, took, 10*time.Second)
		require.LessOrEqual(t, took, 12500*time.Millisecond)
		require.EqualValues(t, 1, o.slow.Load())
		require.Equal(t, 1, o.port.aborts)
		require.Equal(t, outboxEnded, o.state)
		require.Nil(t, o.queue)
		require.Nil(t, o.port.closed)
		o.port.stop()
	})
}

// A frame's age counts from its send, so what waited behind a slow write has
// less time for its own.
func TestAgeCountsFromTheSend(t *testing.T) {
	eachOutbox(t, 1<<20, func(t *testing.T, o *testOutbox) {
		o.port.hold(true)
		o.send(text("first"))
		synctest.Wait()
		time.Sleep(time.Second)
		sent := time.Now()
		o.send(text("second"))
		time.Sleep(8 * time.Second)
		o.port.hold(false)
		synctest.Wait() // both are written
		require.Len(t, o.port.batches, 2)
		require.LessOrEqual(t, o.port.deadline.Sub(sent), 12500*time.Millisecond)
		o.port.stop()
	})
}

func TestDeadlineIsSetSeldomAndNeverStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newWaitingOutbox(1<<20, newWriters(new(sync.WaitGroup)))
		for range 1000 { // 10 s at 100 frames a second
			o.send(text("x"))
			synctest.Wait()
			require.Greater(t, time.Until(o.port.deadline), 9900*time.Millisecond)
			time.Sleep(10 * time.Millisecond)
		}
		require.LessOrEqual(t, o.port.armings, 5)
		require.Len(t, o.port.batches, 1000)
		time.Sleep(time.Hour) // the deadline has passed, with nothing to write
		o.send(text("x"))
		synctest.Wait()
		require.Len(t, o.port.batches, 1001)
		require.Zero(t, o.port.aborts)
		o.port.stop()
	})
}

// What is written without waiting needs no deadline, and heeds none that a write
// that had to wait has left behind.
func TestWhatNeedNotWaitHasNoDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var group sync.WaitGroup
		o := newTestOutbox(1<<20, newWriters(&group))
		o.send(text("1"))
		o.writing.Wait()
		require.Zero(t, o.port.armings)
		o.port.hold(true)
		o.send(text("2"))
		synctest.Wait()
		require.Equal(t, 1, o.port.armings)
		o.send(text("3"))
		group.Wait() // the shared writers do not wait for it
		o.port.hold(false)
		o.writing.Wait()
		armings := o.port.armings
		time.Sleep(time.Hour)
		o.send(text("4"))
		o.writing.Wait()
		require.Equal(t, []string{"1", "2", "3", "4"}, o.port.batches)
		require.Equal(t, armings, o.port.armings)
		o.port.stop()
	})
}

func TestCloseWritesWhatWaitsThenTheCloseFrame(t *testing.T) {
	eachOutbox(t, 1<<20, func(t *testing.T, o *testOutbox) {
		o.port.hold(true)
		o.send(text("1"))
		synctest.Wait()
		o.send(text("2"))
		require.True(t, o.close(1012, "drain"))
		o.send(text("too late"))
		require.False(t, o.close(1001, "second"))
		o.port.hold(false)
		o.writing.Wait()
		require.Equal(t, []string{"1", "2"}, o.port.batches)
		require.Equal(t, 1012, o.port.closed.code)
		require.Equal(t, "drain", o.port.closed.reason)
		require.Equal(t, 1, o.port.wakes)
		require.Zero(t, o.port.aborts)
		require.Zero(t, o.slow.Load())
		o.port.stop()
	})
}

func TestCloseOfAStuckOutboxIsBounded(t *testing.T) {
	eachOutbox(t, 1<<20, func(t *testing.T, o *testOutbox) {
		o.port.hold(true)
		o.send(text("stuck"))
		synctest.Wait()
		begin := time.Now()
		o.close(1012, "drain")
		o.writing.Wait()
		require.Equal(t, 5*time.Second, time.Since(begin))
		require.Equal(t, 1, o.port.aborts)
		require.Zero(t, o.slow.Load(), "a client is not slow because we close")
		o.port.stop()
	})
}

func TestFailedWriteEndsTheOutbox(t *testing.T) {
	eachOutbox(t, 1<<20, func(t *testing.T, o *testOutbox) {
		o.port.fail = errors.New("broken pipe")
		o.send(text("1"))
		o.writing.Wait()
		require.Equal(t, 1, o.port.aborts)
		require.Zero(t, o.slow.Load())
		o.send(text("2"))
		o.sendPong("x")
		require.False(t, o.close(1012, ""))
		require.False(t, o.armRead(time.Now()))
		synctest.Wait()
		require.Len(t, o.port.batches, 1)
		o.port.stop()
	})
}

// Frames of several senders arrive all, each sender's in order, whatever the
// writer does between.
func TestConcurrentSendersKeepTheirOrder(t *testing.T) {
	var group sync.WaitGroup
	w := newWriters(&group)
	t.Run("at once", func(t *testing.T) { testConcurrentSenders(t, newTestOutbox(1<<20, w)) })
	t.Run("waiting", func(t *testing.T) { testConcurrentSenders(t, newWaitingOutbox(1<<20, w)) })
	group.Wait()
}

func testConcurrentSenders(t *testing.T, o *testOutbox) {
	const senders, each = 8, 2000
	var group sync.WaitGroup
	for s := range senders {
		group.Go(func() {
			for i := range each {
				f := text(fmt.Sprintf("%d:%d", s, i))
				f.LowPriority = i%7 < 4
				o.send(f)
			}
		})
	}
	group.Wait()
	o.close(1012, "")
	o.writing.Wait()
	next := make([]int, senders)
	for _, b := range o.port.batches {
		for _, f := range strings.Fields(b) {
			var s, i int
			_, err := fmt.Sscanf(f, "%d:%d", &s, &i)
			require.NoError(t, err)
			require.Equal(t, next[s], i)
			next[s]++
		}
	}
	for _, n := range next {
		require.Equal(t, each, n)
	}
	require.NotNil(t, o.port.closed)
	o.port.stop()
}
