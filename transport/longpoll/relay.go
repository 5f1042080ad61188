package longpoll

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/bus"
)

// A relay passes requests of clients of other replicas to them, and answers
// theirs. Who asks is an HTTP request that waits; who answers has a goroutine
// only while there is something to say.
//
//	asks              answers
//	poll          ->
//	              <-  waiting                  within RelayTimeout
//	              <-  messages, nothing, gone  within the window, in parts
//	publish       ->
//	              <-  accepted, timeout, gone  within RelayTimeout
//	cancel        ->                           the client went away
//	drop          ->                           what was answered got lost
//
// The bus may lose any of it. An answer that does not come is "gone" to the
// client, which then starts over; the session is told to end (drop), so that
// its presences do not linger. An answer with messages that nobody waits for any
// more is answered with drop too: nothing is lost without the client's noticing.
// A drop that the bus refuses while it is down is sent when it is up again.
type relay struct {
	// Static after startRelay.
	host *Transport
	conn bus.Conn

	mu sync.Mutex
	// Guarded by mu.
	next  uint64                     // number of the next call, from a random start
	calls map[uint64]*call           // ours that wait for an answer
	polls map[remoteCall]*remotePoll // those of others that wait here
	busy  int                        // publishes of others under way
	owed  []token                    // clients to drop when the bus is up, at most MaxSessions
}

// Bounds of a relay: the bytes of one answer, and the publishes of others that
// are handled at once.
const (
	maxAnswer = 64 << 20
	maxBusy   = 1024
)

// retryUnreachable is when a request is repeated that nobody got: NATS does not
// see a live replica for a second when a route is reset.
const retryUnreachable = 250 * time.Millisecond

// startRelay opens its lane of the bus.
func startRelay(t *Transport) (*relay, error) {
	r := &relay{
		host:  t,
		calls: make(map[uint64]*call),
		polls: make(map[remoteCall]*remotePoll),
	}
	var start [8]byte
	_, _ = rand.Read(start[:]) // never fails
	r.next = binary.BigEndian.Uint64(start[:])
	t.relay = r // the callbacks use it
	conn, err := t.config.Bus.Open(t.config.Lane, bus.Handler{Message: r.receive, Event: r.event})
	if err != nil {
		return nil, fmt.Errorf("open the bus: %w", err)
	}
	r.conn = conn // before Subscribe: no message comes before it
	if err := conn.Subscribe(t.self.dest()); err != nil {
		conn.Close()
		return nil, fmt.Errorf("subscribe on the bus: %w", err)
	}
	return r, nil
}

// stop leaves the bus.
func (r *relay) stop() { r.conn.Close() }

// receive is called by the bus, one call at a time, and must not block.
func (r *relay) receive(data []byte) {
	m, err := decodeWire(data)
	if err != nil {
		r.host.stats.garbage.Add(1)
		r.host.config.Logger.Warn("longpoll: message on the bus ignored", "error", err, "bytes", len(data))
		return
	}
	switch m.kind {
	case kindAnswer:
		r.answered(m)
	case kindPoll:
		r.servePoll(m)
	case kindPublish:
		r.servePublish(m)
	case kindCancel:
		r.cancel(remoteCall{m.from, m.call})
	case kindDrop:
		r.drop(m.client)
	}
}

// event is called by the bus.
func (r *relay) event(event bus.Event, dest string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if event == bus.Up {
		owed := r.owed
		r.owed = nil
		for _, to := range owed {
			r.sendDrop(to)
		}
	}
	for _, c := range r.calls {
		switch {
		case event == bus.Lost, event == bus.Down:
			c.lost = true
		case event == bus.Unreachable && dest == c.to.dest() && !c.waits:
			c.unreachable = true
		default:
			continue
		}
		c.tell()
	}
}

// send publishes a message of ours that needs no answer.
func (r *relay) send(to replicaID, m wireMessage) error {
	m.from = r.host.self
	return r.conn.Publish(to.dest(), m.encode())
}
