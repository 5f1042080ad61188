package websocket

import (
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/internal/list"
)

// A parking is where connections are that wait for input: with no goroutine of
// their own, and so no stack. One goroutine waits for all of them, and for the
// first that will have been silent for too long. What is to go on is given back to
// the transport.
//
// The goroutine runs while the transport has connections.
type parking struct {
	// Static after newParking.
	timeout time.Duration // the transport's IdleTimeout
	goOn    func(*conn)   // must not block
	group   *sync.WaitGroup

	mu sync.Mutex
	// Guarded by mu.
	poll     *poll // nil: no connection yet, or no longer
	broken   bool  // poll cannot be had, now or ever
	places   []*conn
	free     []int32         // places without a connection
	parked   list.List[conn] // in the order of since
	alarm    time.Time       // when the goroutine looks for silence; zero: none is parked
	patience time.Time       // until then none is held to be silent: we were stalled
}

// A place is a connection's part in its parking: guarded by its mu, but for
// since, which is the reader's while the connection is not parked.
type place struct {
	since  time.Time       // when it was parked last: the client has not been heard since
	node   list.Node[conn] // in parked
	number int32           // in places; of those that were parked before
	known  bool            // was parked before
	roused bool            // is not to be parked any more
}

func newParking(timeout time.Duration, group *sync.WaitGroup, goOn func(*conn)) *parking {
	return &parking{timeout: timeout, goOn: goOn, group: group}
}

// park leaves c to the parking, until goOn is called with it: its reader, which
// calls park, must not touch it after that. It is false when c is to go on at
// once, or can only wait by itself.
func (p *parking) park(c *conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.place.roused || !c.wire.sock.ready() || !p.open() {
		return false
	}
	first := !c.place.known
	if first {
		p.admit(c)
	}
	if p.poll.arm(&c.wire.sock, c.place.number, first) != nil {
		return false
	}
	c.place.since = time.Now()
	p.parked.Push(c, &c.place.node)
	if p.alarm.IsZero() {
		p.setAlarm(c.place.since.Add(p.timeout))
	}
	return true
}

// open readies the poll. mu is held.
func (p *parking) open() bool {
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

// admit gives c a place. mu is held.
func (p *parking) admit(c *conn) {
	c.place.known = true
	if n := len(p.free); n > 0 {
		c.place.number, p.free = p.free[n-1], p.free[:n-1]
		p.places[c.place.number] = c
		return
	}
	c.place.number = int32(len(p.places))
	p.places = append(p.places, c)
}

// rouse has c go on if it is parked, and keeps it from being parked again. It
// must be called before c can be parked no more because it is closed: the poll
// does not tell of that. It does not block.
func (p *parking) rouse(c *conn) {
	p.mu.Lock()
	c.place.roused = true
	parked := c.place.node.Linked()
	c.place.node.Remove()
	p.mu.Unlock()
	if parked {
		p.goOn(c)
	}
}

// leave takes the place of c, which is not parked and will not be again.
func (p *parking) leave(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c.place.known {
		c.place.known = false
		p.places[c.place.number] = nil
		p.free = append(p.free, c.place.number)
	}
}

// end ends the goroutine: no connection has a place.
func (p *parking) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.poll != nil {
		p.poll.close()
	}
	p.poll, p.alarm = nil, time.Time{}
	p.places, p.free = nil, nil
}

// run is the goroutine. It ends when the poll is closed.
func (p *parking) run(poll *poll) {
	for {
		err := poll.wait(p.heard)
		if err != nil && isTimeout(err) {
			if err = poll.look(p.heard); err == nil { // what has been heard is not silent
				p.findSilent(poll, time.Now())
			}
		}
		if err != nil {
			p.fail(poll)
			return
		}
	}
}

// heard is called for a place that has input. What is there now need not be what
// had it: it then finds that it has none.
func (p *parking) heard(number int32) {
	p.mu.Lock()
	var c *conn
	if int(number) < len(p.places) {
		c = p.places[number]
	}
	parked := c != nil && c.place.node.Linked()
	if parked {
		c.place.node.Remove()
	}
	p.mu.Unlock()
	if parked {
		p.goOn(c)
	}
}

// findSilent has connections go on that were silent for too long, to be closed, and
// sets the next alarm.
func (p *parking) findSilent(poll *poll, now time.Time) {
	p.mu.Lock()
	if p.poll != poll {
		p.mu.Unlock()
		return
	}
	if now.Sub(p.alarm) > stallTolerance {
		p.patience = now.Add(min(stallGrace, p.timeout))
	}
	var silent []*conn
	for c := p.parked.Front(); c != nil && !now.Before(p.patience) && !now.Before(c.place.since.Add(p.timeout)); c = p.parked.Front() {
		c.place.since = now.Add(-p.timeout) // it is no stall of ours, see idleUntil
		c.place.node.Remove()
		silent = append(silent, c)
	}
	switch {
	case p.parked.Len() == 0:
		p.setAlarm(time.Time{})
	case now.Before(p.patience):
		p.setAlarm(p.patience)
	default:
		p.setAlarm(p.parked.Front().place.since.Add(p.timeout))
	}
	p.mu.Unlock()
	for _, c := range silent {
		c.wire.Conn.SetReadDeadline(longAgo) // its reader then asks why
		p.goOn(c)
	}
}

// setAlarm is called with mu held.
func (p *parking) setAlarm(at time.Time) {
	p.alarm = at
	p.poll.setDeadline(at)
}

// fail has all go on, each by itself from now on, unless the poll was closed
// because none is left.
func (p *parking) fail(poll *poll) {
	p.mu.Lock()
	if p.poll != poll {
		p.mu.Unlock()
		return
	}
	p.broken, p.poll = true, nil
	poll.close()
	var all []*conn
	for c := p.parked.Pop(); c != nil; c = p.parked.Pop() {
		all = append(all, c)
	}
	p.mu.Unlock()
	for _, c := range all {
		p.goOn(c)
	}
}
