package netpoll

import (
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/internal/list"
)

// A Poller holds connections that wait for input: they are parked. It gives them back
// when there is input, or when they have been silent for too long. One goroutine waits
// for all connections that a poll can wait for. Each of the others has one.
//
// Neither the Poller nor its goroutines exist for longer than it has connections.
type Poller struct {
	// Static after NewPoller.
	timeout time.Duration
	group   *sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	poll       *poll // nil: no connection yet, or no longer
	broken     bool  // poll cannot be had, now or ever
	places     []*Waiter
	free       []int32           // places without a connection
	parked     list.List[Waiter] // in the order of since
	timer      *time.Timer       // runs silence at alarm; counted by group while it runs
	alarm      time.Time         // when silence is looked for; zero: none is parked
	graceUntil time.Time         // until then none is held to be silent: we were stalled
}

// A Waiter is a connection's part in a Poller. The zero Waiter is made ready by Init.
type Waiter struct {
	// Static after Init.
	Conn    Conn
	handler Handler

	// Guarded by the Poller's mu, but for since, which is the reader's while the
	// connection is not parked.
	since    time.Time
	node     list.Node[Waiter] // in parked
	number   int32             // in places; of those that were armed before
	known    bool              // was armed before
	attended bool              // a goroutine waits for it
	roused   bool              // is not to be parked any more
}

// A Handler reads a connection.
type Handler interface {
	// Ready is called, once, for a connection that was parked: it has input, has been
	// silent for too long, or was roused. It must not block.
	Ready()
}

// A stall of this process (it was stopped, or starved) is not the silence of its peers.
// StallTolerance is how late silence may be noticed before it is put down to a stall.
// StallGrace is how long the peer then has to be heard: its input may be waiting.
const (
	StallTolerance = time.Second
	StallGrace     = 5 * time.Second
)

// NewPoller returns a Poller that gives back connections after timeout. Its goroutines
// belong to group, which must not be waited for before the Poller is closed.
func NewPoller(timeout time.Duration, group *sync.WaitGroup) *Poller {
	return &Poller{timeout: timeout, group: group}
}

// Init makes w the Waiter of a connection.
func (w *Waiter) Init(conn Conn, handler Handler) { w.Conn, w.handler = conn, handler }

// Since returns when the connection was parked last.
func (w *Waiter) Since() time.Time { return w.since }

// Park leaves a connection to the Poller, until its handler is called: its reader,
// which calls Park, must not touch it after that. Park reports false, and does nothing,
// if the connection was roused.
func (p *Poller) Park(w *Waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.roused {
		return false
	}
	if !p.arm(w) {
		w.attended = true
		w.Conn.SetReadDeadline(time.Time{})
		p.group.Go(func() { p.attend(w) })
	}
	w.since = time.Now()
	p.parked.Push(w, &w.node)
	if p.alarm.IsZero() {
		p.setAlarm(w.since.Add(p.timeout))
	}
	return true
}

// arm makes the poll wait for a connection, if it can. mu is held.
func (p *Poller) arm(w *Waiter) bool {
	socket := w.Conn.descriptor()
	if socket == nil || !p.open() {
		return false
	}
	first := !w.known
	if first {
		p.admit(w)
	}
	return p.poll.arm(socket, w.number, first) == nil
}

// open readies the poll. mu is held.
func (p *Poller) open() bool {
	if p.poll != nil || p.broken {
		return p.poll != nil
	}
	poll, err := newPoll()
	if err != nil {
		p.broken = true
		return false
	}
	p.poll = poll
	p.group.Go(func() { p.run(poll) })
	return true
}

// admit gives w a place. mu is held.
func (p *Poller) admit(w *Waiter) {
	w.known = true
	if n := len(p.free); n > 0 {
		w.number, p.free = p.free[n-1], p.free[:n-1]
		p.places[w.number] = w
		return
	}
	w.number = int32(len(p.places))
	p.places = append(p.places, w)
}

// Rouse gives a parked connection back, keeps it from being parked again, and makes a
// read that waits time out. Callers call it when they abort a connection, which a poll
// does not report. It does not block.
func (p *Poller) Rouse(w *Waiter) {
	p.mu.Lock()
	w.roused = true
	w.Conn.SetReadDeadline(longAgo)
	ready := w.unpark()
	p.mu.Unlock()
	if ready {
		w.handler.Ready()
	}
}

// unpark ends the waiting of a connection, and reports whether it was parked without a
// goroutine, which calls the handler itself. The Poller's mu is held.
func (w *Waiter) unpark() (ready bool) {
	ready = w.node.Linked() && !w.attended
	w.node.Remove()
	return ready
}

// Leave takes the place of a connection that is not parked and will not be again.
func (p *Poller) Leave(w *Waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.known {
		w.known = false
		p.places[w.number] = nil
		p.free = append(p.free, w.number)
	}
}

// Close ends the goroutines: no connection has a place. The Poller can be used again.
func (p *Poller) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.poll != nil {
		p.poll.close()
	}
	p.poll, p.places, p.free = nil, nil, nil
	p.setAlarm(time.Time{})
}

// attend waits for the input of one connection.
func (p *Poller) attend(w *Waiter) {
	w.Conn.Await() // TryRead returns what comes of it
	p.mu.Lock()
	w.node.Remove()
	w.attended = false
	p.mu.Unlock()
	w.handler.Ready()
}

// run waits for the input of all others. It ends when the poll is closed.
func (p *Poller) run(poll *poll) {
	heard := p.heard
	for poll.wait(heard) == nil {
	}
	p.fail(poll)
}

// heard is called for a place that has input. What is there now need not be what
// had it: it then finds that it has none.
func (p *Poller) heard(number int32) {
	p.mu.Lock()
	var w *Waiter
	if int(number) < len(p.places) {
		w = p.places[number]
	}
	ready := w != nil && w.unpark()
	p.mu.Unlock()
	if ready {
		w.handler.Ready()
	}
}

// silence gives back connections that were silent for too long, and sets the next alarm.
func (p *Poller) silence(now time.Time) {
	p.mu.Lock()
	if p.alarm.IsZero() || now.Before(p.alarm) {
		p.mu.Unlock()
		return // it was set anew meanwhile
	}
	if now.Sub(p.alarm) > StallTolerance {
		p.graceUntil = now.Add(min(StallGrace, p.timeout))
	}
	var silent []*Waiter
	for w := p.parked.Front(); w != nil && !now.Before(p.graceUntil) && !now.Before(w.since.Add(p.timeout)); w = p.parked.Front() {
		w.since = now.Add(-p.timeout) // the stall, if there was one, is over
		if w.unpark() {
			silent = append(silent, w)
		} else {
			w.Conn.SetReadDeadline(longAgo)
		}
	}
	switch {
	case p.parked.Len() == 0:
		p.setAlarm(time.Time{})
	case now.Before(p.graceUntil):
		p.setAlarm(p.graceUntil)
	default:
		p.setAlarm(p.parked.Front().since.Add(p.timeout))
	}
	p.mu.Unlock()
	for _, w := range silent {
		w.handler.Ready()
	}
}

// setAlarm is called with mu held.
func (p *Poller) setAlarm(at time.Time) {
	p.alarm = at
	running := p.timer != nil && p.timer.Stop()
	switch {
	case !at.IsZero() && !running:
		p.group.Add(1)
	case at.IsZero() && running:
		p.group.Done()
	}
	if at.IsZero() {
		return
	}
	if p.timer == nil {
		p.timer = time.AfterFunc(time.Until(at), func() {
			defer p.group.Done()
			p.silence(time.Now())
		})
		return
	}
	p.timer.Reset(time.Until(at))
}

// fail gives all connections back that the poll waits for, unless it was closed because
// none is left: goroutines wait for them from now on.
func (p *Poller) fail(poll *poll) {
	p.mu.Lock()
	if p.poll != poll {
		p.mu.Unlock()
		return
	}
	p.broken, p.poll = true, nil
	poll.close()
	var all []*Waiter
	for _, w := range p.places {
		if w != nil && w.unpark() {
			all = append(all, w)
		}
	}
	p.mu.Unlock()
	for _, w := range all {
		w.handler.Ready()
	}
}

// Parked returns how many connections are parked.
func (p *Poller) Parked() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.parked.Len()
}
