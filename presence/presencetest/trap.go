package presencetest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// trap takes messages of one kind from one replica to another out of the
// network, or copies of them, until they are released.
type trap struct {
	from, to string
	kind     string // as replica.Kind says it; empty: every kind
	copies   bool
	nth      int  // above 0: only the nth of them, which is lost
	off      bool // takes no more
	since    time.Duration
	letters  []letter
}

// hold keeps messages of a kind (see RunScript; empty: every
// kind) from one replica to another from now on, until release or discard.
func (c *Cluster) hold(from, to, kind string) {
	c.traps = append(c.traps, &trap{since: c.at, from: from, to: to, kind: kind})
}

// copy keeps copies of messages, which are delivered as well, for a late second
// arrival with release.
func (c *Cluster) copy(from, to, kind string) {
	c.traps = append(c.traps, &trap{since: c.at, from: from, to: to, kind: kind, copies: true})
}

// lose loses the nth message of a kind from now on, counted from 1.
func (c *Cluster) lose(from, to, kind string, nth int) {
	c.traps = append(c.traps, &trap{since: c.at, from: from, to: to, kind: kind, nth: nth})
}

// stop makes the traps between two replicas take no more; what they hold waits.
func (c *Cluster) stop(from, to string) {
	for _, t := range c.traps {
		if t.from == from && t.to == to {
			t.off = true
		}
	}
}

// release lets what is kept between two replicas arrive now, in the order in
// which it was sent, and ends their traps. It returns how many messages it was.
func (c *Cluster) release(from, to string) int {
	kept := c.untrap(from, to)
	for _, l := range kept {
		c.mail.push(c.at, l)
	}
	return len(kept)
}

// discard forgets what is kept between two replicas, ends their traps, and
// returns how many messages it was.
func (c *Cluster) discard(from, to string) int { return len(c.untrap(from, to)) }

// untrap ends the traps between two replicas and returns what they hold.
func (c *Cluster) untrap(from, to string) (kept []letter) {
	c.traps = slices.DeleteFunc(c.traps, func(t *trap) bool {
		if t.from != from || t.to != to {
			return false
		}
		kept = append(kept, t.letters...)
		return true
	})
	return kept
}

// trapped reports whether a message does not go on because it was kept.
func (c *Cluster) trapped(from *host, l letter) bool {
	held := false
	for _, t := range c.traps {
		if t.off || t.from != from.name || t.to != l.to.name || t.kind != "" && t.kind != replica.Kind(l.data) {
			continue
		}
		if t.nth > 0 {
			t.nth--
			t.off = t.nth == 0
			held = held || t.off
			continue
		}
		t.letters = append(t.letters, l)
		held = held || !t.copies
	}
	return held
}

// describe says what a watcher was told.
func describe(e presence.Event) string {
	var parts []string
	one := func(sign string, list []presence.Presence) {
		for _, p := range list {
			for _, m := range p.Metas {
				parts = append(parts, sign+p.Key+string(m.Data))
			}
		}
	}
	one("-", e.Diff.Leaves)
	one("+", e.Diff.Joins)
	if len(parts) > 20 {
		parts = []string{fmt.Sprintf("%d joins, %d leaves", len(e.Diff.Joins), len(e.Diff.Leaves))}
	}
	if !e.Complete {
		parts = append(parts, "(incomplete)")
	} else if e.Diff.Empty() {
		parts = append(parts, "(complete)")
	}
	return strings.Join(parts, " ")
}

// Describe says who is in topic as name sees it, and whether that is complete.
func (c *Cluster) Describe(name, topic string) string {
	l := c.List(name, topic)
	if len(l.Presences) > 20 {
		return fmt.Sprintf("%s: %s %d keys, complete: %v", name, topic, len(l.Presences), l.Complete)
	}
	var parts []string
	for _, p := range l.Presences {
		for _, m := range p.Metas {
			parts = append(parts, p.Key+string(m.Data))
		}
	}
	if len(parts) == 0 {
		parts = append(parts, "nobody")
	}
	if !l.Complete {
		parts = append(parts, "(incomplete)")
	}
	return fmt.Sprintf("%s: %s %s", name, topic, strings.Join(parts, " "))
}
