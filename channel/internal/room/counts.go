package room

import "github.com/rollcall-go/rollcall/presence"

// tally counts the presences of a topic.
type tally struct {
	keys     map[string]int // sessions under each
	sessions int
	known    bool // counted from a complete state
}

func (t *tally) counts() Counts { return Counts{Keys: len(t.keys), Sessions: t.sessions} }

func (t *tally) reset(list []presence.Presence) {
	t.keys, t.sessions = make(map[string]int, len(list)), 0
	t.add(list, 1)
}

// apply counts a diff, and reports whether a number changed.
func (t *tally) apply(d presence.Diff) bool {
	before := t.counts()
	t.add(d.Joins, 1)
	t.add(d.Leaves, -1)
	return t.counts() != before
}

func (t *tally) add(list []presence.Presence, sign int) {
	for _, p := range list {
		n := sign * len(p.Metas)
		t.sessions += n
		if t.keys[p.Key] += n; t.keys[p.Key] == 0 {
			delete(t.keys, p.Key)
		}
	}
}

// sessions returns how many metas a list has.
func sessions(list []presence.Presence) (n int) {
	for _, p := range list {
		n += len(p.Metas)
	}
	return n
}
