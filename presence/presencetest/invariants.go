package presencetest

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// The invariants. For every replica and topic, at any time:
//
//   - S1 every synced view equals its owner's history at exactly its number;
//   - S2 no two processes have the same name and epoch, and none gives a number twice:
//     (name, epoch, topic, number) means one content, which every view of it is
//     compared with;
//   - S3 what one replica shows of (owner, epoch, topic) never goes back;
//   - S4 a removed dot never reappears (it follows from S1 and S3);
//   - S5 of a name, only the highest epoch that its own heartbeats told of is visible,
//     and nothing once that has left;
//   - S6 folding all diffs that a watcher was told over its state equals the list, and
//     what is held;
//   - S7 a topic that is complete holds what every other replica that is up had when
//     interest in it began;
//   - S8 a replica's own entries change by its own calls alone;
//   - S9 equal numbers have equal content (no audit ever fails);
//   - S10 what is held back is bounded, every message is as small as the bus wants it,
//     and nothing is heard or held of topics that are not followed.
//
// Some time after all faults ended:
//
//   - L1 all lists are equal;
//   - L2 every replica sees every other one;
//   - L3 no replica shows one that does not run;
//   - L4 every topic that is followed is complete;
//   - L5 of two processes of one name the later one is seen, and the other is fenced;
//   - L6 the traffic falls to heartbeats and the background comparison.

func sameEntry(a, b replica.Entry) bool {
	return a.Dot == b.Dot && a.Origin == b.Origin && a.Key == b.Key && sameMeta(a.Meta, b.Meta)
}

func sameMeta(a, b replica.Meta) bool {
	return a.Ref == b.Ref && a.PrevRef == b.PrevRef && string(a.Data) == string(b.Data)
}

// check verifies the safety invariants (S) at this moment.
//
// A replica to which nothing was done since the last check is passed over, and
// that leaves nothing out: it is a pure machine, so that it holds what it held,
// and what it is judged by cannot have changed either. Histories only grow, by
// numbers above all that anybody can have been told of (checked with S1); what a
// watcher was told changes with a call of the replica, and where others stood is
// noted when interest begins. The first check after Heal, and checkLive, look at all
// of them.
func (c *Cluster) check() error {
	if c.fault != nil {
		return c.fault
	}
	for _, h := range c.hosts {
		if !h.running || !h.touched {
			continue
		}
		h.touched = false
		if n := h.replica.Status().Stats.AuditMismatches; n > 0 {
			return fmt.Errorf("S9: %s found %d contents that differ at the same number", h.name, n)
		}
		for _, topic := range c.topics {
			if err := c.checkTopic(h, topic); err != nil {
				return fmt.Errorf("%s, topic %s: %w", h.name, topic, err)
			}
		}
	}
	return nil
}

func (c *Cluster) checkTopic(h *host, topic string) error {
	dump := &c.dump
	h.replica.DumpTo(dump, topic)
	if want := h.process.at(topic, math.MaxUint64); !slices.EqualFunc(dump.Own.Entries, want, sameEntry) {
		return fmt.Errorf("S8: it holds %v of its own, and was made to hold %v", dots(dump.Own.Entries), dots(want))
	}
	if c.listens(h, bus.TopicDest(topic)) && !dump.Interested {
		return fmt.Errorf("S10: it is subscribed, and does not follow it")
	}
	if len(dump.Views) > 0 && !dump.Interested {
		return fmt.Errorf("S10: it has views, and does not follow it")
	}
	for _, v := range dump.Views {
		if err := c.checkView(h, topic, v, dump.Complete); err != nil {
			return err
		}
	}
	if dump.Complete {
		if err := c.checkAbsent(h, topic, dump); err != nil {
			return err
		}
	}
	for _, f := range h.watchers(topic) {
		if err := f.check(dump, h.list(topic), len(h.process.past[topic])); err != nil {
			return fmt.Errorf("S6: %w", err)
		}
	}
	return nil
}

// watchers are those who were told about topic.
func (h *host) watchers(topic string) (list []*folded) {
	if f := h.watches[topic]; f != nil {
		list = append(list, f)
	}
	if h.mirror != nil {
		list = append(list, h.mirrored(topic))
	}
	return list
}

// checkAbsent is S7 for those of whom nothing is held in a topic that is
// complete: they had nothing there when interest began, or at some time since.
func (c *Cluster) checkAbsent(h *host, topic string, dump *replica.Dump) error {
	for _, m := range h.replica.Peers() {
		p := c.issuers[identity{m.Name, m.Epoch}]
		if !m.Up || p == nil || slices.ContainsFunc(dump.Views, func(v replica.Part) bool { return v.Replica == m.Name }) {
			continue
		}
		if at := h.since[topic][p.birth]; at > 0 && !p.emptySince(topic, at) {
			return fmt.Errorf("S7: it is complete without %s, which had something at %d, when interest began, and ever since", m.Name, at)
		}
	}
	return nil
}

func (c *Cluster) checkView(h *host, topic string, v replica.Part, complete bool) error {
	owner := identity{v.Replica, v.Epoch}
	issuer := c.issuers[owner]
	if issuer == nil || issuer.birth != v.Birth || !h.mayShow(owner, c.oblivion()) {
		return fmt.Errorf("S5: it shows epoch %d of %s, and has heard of %v", v.Epoch, v.Replica, h.heard[v.Replica])
	}
	if v.Held > 4 {
		return fmt.Errorf("S10: the view of %s holds %d deltas back", v.Replica, v.Held)
	}
	if !v.Synced {
		if len(v.Entries) > 0 {
			return fmt.Errorf("S1: an unsynced view of %s shows %d entries", v.Replica, len(v.Entries))
		}
		return nil
	}
	if v.Seq > issuer.last {
		return fmt.Errorf("S1: the view of %s is at %d, the owner at %d", v.Replica, v.Seq, issuer.last)
	}
	if at := h.since[topic][v.Birth]; complete && v.Up && v.Seq < at {
		return fmt.Errorf("S7: it is complete, and the view of %s stands at %d; that was at %d when interest began", v.Replica, v.Seq, at)
	}
	if want := issuer.at(topic, v.Seq); !slices.EqualFunc(v.Entries, want, sameEntry) {
		return fmt.Errorf("S1: the view of %s at %d is %v, the owner had %v", v.Replica, v.Seq, dots(v.Entries), dots(want))
	}
	key := reachedKey{owner, topic}
	if v.Seq < h.reached[key] && len(v.Entries) > 0 { // nothing is no news
		return fmt.Errorf("S3: the view of %s went back from %d to %d", v.Replica, h.reached[key], v.Seq)
	}
	h.reached[key] = max(h.reached[key], v.Seq)
	return nil
}

func dots(entries []replica.Entry) []uint64 {
	list := make([]uint64, len(entries))
	for i, e := range entries {
		list[i] = e.Dot
	}
	return list
}

// heard returns the process that must be heard under a name when all is quiet:
// of those that run, the one with the highest epoch. There is none when none
// runs.
func (c *Cluster) heard(name string) *host {
	var heard *host
	for _, h := range c.hosts {
		if h.as == name && h.running && (heard == nil || h.replica.Epoch() > heard.replica.Epoch()) {
			heard = h
		}
	}
	return heard
}

// checkGone verifies what must hold some time after all faults ended: give it a
// DownPeriod and some beats. L3: nobody shows a replica that does not run.
func (c *Cluster) checkGone() error {
	for _, h := range c.hosts {
		if !h.running {
			continue
		}
		for _, m := range h.replica.Peers() {
			if m.Up && c.heard(m.Name) == nil {
				return fmt.Errorf("L3: %s still shows %s", h.name, m.Name)
			}
		}
	}
	return nil
}

// checkLive verifies what must hold some time after all faults ended: give it a
// virtual minute and a half.
func (c *Cluster) checkLive() error {
	for _, h := range c.hosts {
		h.touched = true
	}
	if err := c.check(); err != nil {
		return err
	}
	if err := c.checkGone(); err != nil {
		return err
	}
	for _, h := range c.hosts {
		if !h.running {
			continue
		}
		if s := h.replica.Status(); s.Fenced != (c.heard(h.as) != h) {
			return fmt.Errorf("L5: %s is fenced: %v; its name's latest process is %s", h.name, s.Fenced, c.heard(h.as).name)
		}
		members := h.replica.Peers()
		for _, other := range c.hosts {
			if other.as == h.as || other != c.heard(other.as) {
				continue
			}
			i := slices.IndexFunc(members, func(m replica.PeerStatus) bool { return m.Name == other.as })
			if i < 0 || !members[i].Up || members[i].Epoch != other.replica.Epoch() {
				return fmt.Errorf("L2: %s does not see %s", h.name, other.name)
			}
		}
		for _, topic := range c.topics {
			if err := c.checkLiveTopic(h, topic); err != nil {
				return fmt.Errorf("%s, topic %s: %w", h.name, topic, err)
			}
		}
		if h.mirror != nil {
			if err := c.checkMirror(h); err != nil {
				return fmt.Errorf("%s: %w", h.name, err)
			}
		}
	}
	return nil
}

// checkMirror verifies that a mirror lists every topic in which there is
// somebody, and no other.
func (c *Cluster) checkMirror(h *host) error {
	var want []string
	for _, topic := range c.topics {
		if slices.ContainsFunc(c.hosts, func(other *host) bool {
			return (other == h || other.as != h.as && other == c.heard(other.as)) && len(other.process.at(topic, math.MaxUint64)) > 0
		}) {
			want = append(want, topic)
		}
	}
	if have, complete := h.replica.Topics(); !complete || !slices.Equal(have, want) {
		return fmt.Errorf("L1: the mirror lists %v, complete: %v; there is somebody in %v", have, complete, want)
	}
	return nil
}

// checkQuiet lets some seconds pass in which nobody does anything, and verifies
// that the traffic is heartbeats and the background comparison alone; and nacks,
// where a process is fenced. Everything must have been quiet for a while.
func (c *Cluster) checkQuiet() error {
	c.kinds = map[string]int{}
	c.Advance(5 * time.Second)
	sent := c.kinds
	c.kinds = nil
	for _, kind := range []string{"heartbeat", "sync", "reply", "syncall", "page"} {
		delete(sent, kind)
	}
	if slices.ContainsFunc(c.hosts, func(h *host) bool { return h.running && h.replica.Status().Fenced }) {
		delete(sent, "nack")
	}
	if len(sent) > 0 {
		return fmt.Errorf("L6: nothing happens, and this was sent: %v", sent)
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
		if other.as == h.as || other != c.heard(other.as) {
			continue
		}
		want := other.replica.Dump(topic).Own.Entries
		var have []replica.Entry
		for _, v := range dump.Views {
			if v.Replica == other.as {
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
	metas map[string]replica.Meta // by ref
	fault error
	right verdict
}

// verdict is what was found to be right.
type verdict struct {
	list   *presence.List // nil before the first time, and after a diff
	own    int            // states that the replica's own part had until then
	others []held
}

// held is what is held of another process: at one number, that is one content.
type held struct {
	birth, seq uint64
	up, synced bool
}

func newFolded(l *presence.List) *folded {
	f := &folded{metas: map[string]replica.Meta{}}
	f.join(l.Presences)
	return f
}

func (f *folded) fold(e presence.Event) {
	f.right.list = nil
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
			f.metas[m.Ref] = replica.Meta(m)
		}
	}
}

// check compares what was told with what is held, and with the list. own is how
// many states the replica's own part has had.
//
// What was right stays right while nothing was told, the list is the same value,
// and what is held has the same numbers: that a number means one content was
// checked just before, with S1 and S8.
func (f *folded) check(dump *replica.Dump, l *presence.List, own int) error {
	if f.fault != nil {
		return f.fault
	}
	same := f.right.list == l && f.right.own == own && slices.EqualFunc(f.right.others, dump.Views, func(h held, v replica.Part) bool {
		return h == held{v.Birth, v.Seq, v.Up, v.Synced}
	})
	if same {
		return nil
	}
	n := 0
	for part := range shown(dump) {
		n += len(part.Entries)
		for _, e := range part.Entries {
			if !sameMeta(f.metas[e.Meta.Ref], e.Meta) {
				return fmt.Errorf("%s holds %s with %s, the folded diffs do not", part.Replica, e.Key, e.Meta.Ref)
			}
		}
	}
	if n != len(f.metas) {
		return fmt.Errorf("%d metas are held, the folded diffs have %d", n, len(f.metas))
	}
	if err := checkList(l, dump); err != nil {
		return err
	}
	f.right.list, f.right.own, f.right.others = l, own, f.right.others[:0]
	for _, v := range dump.Views {
		f.right.others = append(f.right.others, held{v.Birth, v.Seq, v.Up, v.Synced})
	}
	return nil
}

// shown yields the parts that are visible.
func shown(dump *replica.Dump) iter.Seq[*replica.Part] {
	return func(yield func(*replica.Part) bool) {
		for i := range dump.Views {
			if v := &dump.Views[i]; v.Up && !yield(v) {
				return
			}
		}
		yield(&dump.Own)
	}
}

// checkList compares a list, which is made from the one before it, with all that
// is held: the same metas under the same keys, in the order that is promised.
func checkList(list *presence.List, dump *replica.Dump) error {
	type ranked struct {
		replica.Entry
		birth uint64
	}
	var held []ranked
	for part := range shown(dump) {
		for _, e := range part.Entries {
			held = append(held, ranked{e, part.Birth})
		}
	}
	slices.SortFunc(held, func(a, b ranked) int {
		return cmp.Or(strings.Compare(a.Key, b.Key), cmp.Compare(a.birth, b.birth), cmp.Compare(a.Origin, b.Origin))
	})
	for i, p := range list.Presences {
		if i > 0 && p.Key <= list.Presences[i-1].Key {
			return fmt.Errorf("the list has %q behind %q", p.Key, list.Presences[i-1].Key)
		}
		for _, m := range p.Metas {
			if len(held) == 0 || held[0].Key != p.Key || !sameMeta(held[0].Meta, replica.Meta(m)) {
				return fmt.Errorf("the list has %s with %s next, held is %v", p.Key, m.Ref, held[:min(1, len(held))])
			}
			held = held[1:]
		}
	}
	if len(held) > 0 {
		return fmt.Errorf("the list misses %d metas", len(held))
	}
	return nil
}
