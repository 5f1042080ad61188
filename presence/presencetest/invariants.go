package presencetest

import (
	"fmt"
	"slices"
	"sort"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

type historyKey struct {
	birth uint64
	topic string
}

// state is what a process held in a topic from number seq on.
type state struct {
	seq     uint64
	entries []presence.Entry
}

type reachedKey struct {
	owner string
	epoch uint64
	topic string
}

// topics returns every topic that anybody ever tracked in or watched.
func (c *Cluster) topics() []string {
	set := map[string]bool{}
	for k := range c.histories {
		set[k.topic] = true
	}
	for _, h := range c.hosts {
		for topic := range h.watches {
			set[topic] = true
		}
	}
	list := make([]string, 0, len(set))
	for topic := range set {
		list = append(list, topic)
	}
	sort.Strings(list)
	return list
}

// record keeps what h's process holds in topic after a call that changed it.
func (c *Cluster) record(h *host, topic string) {
	own := h.replica.Dump(topic).Own
	key := historyKey{own.Birth, topic}
	c.histories[key] = append(c.histories[key], state{own.Seq, own.Entries})
}

// at is what the process born at birth held in topic at number seq.
func (c *Cluster) at(birth uint64, topic string, seq uint64) []presence.Entry {
	past := c.histories[historyKey{birth, topic}]
	i := sort.Search(len(past), func(i int) bool { return past[i].seq > seq })
	if i == 0 {
		return nil
	}
	return past[i-1].entries
}

func sameEntry(a, b presence.Entry) bool {
	return a.Dot == b.Dot && a.Origin == b.Origin && a.Key == b.Key && sameMeta(a.Meta, b.Meta)
}

func sameMeta(a, b presence.Meta) bool {
	return a.Ref == b.Ref && a.PrevRef == b.PrevRef && string(a.Data) == string(b.Data)
}

// Check verifies the safety invariants of the package documentation at this
// moment.
func (c *Cluster) Check() error {
	for _, h := range c.hosts {
		if !h.running {
			continue
		}
		if n := h.replica.Status().Stats.AuditMismatches; n > 0 {
			return fmt.Errorf("S9: %s found %d contents that differ at the same number", h.name, n)
		}
		for _, topic := range c.topics() {
			if err := c.checkTopic(h, topic); err != nil {
				return fmt.Errorf("%s, topic %s: %w", h.name, topic, err)
			}
		}
	}
	return nil
}

func (c *Cluster) checkTopic(h *host, topic string) error {
	dump := h.replica.Dump(topic)
	var own []owned
	for _, e := range h.entries {
		if e.topic == topic {
			own = append(own, e)
		}
	}
	if len(own) != len(dump.Own.Entries) {
		return fmt.Errorf("S8: it holds %d entries of its own, and was made to hold %d", len(dump.Own.Entries), len(own))
	}
	for _, v := range dump.Views {
		if !v.Synced {
			if len(v.Entries) > 0 {
				return fmt.Errorf("S1: an unsynced view of %s shows %d entries", v.Replica, len(v.Entries))
			}
			continue
		}
		if v.Held > 4 {
			return fmt.Errorf("S10: the view of %s holds %d deltas back", v.Replica, v.Held)
		}
		if at := h.since[topic][v.Birth]; dump.Complete && v.Up && v.Seq < at {
			return fmt.Errorf("S7: it is complete, and the view of %s stands at %d; that was at %d when interest began", v.Replica, v.Seq, at)
		}
		want := c.at(v.Birth, topic, v.Seq)
		if !slices.EqualFunc(v.Entries, want, sameEntry) {
			return fmt.Errorf("S1: the view of %s at %d is %v, the owner had %v", v.Replica, v.Seq, dots(v.Entries), dots(want))
		}
		if len(v.Entries) > 0 {
			key := reachedKey{v.Replica, v.Epoch, topic}
			if v.Seq < h.reached[key] {
				return fmt.Errorf("S3: the view of %s went back from %d to %d", v.Replica, h.reached[key], v.Seq)
			}
			h.reached[key] = v.Seq
		}
		for _, m := range h.replica.Members() {
			if m.Name == v.Replica && m.Epoch != v.Epoch {
				return fmt.Errorf("S5: it shows epoch %d of %s, which is at %d", v.Epoch, v.Replica, m.Epoch)
			}
		}
	}
	if f := h.watches[topic]; f != nil {
		if err := f.check(h.replica.List(topic)); err != nil {
			return fmt.Errorf("S6: %w", err)
		}
	}
	return nil
}

func dots(entries []presence.Entry) []uint64 {
	list := make([]uint64, len(entries))
	for i, e := range entries {
		list[i] = e.Dot
	}
	return list
}

// CheckLive verifies what must hold some time after all faults ended: give it a
// virtual minute and a half.
func (c *Cluster) CheckLive() error {
	for _, h := range c.hosts {
		if !h.running {
			continue
		}
		for _, other := range c.hosts {
			if other == h {
				continue
			}
			members := h.replica.Members()
			i := slices.IndexFunc(members, func(m presence.Member) bool { return m.Name == other.name })
			up := i >= 0 && members[i].Up
			if other.running && (!up || members[i].Epoch != other.replica.Epoch()) {
				return fmt.Errorf("L2: %s does not see %s", h.name, other.name)
			}
			if !other.running && up {
				return fmt.Errorf("L3: %s still shows %s", h.name, other.name)
			}
		}
		for _, topic := range c.topics() {
			if err := c.checkLiveTopic(h, topic); err != nil {
				return fmt.Errorf("%s, topic %s: %w", h.name, topic, err)
			}
		}
	}
	return nil
}

// CheckQuiet lets some seconds pass in which nobody does anything, and verifies
// that the traffic is heartbeats and the background comparison alone. Everything
// must have been quiet for a while.
func (c *Cluster) CheckQuiet() error {
	clear(c.kinds)
	c.Advance(5 * time.Second)
	for kind, n := range c.kinds {
		if n > 0 && kind != "heartbeat" && kind != "sync" && kind != "reply" {
			return fmt.Errorf("L6: nothing happens, and %d messages of kind %s were sent", n, kind)
		}
	}
	return nil
}

func (c *Cluster) checkLiveTopic(h *host, topic string) error {
	dump := h.replica.Dump(topic)
	if !dump.Interested {
		return nil
	}
	if !dump.Complete {
		return fmt.Errorf("L4: it is not complete")
	}
	for _, other := range c.hosts {
		if other == h || !other.running {
			continue
		}
		want := other.replica.Dump(topic).Own.Entries
		var have []presence.Entry
		for _, v := range dump.Views {
			if v.Replica == other.name {
				have = v.Entries
			}
		}
		if !slices.EqualFunc(have, want, sameEntry) {
			return fmt.Errorf("L1: it has %v of %s, which has %v", dots(have), other.name, dots(want))
		}
	}
	return nil
}

// folded is a watcher that folds what it is told.
type folded struct {
	metas map[string]presence.Meta // by ref
	fault error
}

func newFolded(l *presence.List) *folded {
	f := &folded{metas: map[string]presence.Meta{}}
	f.join(l.Presences)
	return f
}

func (f *folded) fold(e presence.Event) {
	for _, p := range e.Diff.Leaves {
		for _, m := range p.Metas {
			if _, held := f.metas[m.Ref]; !held {
				f.fault = fmt.Errorf("%s left with %s and was not there", p.Key, m.Ref)
			}
			delete(f.metas, m.Ref)
		}
	}
	f.join(e.Diff.Joins)
}

func (f *folded) join(list []presence.Presence) {
	for _, p := range list {
		for _, m := range p.Metas {
			if _, held := f.metas[m.Ref]; held {
				f.fault = fmt.Errorf("%s joined twice with %s", p.Key, m.Ref)
			}
			f.metas[m.Ref] = m
		}
	}
}

func (f *folded) check(l *presence.List) error {
	if f.fault != nil {
		return f.fault
	}
	n := 0
	for _, p := range l.Presences {
		for _, m := range p.Metas {
			n++
			if !sameMeta(f.metas[m.Ref], m) {
				return fmt.Errorf("the list has %s with %s, the folded diffs do not", p.Key, m.Ref)
			}
		}
	}
	if n != len(f.metas) {
		return fmt.Errorf("the list has %d metas, the folded diffs %d", n, len(f.metas))
	}
	return nil
}
