package presencetest

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// This file is what the cluster remembers of every process, so that the
// invariants can be judged by what was really done and not by what a replica
// says of itself.

// witness is what is known of the whole cluster.
type witness struct {
	issuers map[identity]*process
	beats   uint64       // heartbeats that were sent
	fault   error        // what was seen to be wrong between two checks
	dump    replica.Dump // for one look at a time
}

func newWitness() witness { return witness{issuers: map[identity]*process{}} }

// identity is what others know a process by. A process may take several, one
// after the other.
type identity struct {
	name  string
	epoch uint64
}

// process is one incarnation of a host.
type process struct {
	birth uint64
	last  uint64 // its number
	// past is every state that it had in a topic, ascending by number.
	past map[string][]state
}

// state is what a process held in a topic from number seq on.
type state struct {
	seq     uint64
	entries []replica.Entry
}

// at is what p held in topic at number seq.
func (p *process) at(topic string, seq uint64) []replica.Entry {
	past := p.past[topic]
	i := len(past) // nearly always the last, or one just before it
	if i > 8 && past[i-8].seq > seq {
		i = sort.Search(i, func(i int) bool { return past[i].seq > seq })
	}
	for i > 0 && past[i-1].seq > seq {
		i--
	}
	if i == 0 {
		return nil
	}
	return past[i-1].entries
}

// emptySince reports whether p had nothing in topic at number seq, or at any later
// one.
func (p *process) emptySince(topic string, seq uint64) bool {
	if len(p.at(topic, seq)) == 0 {
		return true
	}
	return slices.ContainsFunc(p.past[topic], func(s state) bool { return s.seq > seq && len(s.entries) == 0 })
}

// testimony is what is known of a host's process.
type testimony struct {
	process *process
	epoch   uint64
	touched bool // something was done to it since the last check
	// heard has every epoch of each name that a heartbeat or a leave told it of, and
	// when the last one did.
	heard   map[string][]epochHeard
	reached map[reachedKey]uint64
	// since has, for each topic that is followed, where every other process
	// stood when that began.
	since map[string]map[uint64]uint64 // by birth
}

type epochHeard struct {
	epoch uint64
	nth   uint64 // the latest of its heartbeats, in the order in which they were sent
	left  bool
	at    time.Duration
	// counted is when word of it was last heard that surely ended the lower epochs.
	// The others may have been refused: for a higher one that is forgotten by now;
	// for the leave; or because they came after one that was sent later.
	counted time.Duration
}

// oblivion is about when a replica forgets an epoch that it did not hear of any
// more: between surely and maybe, the moment depends on its own beats.
type oblivion struct{ surely, maybe time.Duration }

// oblivion is what is so old now that it is forgotten.
func (c *Cluster) oblivion() oblivion {
	// A replica looks every 64 beats for what it may forget, and not while it is
	// stopped.
	const looks = 2 * time.Minute
	maybe := max(c.at-2*c.permdown(), 0)
	return oblivion{surely: maybe - looks, maybe: maybe}
}

// hears notes that the nth heartbeat of all was delivered, or a leave, if nth is
// 0. It counts for nothing while a later epoch is remembered, and may or may not
// count while one may be.
func (y *testimony) hears(id identity, nth uint64, at time.Duration, old oblivion) {
	counted := at
	mine := -1
	for i, e := range y.heard[id.name] {
		switch {
		case e.epoch == id.epoch:
			mine = i
		case e.epoch < id.epoch:
		case e.counted >= old.maybe:
			return
		case e.at >= old.surely:
			counted = -1
		}
	}
	if mine < 0 {
		mine = len(y.heard[id.name])
		y.heard[id.name] = append(y.heard[id.name], epochHeard{epoch: id.epoch, counted: -1})
	}
	e := &y.heard[id.name][mine]
	e.at = at
	if nth == 0 || nth > e.nth && !e.left {
		e.counted = max(e.counted, counted)
	}
	e.nth, e.left = max(e.nth, nth), e.left || nth == 0
}

// mayShow reports whether id was heard, and nothing is remembered that ended it:
// neither its leave nor a later epoch of the name.
func (y *testimony) mayShow(id identity, old oblivion) bool {
	heard := false
	for _, e := range y.heard[id.name] {
		if e.counted >= old.maybe && (e.epoch > id.epoch || e.epoch == id.epoch && e.left) {
			return false
		}
		heard = heard || e.epoch == id.epoch
	}
	return heard
}

type reachedKey struct {
	owner identity
	topic string
}

// born begins the testimony of h's new process.
func (c *Cluster) born(h *host) testimony {
	return testimony{
		process: &process{birth: h.replica.Dump("").Own.Birth, past: map[string][]state{}},
		heard:   map[string][]epochHeard{},
		reached: map[reachedKey]uint64{},
		since:   map[string]map[uint64]uint64{},
	}
}

// epoch notes the identity of h's process. S2: no two processes ever have the
// same one, so that a name, an epoch and a number mean one content.
func (c *Cluster) epoch(h *host) {
	if h.epoch == h.replica.Epoch() {
		return
	}
	h.epoch = h.replica.Epoch()
	id := identity{h.as, h.epoch}
	if c.issuers[id] != nil {
		c.wrong("S2: %s takes epoch %d of %s, which a process had before", h.name, id.epoch, id.name)
	}
	c.issuers[id] = h.process
}

// record keeps what h's process holds in topic after a call that changed it.
func (c *Cluster) record(h *host, topic string) {
	h.replica.DumpTo(&c.dump, topic)
	own := &c.dump.Own
	past := h.process.past[topic]
	if own.Seq <= h.process.last {
		c.wrong("S2: %s gives number %d in topic %s, after %d", h.name, own.Seq, topic, h.process.last)
	}
	h.process.last = own.Seq
	h.process.past[topic] = append(past, state{own.Seq, slices.Clone(own.Entries)})
	n := 0
	for _, e := range h.entries {
		if e.topic != topic {
			continue
		}
		n++
		if i := slices.IndexFunc(own.Entries, func(o replica.Entry) bool { return o.Dot == e.dot }); i < 0 ||
			own.Entries[i].Key != e.key || string(own.Entries[i].Meta.Data) != string(e.data) {
			c.wrong("S8: %s was made to hold %s in topic %s as %d, and does not", h.name, e.key, topic, e.dot)
		}
	}
	if n != len(own.Entries) {
		c.wrong("S8: %s was made to hold %d entries in topic %s, and holds %d", h.name, n, topic, len(own.Entries))
	}
}

// follow notes where everybody stands in a topic that h begins to follow.
func (c *Cluster) follow(h *host, topic string) {
	h.since[topic] = map[uint64]uint64{}
	for _, other := range c.hosts {
		if past := other.process.past[topic]; len(past) > 0 {
			h.since[topic][other.process.birth] = past[len(past)-1].seq
		}
	}
}

// wrong keeps the first violation that is seen between two checks.
func (c *Cluster) wrong(format string, args ...any) {
	if c.fault == nil {
		c.fault = fmt.Errorf(format, args...)
	}
}
