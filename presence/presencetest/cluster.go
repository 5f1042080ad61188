package presencetest

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// Setup says how a cluster begins. The zero value is usable.
type Setup struct {
	Seed uint64 // all that happens by chance depends on it alone
	// Config has the settings of all replicas. Of its fields, Name, Bus, Logger, MaxMeta
	// and MaxSessionPresences are ignored; faults are not looked for.
	Config presence.Config
	// MaxPayload is the most bytes of a message; default 1 MiB.
	MaxPayload int
}

// Cluster is a number of replicas, their network and their clock.
type Cluster struct {
	// static
	setup  Setup
	start  time.Time
	random *rand.Rand
	report func(format string, args ...any)

	// network
	at         time.Duration // since start
	maxPayload int
	hosts      []*host
	subs       map[string][]*host
	faults     Faults
	cut        map[[2]string]bool // from, to
	traps      []*trap
	mail       mailbox
	kinds      map[string]int // messages sent, by kind, while somebody counts

	// users
	metas  int
	topics []string // every one that anybody ever tracked in or watched; sorted
	known  map[string]bool

	witness
}

// host is a place where one replica after another runs.
type host struct {
	// static
	name  string
	as    string // the replica's name
	index int    // among the cluster's

	// what became of it
	running   bool          // false between Kill and Restart
	paused    bool          // stopped, with mail waiting
	outage    bool          // its bus is down
	unplugged bool          // the same, and it is not told
	hidden    bool          // a route to it is being reset: nobody finds it, and it is not told
	clock     time.Duration // the wall clock is off by this
	wire      int           // the version of the wire format that it is held at; 0: the newest
	settings  string        // of its bus; who has others does not hear its topics
	waiting   []letter      // that came while it was paused
	deadline  time.Duration // since the cluster's start

	// its process
	replica *replica.Replica
	reads   int     // the version of the wire format
	entries []owned // in the order of tracking
	watches map[string]*folded
	mirror  map[string]*folded // by topic; nil when it is no mirror
	onEvent func(presence.Event)
	testimony
}

// owned is an entry of our own, as the caller knows it.
type owned struct {
	topic, key string
	dot        uint64
	data       []byte
}

// New starts replicas of these names; "twin=eu" is one that runs under the name
// eu and is called twin here; "eu@1" is held at version 1 of the wire format until
// it is upgraded. Everything that happens by chance depends on seed alone.
func New(seed uint64, names ...string) *Cluster { return Setup{Seed: seed}.Start(names...) }

// Start starts replicas of these names, as New does.
func (s Setup) Start(names ...string) *Cluster {
	if s.MaxPayload == 0 {
		s.MaxPayload = 1 << 20
	}
	c := &Cluster{
		setup:  s,
		start:  time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		random: rand.New(rand.NewPCG(s.Seed, 0)),
		report: func(string, ...any) {},

		maxPayload: s.MaxPayload,
		subs:       map[string][]*host{},
		cut:        map[[2]string]bool{},
		known:      map[string]bool{},
		witness:    newWitness(),
	}
	for i, name := range names {
		name, version, held := strings.Cut(name, "@")
		h := &host{name: name, as: name, index: i}
		if held {
			var err error
			if h.wire, err = strconv.Atoi(version); err != nil {
				panic(fmt.Sprintf("presencetest: version of %s: %v", name, err))
			}
		}
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

// setMaxPayload sets the most bytes of a message from now on.
func (c *Cluster) setMaxPayload(n int) { c.maxPayload = n }

// permdown is the replicas' PermdownPeriod.
func (c *Cluster) permdown() time.Duration {
	return cmp.Or(c.setup.Config.PermdownPeriod, 20*time.Minute)
}

func (c *Cluster) now() time.Time { return c.start.Add(c.at) }

// find returns the host called name, or nil.
func (c *Cluster) find(name string) *host {
	for _, h := range c.hosts {
		if h.name == name {
			return h
		}
	}
	return nil
}

func (c *Cluster) host(name string) *host {
	h := c.find(name)
	if h == nil {
		panic(fmt.Sprintf("presencetest: no replica is named %q", name))
	}
	return h
}

func (c *Cluster) boot(h *host) {
	for dest := range c.subs {
		c.unsubscribe(h, dest)
	}
	h.running, h.paused, h.outage, h.unplugged, h.hidden = true, false, false, false, false
	h.waiting, h.entries, h.watches, h.mirror = nil, nil, map[string]*folded{}, nil
	cfg := c.config(c.setup.Config, h.as, h.settings)
	if h.wire != 0 {
		cfg.WireVersion = h.wire
	}
	h.reads = cfg.WireVersion
	wall := func() time.Time { return c.now().Add(h.clock) }
	h.replica = replica.New(cfg, c.now(), wall, c.random.Uint64)
	h.testimony = c.born(h)
	c.collect(h)
}

// collect carries out what h's replica wants done.
func (c *Cluster) collect(h *host) {
	h.touched = true
	ready := h.replica.Ready()
	h.deadline = math.MaxInt64
	if !ready.Deadline.IsZero() {
		h.deadline = ready.Deadline.Sub(c.start)
	}
	c.epoch(h)
	for _, op := range ready.Ops {
		switch op.Kind {
		case replica.OpSubscribe:
			c.subscribe(h, op.Dest)
		case replica.OpUnsubscribe:
			c.unsubscribe(h, op.Dest)
		case replica.OpSubscribeAll:
			c.subscribe(h, everyDest(op.Dest))
		case replica.OpUnsubscribeAll:
			c.unsubscribe(h, everyDest(op.Dest))
		case replica.OpPublish, replica.OpRequest:
			c.carry(h, op)
		}
	}
	for _, n := range ready.Notices {
		c.report("%s: %s %s", h.name, n.Replica, n.What)
	}
	for _, told := range ready.Events {
		e := newEvent(told)
		f := h.watches[e.Topic]
		if f != nil {
			f.fold(e)
		}
		if h.mirror != nil && !e.Diff.Empty() {
			h.mirrored(e.Topic).fold(e)
		}
		switch {
		case h.mirror != nil && e.Topic == "":
			c.report("%s: everything %s", h.name, describe(e))
		case f != nil || h.mirror != nil && !e.Diff.Empty():
			c.report("%s: %s %s", h.name, e.Topic, describe(e))
		}
		if f != nil && h.onEvent != nil {
			h.onEvent(e)
		}
	}
}

// mirrored is what a watcher of all topics knows of one. That is nothing of a
// topic that it was told nothing about.
func (h *host) mirrored(topic string) *folded {
	if h.mirror[topic] == nil {
		h.mirror[topic] = newFolded(&presence.List{})
	}
	return h.mirror[topic]
}

// nextMeta is a meta that differs from all others.
func (c *Cluster) nextMeta() []byte {
	c.metas++
	return fmt.Appendf(nil, `{"v":%d}`, c.metas)
}

// acquire makes h follow topic.
func (c *Cluster) acquire(h *host, topic string, watch bool) {
	began := !c.follows(h, topic)
	if err := h.replica.Acquire(c.now(), topic, watch); err != nil {
		panic(err)
	}
	if began {
		c.follow(h, topic)
	}
	if !c.known[topic] {
		c.known[topic] = true
		i, _ := slices.BinarySearch(c.topics, topic)
		c.topics = slices.Insert(c.topics, i, topic)
	}
}

// follows reports whether h hears what is said about topic.
func (c *Cluster) follows(h *host, topic string) bool {
	return c.listens(h, bus.TopicDest(topic)) || c.listens(h, everyDest(bus.ClassTopic))
}

// Track makes key present in topic on the replica name, with a meta that differs
// from all others.
func (c *Cluster) Track(name, topic, key string) { c.TrackMeta(name, topic, key, c.nextMeta()) }

// TrackMeta is Track with a meta, a JSON object that is not changed any more.
func (c *Cluster) TrackMeta(name, topic, key string, meta []byte) {
	h := c.host(name)
	c.acquire(h, topic, false)
	dot, err := h.replica.Track(c.now(), topic, key, meta)
	if err != nil {
		panic(err)
	}
	h.entries = append(h.entries, owned{topic, key, dot, meta})
	c.record(h, topic)
	c.collect(h)
}

// Update changes the meta of the i-th presence that name holds, modulo their
// number, to one that differs from all others.
func (c *Cluster) Update(name string, i int) {
	if len(c.host(name).entries) > 0 {
		c.UpdateMeta(name, i, c.nextMeta())
	}
}

// UpdateMeta is Update to a meta, a JSON object that is not changed any more.
func (c *Cluster) UpdateMeta(name string, i int, meta []byte) {
	h := c.host(name)
	if len(h.entries) == 0 {
		return
	}
	e := &h.entries[i%len(h.entries)]
	e.data = meta
	e.dot, _ = h.replica.Update(c.now(), e.topic, e.dot, e.data)
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
	h.replica.Untrack(c.now(), e.topic, e.dot)
	h.replica.Release(c.now(), e.topic, false)
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
	h.watches[topic] = newFolded(h.list(topic))
}

// OnEvent has handler told what the watchers of name are told from now on, also
// those of its later processes. An event is a difference to the List when Watch
// was called, and to the events since; it comes while the cluster's method runs
// that leads to it, so that handler must not call the cluster. nil ends it.
func (c *Cluster) OnEvent(name string, handler func(presence.Event)) { c.host(name).onEvent = handler }

// Unwatch ends Watch.
func (c *Cluster) Unwatch(name, topic string) {
	h := c.host(name)
	if h.watches[topic] == nil {
		return
	}
	delete(h.watches, topic)
	h.replica.Release(c.now(), topic, true)
	c.collect(h)
}

// mirror makes name follow and watch all topics; a second time it does nothing.
func (c *Cluster) mirror(name string) {
	h := c.host(name)
	if h.mirror != nil {
		return
	}
	for _, topic := range c.topics {
		if !c.follows(h, topic) {
			c.follow(h, topic)
		}
	}
	h.replica.AcquireAll(c.now())
	c.collect(h)
	h.mirror = map[string]*folded{}
	topics, _ := h.replica.Topics()
	for _, topic := range topics {
		h.mirror[topic] = newFolded(h.list(topic))
	}
}

// unmirror ends Mirror.
func (c *Cluster) unmirror(name string) {
	h := c.host(name)
	if h.mirror == nil {
		return
	}
	h.mirror = nil
	h.replica.ReleaseAll(c.now())
	c.collect(h)
}

// List is who is in topic as name sees it.
func (c *Cluster) List(name, topic string) *presence.List { return c.host(name).list(topic) }

// replica is the state machine that runs as name now.
func (c *Cluster) replica(name string) *replica.Replica { return c.host(name).replica }

// SetFaults sets how messages fare from now on.
func (c *Cluster) SetFaults(f Faults) { c.faults = f }

// Cut makes messages from one replica to another vanish, or no longer.
func (c *Cluster) Cut(from, to string, cut bool) { c.cut[[2]string{from, to}] = cut }

// Pause stops name as SIGSTOP does: mail waits.
func (c *Cluster) Pause(name string) {
	if h := c.host(name); h.running {
		h.paused = true
	}
}

// Resume ends Pause.
func (c *Cluster) Resume(name string) {
	h := c.host(name)
	if !h.paused {
		return
	}
	h.paused, h.deadline = false, c.at
	for _, l := range h.waiting {
		c.mail.push(c.at, l)
	}
	h.waiting = nil
}

// Outage takes name's bus away: messages to and from it are lost, and it is
// told.
func (c *Cluster) Outage(name string) {
	if h := c.host(name); h.running && !h.outage {
		h.outage = true
		h.replica.BusDown(c.now())
		c.collect(h)
	}
}

// Reconnect ends Outage.
func (c *Cluster) Reconnect(name string) {
	if h := c.host(name); h.running && h.outage {
		h.outage = false
		h.replica.BusUp(c.now())
		h.replica.Lost(c.now())
		c.collect(h)
	}
}

// unplug takes name's bus away, or gives it back, and name is not told of
// either: a connection that was lost and made anew without a word.
func (c *Cluster) unplug(name string, unplugged bool) { c.host(name).unplugged = unplugged }

// shed loses about half of what is on its way to name, and tells it that
// something was lost: a consumer that is too slow. It returns how many messages
// it was.
func (c *Cluster) shed(name string) int {
	h := c.host(name)
	if !h.running || h.paused {
		return 0
	}
	lost := 0
	for i := range c.mail.slots {
		if l := &c.mail.slots[i]; l.to == h && l.run == h.replica && l.gone == "" && c.chance(0.5) {
			l.run = nil
			lost++
		}
	}
	h.replica.Lost(c.now())
	c.collect(h)
	return lost
}

// hide makes name unreachable as a route that is being reset does: the network
// says that nobody is there, and name is not told.
func (c *Cluster) hide(name string, hidden bool) { c.host(name).hidden = hidden }

// Kill ends name's process without a word.
func (c *Cluster) Kill(name string) { c.host(name).running, c.host(name).paused = false, false }

// Leave ends name's process gracefully.
func (c *Cluster) Leave(name string) {
	h := c.host(name)
	if !h.running || h.paused {
		return
	}
	for len(h.entries) > 0 {
		c.Untrack(name, 0)
	}
	h.replica.Leave(c.now())
	c.collect(h)
	h.running = false
}

// restartWith is Restart on a bus with these settings.
func (c *Cluster) restartWith(name, settings string) {
	c.host(name).settings = settings
	c.Restart(name, 0)
}

// Restart starts a new process of name, with its wall clock off by clock.
func (c *Cluster) Restart(name string, clock time.Duration) {
	h := c.host(name)
	h.clock = clock
	c.boot(h)
}

// upgrade makes name, from its next start on, speak the newest version of the
// wire format.
func (c *Cluster) upgrade(name string) { c.host(name).wire = 0 }

// Heal ends all faults: killed replicas stay away.
func (c *Cluster) Heal() {
	c.faults = Faults{}
	clear(c.cut)
	c.traps = nil
	for _, h := range c.hosts {
		h.touched = true
		if h.paused {
			c.Resume(h.name)
		}
		c.Reconnect(h.name)
		h.hidden, h.unplugged = false, false
	}
}
