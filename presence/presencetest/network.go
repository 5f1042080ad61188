package presencetest

import (
	"slices"
	"strings"
	"time"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// This file is the network: how a message gets from one replica to another, or
// does not, and how time passes.

// Faults is how the network treats every message between two replicas.
type Faults struct {
	Loss, Repeat float64 // probability, 0 to 1
	// Delay is the most time a message takes; the least is a tenth of a
	// millisecond. Above that messages overtake each other when Reorder is set.
	Delay   time.Duration
	Reorder bool
}

// leastPayload is what messages need: room for a header, and for a piece of an
// answer with an entry in it.
const leastPayload = 600

// leastDelay is what every message takes.
const leastDelay = 100 * time.Microsecond

// letter is a message on its way.
type letter struct {
	to   *host
	run  *replica.Replica // for this incarnation of the host only
	data []byte
	gone string // an unreachable destination instead of data

	from identity
	kind string // as replica.Kind says it
	nth  uint64 // of the heartbeats that were sent, when it is one
}

// mailbox holds what is on its way, by the time of arrival.
type mailbox struct {
	queue []arrival // a binary heap
	slots []letter
	free  []int32 // slots that are empty
	n     uint64
}

// arrival says when the letter in a slot arrives. It holds no pointer, so that
// moving it about the heap costs little.
type arrival struct {
	at   time.Duration // since the cluster's start
	n    uint64        // ties are broken by age, so that runs repeat
	slot int32
}

func (a *arrival) before(b *arrival) bool { return a.at < b.at || a.at == b.at && a.n < b.n }

func (m *mailbox) push(at time.Duration, l letter) {
	slot := int32(len(m.slots))
	if last := len(m.free) - 1; last >= 0 {
		slot = m.free[last]
		m.free = m.free[:last]
		m.slots[slot] = l
	} else {
		m.slots = append(m.slots, l)
	}
	m.n++
	m.queue = append(m.queue, arrival{at, m.n, slot})
	q := m.queue
	for i := len(q) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q[i].before(&q[parent]) {
			break
		}
		q[i], q[parent] = q[parent], q[i]
		i = parent
	}
}

// next is when the next letter arrives; false when there is none.
func (m *mailbox) next() (time.Duration, bool) {
	if len(m.queue) == 0 {
		return 0, false
	}
	return m.queue[0].at, true
}

// pop takes the next letter out. There must be one.
func (m *mailbox) pop() letter {
	q := m.queue
	slot, last := q[0].slot, len(q)-1
	q[0] = q[last]
	q = q[:last]
	m.queue = q
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && q[child+1].before(&q[child]) {
			child++
		}
		if !q[child].before(&q[i]) {
			break
		}
		q[i], q[child] = q[child], q[i]
		i = child
	}
	l := m.slots[slot]
	m.slots[slot] = letter{}
	m.free = append(m.free, slot)
	return l
}

// carry takes a message from a replica to all that are subscribed.
func (c *Cluster) carry(from *host, op replica.Op) {
	if from.outage || from.unplugged {
		return
	}
	kind := replica.Kind(op.Data)
	if len(op.Data) > c.maxPayload {
		// The bus refuses it.
		c.wrong("S10: %s sends a %s of %d bytes, the most is %d", from.name, kind, len(op.Data), c.maxPayload)
		return
	}
	if c.kinds != nil {
		c.kinds[kind]++
	}
	l := letter{data: op.Data, from: identity{from.as, from.replica.Epoch()}, kind: kind}
	if kind == "heartbeat" {
		c.beats++
		l.nth = c.beats
	}
	reachable := false
	for _, to := range c.listeners(op.Dest) {
		if !to.running || to.outage || to.unplugged || to.settings != from.settings && strings.HasPrefix(op.Dest, everyDest(bus.ClassTopic)) {
			continue
		}
		if to != from && (to.hidden || from.hidden) {
			continue
		}
		reachable = true
		l.to, l.run = to, to.replica
		if to == from {
			if !c.isCut(from, to) {
				c.mail.push(c.at+leastDelay, l)
			}
			continue
		}
		if c.isCut(from, to) || c.trapped(from, l) || c.chance(c.faults.Loss) {
			continue
		}
		c.mail.push(c.arrival(), l)
		if c.chance(c.faults.Repeat) {
			c.mail.push(c.arrival()+c.faults.Delay, l)
		}
	}
	if op.Kind == replica.OpRequest && !reachable {
		c.mail.push(c.at+leastDelay, letter{to: from, run: from.replica, gone: op.Dest})
	}
}

// listeners are those who are subscribed to a destination, or to all of its
// class, in the order of the hosts.
func (c *Cluster) listeners(dest string) []*host {
	list := c.subs[dest]
	class, _, _ := strings.Cut(dest, ":")
	all := c.subs[everyDest(class)]
	if len(all) == 0 {
		return list
	}
	both := slices.Concat(list, all)
	slices.SortFunc(both, byIndex)
	return slices.Compact(both)
}

// everyDest stands for all destinations of a class among the subscriptions. It
// is itself none.
func everyDest(class string) string { return class + ":" }

// subscribe and unsubscribe keep who listens to a destination, in the order of
// the hosts.
func (c *Cluster) subscribe(h *host, dest string) {
	list := c.subs[dest]
	i, listens := slices.BinarySearchFunc(list, h, byIndex)
	if !listens {
		c.subs[dest] = slices.Insert(list, i, h)
	}
}

func (c *Cluster) unsubscribe(h *host, dest string) {
	list := c.subs[dest]
	i, listens := slices.BinarySearchFunc(list, h, byIndex)
	if listens {
		list = slices.Delete(list, i, i+1)
		c.subs[dest] = list
	}
	if len(list) == 0 {
		delete(c.subs, dest)
	}
}

func (c *Cluster) listens(h *host, dest string) bool {
	_, listens := slices.BinarySearchFunc(c.subs[dest], h, byIndex)
	return listens
}

func byIndex(a, b *host) int { return a.index - b.index }

func (c *Cluster) isCut(from, to *host) bool {
	return len(c.cut) > 0 && c.cut[[2]string{from.name, to.name}]
}

func (c *Cluster) chance(p float64) bool { return c.random.Float64() < p }

// arrival is when a message that is sent now arrives.
func (c *Cluster) arrival() time.Duration {
	if !c.faults.Reorder || c.faults.Delay <= leastDelay {
		return c.at + max(leastDelay, c.faults.Delay)
	}
	return c.at + leastDelay + time.Duration(c.random.Int64N(int64(c.faults.Delay-leastDelay)))
}

// Advance lets time pass: mail arrives and timers fall due, in order.
func (c *Cluster) Advance(d time.Duration) {
	end := c.at + d
	for {
		next, h := end, (*host)(nil)
		for _, x := range c.hosts {
			if x.running && !x.paused && x.deadline < next {
				next, h = x.deadline, x
			}
		}
		if at, ok := c.mail.next(); ok && at <= next {
			c.at = max(c.at, at)
			c.deliver(c.mail.pop())
			continue
		}
		if h == nil {
			break
		}
		c.at = max(c.at, next)
		h.replica.Tick(c.now())
		c.collect(h)
	}
	c.at = end
}

func (c *Cluster) deliver(l letter) {
	h := l.to
	switch {
	case !h.running || h.replica != l.run:
		return
	case h.paused:
		h.waiting = append(h.waiting, l)
		return
	case h.outage || h.unplugged:
		return
	case l.gone != "":
		h.replica.Unreachable(c.now(), l.gone)
	default:
		h.replica.Receive(c.now(), replica.Decode(l.data, h.reads))
		switch l.kind {
		case "heartbeat":
			h.hears(l.from, l.nth, c.at, c.oblivion())
		case "leave":
			h.hears(l.from, 0, c.at, c.oblivion())
		}
	}
	c.collect(h)
}
