package presencetest

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

// Faults is how the network treats every message between two replicas.
type Faults struct {
	Loss, Repeat float64 // probability, 0 to 1
	// Delay is the most time a message takes; the least is a tenth of a
	// millisecond. Above that messages overtake each other when Reorder is set.
	Delay   time.Duration
	Reorder bool
}

// Cluster is a number of replicas, their network and their clock.
type Cluster struct {
	// MaxPayload is the most bytes of a message, 1 MiB at first.
	MaxPayload int

	random *rand.Rand
	now    time.Time
	hosts  []*host
	faults Faults
	cut    map[[2]string]bool // from, to
	traps  []*trap
	mail   mailbox
	sent   uint64
	kinds  map[string]int // messages sent, by kind
	metas  int
	report func(format string, args ...any)

	// histories are all states that every process ever had in every topic:
	// by birth and topic, ascending by number.
	histories map[historyKey][]state
}

// host is a place where one replica after another runs.
type host struct {
	name     string
	as       string // the replica's name
	replica  *presence.Replica
	subs     map[string]bool
	deadline time.Time
	running  bool          // false between Kill and Restart
	paused   bool          // stopped, with mail waiting
	outage   bool          // its bus is down
	hidden   bool          // a route to it is being reset: nobody finds it, and it is not told
	clock    time.Duration // the wall clock is off by this
	entries  []owned       // in the order of tracking
	watches  map[string]*folded
	reached  map[reachedKey]uint64
	// since has, for each topic that is followed, where every other process
	// stood when that began.
	since map[string]map[uint64]uint64
}

// owned is an entry of our own, as the caller knows it.
type owned struct {
	topic, key string
	dot        uint64
}

type letter struct {
	at   time.Time
	n    uint64
	to   *host
	run  *presence.Replica // for this incarnation of the host only
	data []byte
	gone string // an unreachable destination instead of data
}

type mailbox []*letter

func (m mailbox) Len() int { return len(m) }
func (m mailbox) Less(i, j int) bool {
	return m[i].at.Before(m[j].at) || m[i].at.Equal(m[j].at) && m[i].n < m[j].n
}
func (m mailbox) Swap(i, j int) { m[i], m[j] = m[j], m[i] }
func (m *mailbox) Push(x any)   { *m = append(*m, x.(*letter)) }
func (m *mailbox) Pop() any {
	last := len(*m) - 1
	l := (*m)[last]
	(*m)[last] = nil
	*m = (*m)[:last]
	return l
}

// noBus stands for the bus in a replica's config: the cluster carries its
// messages.
type noBus struct {
	presence.Bus
	c *Cluster
}

func (b noBus) MaxPayload() int { return b.c.MaxPayload }

// New starts replicas of these names; "twin=eu" is one that runs under the name
// eu and is called twin here. Everything that happens by chance depends
// on seed alone.
func New(seed uint64, names ...string) *Cluster {
	c := &Cluster{
		MaxPayload: 1 << 20,

		random:    rand.New(rand.NewPCG(seed, 0)),
		now:       time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		cut:       map[[2]string]bool{},
		kinds:     map[string]int{},
		histories: map[historyKey][]state{},
		report:    func(string, ...any) {},
	}
	for _, name := range names {
		h := &host{name: name, as: name}
		if label, as, twin := strings.Cut(name, "="); twin {
			h.name, h.as = label, as
		}
		c.hosts = append(c.hosts, h)
		c.boot(h)
	}
	return c
}

// Log makes the cluster tell what is done to it and what comes of it.
func (c *Cluster) Log(report func(format string, args ...any)) { c.report = report }

func (c *Cluster) host(name string) *host {
	i := slices.IndexFunc(c.hosts, func(h *host) bool { return h.name == name })
	if i < 0 {
		panic(fmt.Sprintf("presencetest: no replica is named %q", name))
	}
	return c.hosts[i]
}

func (c *Cluster) boot(h *host) {
	h.running, h.paused, h.outage, h.hidden = true, false, false, false
	h.subs, h.entries, h.watches, h.reached = map[string]bool{}, nil, map[string]*folded{}, map[reachedKey]uint64{}
	h.since = map[string]map[uint64]uint64{}
	wall := func() time.Time { return c.now.Add(h.clock) }
	h.replica = presence.NewReplica(presence.Config{Name: h.as, Bus: noBus{c: c}}, c.now, wall, c.random.Uint64)
	c.collect(h)
}

// collect carries out what h's replica wants done.
func (c *Cluster) collect(h *host) {
	ready := h.replica.Ready()
	h.deadline = ready.Deadline
	for _, op := range ready.Ops {
		switch op.Kind {
		case presence.OpSubscribe:
			h.subs[op.Dest] = true
		case presence.OpUnsubscribe:
			delete(h.subs, op.Dest)
		case presence.OpPublish, presence.OpRequest:
			c.carry(h, op)
		}
	}
	for _, n := range ready.Notices {
		c.report("%s: %s %s", h.name, n.Replica, n.What)
	}
	for _, e := range ready.Events {
		if f := h.watches[e.Topic]; f != nil {
			f.fold(e)
			c.report("%s: %s %s", h.name, e.Topic, describe(e))
		}
	}
}

func (c *Cluster) carry(from *host, op presence.Op) {
	if from.outage {
		return
	}
	c.kinds[presence.DescribeMessage(op.Data)]++
	reachable := false
	for _, to := range c.hosts {
		if !to.running || to.outage || !to.subs[op.Dest] {
			continue
		}
		if to != from && (to.hidden || from.hidden) {
			continue
		}
		reachable = true
		if to == from && c.cut[[2]string{from.name, from.name}] {
			continue
		}
		if to == from {
			c.post(letter{at: c.now.Add(100 * time.Microsecond), to: to, data: op.Data})
			continue
		}
		if c.cut[[2]string{from.name, to.name}] || c.trapped(from, to, op.Data) || c.random.Float64() < c.faults.Loss {
			continue
		}
		c.post(letter{at: c.arrival(), to: to, data: op.Data})
		if c.random.Float64() < c.faults.Repeat {
			c.post(letter{at: c.arrival().Add(c.faults.Delay), to: to, data: op.Data})
		}
	}
	if op.Kind == presence.OpRequest && !reachable {
		c.post(letter{at: c.now.Add(100 * time.Microsecond), to: from, gone: op.Dest})
	}
}

func (c *Cluster) arrival() time.Time {
	least := 100 * time.Microsecond
	if !c.faults.Reorder || c.faults.Delay <= least {
		return c.now.Add(max(least, c.faults.Delay))
	}
	return c.now.Add(least + time.Duration(c.random.Int64N(int64(c.faults.Delay-least))))
}

func (c *Cluster) post(l letter) {
	l.run = l.to.replica
	c.postTo(l)
}

// postTo posts a letter for a certain process.
func (c *Cluster) postTo(l letter) {
	c.sent++
	l.n = c.sent
	heap.Push(&c.mail, &l)
}

// Advance lets time pass: mail arrives and timers fall due, in order.
func (c *Cluster) Advance(d time.Duration) {
	end := c.now.Add(d)
	var waiting []*letter // for the paused
	for {
		next, h := end, (*host)(nil)
		for _, x := range c.hosts {
			if x.running && !x.paused && !x.deadline.IsZero() && x.deadline.Before(next) {
				next, h = x.deadline, x
			}
		}
		if len(c.mail) > 0 && !c.mail[0].at.After(next) {
			l := heap.Pop(&c.mail).(*letter)
			if l.to.paused && l.to.replica == l.run {
				waiting = append(waiting, l)
				continue
			}
			c.now = later(c.now, l.at)
			c.deliver(l)
			continue
		}
		if h == nil {
			break
		}
		c.now = later(c.now, next)
		h.replica.Tick(c.now)
		c.collect(h)
	}
	c.now = end
	for _, l := range waiting {
		heap.Push(&c.mail, l)
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (c *Cluster) deliver(l *letter) {
	h := l.to
	if !h.running || h.replica != l.run || h.outage {
		return
	}
	if l.gone != "" {
		h.replica.Unreachable(c.now, l.gone)
	} else {
		h.replica.Receive(c.now, l.data)
	}
	c.collect(h)
}

// nextMeta is a meta that differs from all others.
func (c *Cluster) nextMeta() []byte {
	c.metas++
	return fmt.Appendf(nil, `{"v":%d}`, c.metas)
}

// acquire makes h follow topic.
func (c *Cluster) acquire(h *host, topic string, watch bool) {
	began := !h.replica.Dump(topic).Interested
	if err := h.replica.Acquire(c.now, topic, watch); err != nil {
		panic(err)
	}
	if began {
		h.since[topic] = map[uint64]uint64{}
		for _, other := range c.hosts {
			own := other.replica.Dump(topic).Own
			if n := len(c.histories[historyKey{own.Birth, topic}]); n > 0 {
				h.since[topic][own.Birth] = c.histories[historyKey{own.Birth, topic}][n-1].seq
			}
		}
	}
}

// Track makes key present in topic on the replica name.
func (c *Cluster) Track(name, topic, key string) {
	h := c.host(name)
	c.acquire(h, topic, false)
	dot, err := h.replica.Track(c.now, topic, key, c.nextMeta())
	if err != nil {
		panic(err)
	}
	h.entries = append(h.entries, owned{topic, key, dot})
	c.record(h, topic)
	c.collect(h)
}

// Update changes the meta of the i-th presence that name holds, modulo their
// number.
func (c *Cluster) Update(name string, i int) {
	h := c.host(name)
	if len(h.entries) == 0 {
		return
	}
	e := &h.entries[i%len(h.entries)]
	e.dot, _ = h.replica.Update(c.now, e.topic, e.dot, c.nextMeta())
	c.record(h, e.topic)
	c.collect(h)
}

// Untrack ends the i-th presence that name holds, modulo their number.
func (c *Cluster) Untrack(name string, i int) {
	h := c.host(name)
	if len(h.entries) == 0 {
		return
	}
	i %= len(h.entries)
	e := h.entries[i]
	h.entries = slices.Delete(h.entries, i, i+1)
	h.replica.Untrack(c.now, e.topic, e.dot)
	h.replica.Release(c.now, e.topic, false)
	c.record(h, e.topic)
	c.collect(h)
}

// Watch makes name watch topic; a second time it does nothing.
func (c *Cluster) Watch(name, topic string) {
	h := c.host(name)
	if h.watches[topic] != nil {
		return
	}
	c.acquire(h, topic, true)
	c.collect(h)
	h.watches[topic] = newFolded(h.replica.List(topic))
}

// Unwatch ends Watch.
func (c *Cluster) Unwatch(name, topic string) {
	h := c.host(name)
	if h.watches[topic] == nil {
		return
	}
	delete(h.watches, topic)
	h.replica.Release(c.now, topic, true)
	c.collect(h)
}

// List is who is in topic as name sees it.
func (c *Cluster) List(name, topic string) *presence.List { return c.host(name).replica.List(topic) }

// Replica is the state machine that runs as name now.
func (c *Cluster) Replica(name string) *presence.Replica { return c.host(name).replica }

// SetFaults sets how messages fare from now on.
func (c *Cluster) SetFaults(f Faults) { c.faults = f }

// Cut makes messages from one replica to another vanish, or no longer.
func (c *Cluster) Cut(from, to string, cut bool) { c.cut[[2]string{from, to}] = cut }

// Pause stops name as SIGSTOP does: mail waits.
func (c *Cluster) Pause(name string) { c.host(name).paused = true }

// Resume ends Pause.
func (c *Cluster) Resume(name string) {
	h := c.host(name)
	h.paused = false
	h.deadline = c.now
}

// Outage takes name's bus away: messages to and from it are lost, and it is
// told.
func (c *Cluster) Outage(name string) {
	if h := c.host(name); h.running && !h.outage {
		h.outage = true
		h.replica.BusDown(c.now)
		c.collect(h)
	}
}

// Reconnect ends Outage.
func (c *Cluster) Reconnect(name string) {
	if h := c.host(name); h.running && h.outage {
		h.outage = false
		h.replica.BusUp(c.now)
		h.replica.Lost(c.now)
		c.collect(h)
	}
}

// Hide makes name unreachable as a route that is being reset does: the network
// says that nobody is there, and name is not told.
func (c *Cluster) Hide(name string, hidden bool) { c.host(name).hidden = hidden }

// Kill ends name's process without a word.
func (c *Cluster) Kill(name string) { c.host(name).running = false }

// Leave ends name's process gracefully.
func (c *Cluster) Leave(name string) {
	h := c.host(name)
	if !h.running {
		return
	}
	for len(h.entries) > 0 {
		c.Untrack(name, 0)
	}
	h.replica.Leave(c.now)
	c.collect(h)
	h.running = false
}

// Restart starts a new process of name, with its wall clock off by clock.
func (c *Cluster) Restart(name string, clock time.Duration) {
	h := c.host(name)
	h.clock = clock
	c.boot(h)
}

// Heal ends all faults: killed replicas stay away.
func (c *Cluster) Heal() {
	c.faults = Faults{}
	clear(c.cut)
	c.traps = nil
	for _, h := range c.hosts {
		if h.paused {
			c.Resume(h.name)
		}
		c.Reconnect(h.name)
		h.hidden = false
	}
}
