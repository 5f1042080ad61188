package channel

import (
	"fmt"

	"github.com/rollcall-go/rollcall/presence"
)

// A PresenceView is how much the clients of a route are shown of who is present.
type PresenceView uint8

const (
	// PresenceFull: presence_state when a channel pushes the state, and
	// presence_diff for what changes, as in Phoenix.
	PresenceFull PresenceView = iota
	// PresenceCounts: how many, and not who: the event presence_count with
	// {"keys": 2, "sessions": 3}, that is so many users, in so many tabs. It is
	// pushed in place of presence_state, and sent whenever a number has changed,
	// in the same windows as presence_diff: the newest counts, one frame for all.
	// Fetch is not called.
	PresenceCounts
	// PresenceNone: nothing. Channels can track, and PushPresenceState does
	// nothing; a replica does not follow the topic for them.
	PresenceNone
)

const (
	eventPresenceState = "presence_state"
	eventPresenceDiff  = "presence_diff"
	eventPresenceCount = "presence_count"
)

// tally counts who is in a topic. It is owned by the room's step.
type tally struct {
	keys     map[string]int // sessions under each
	sessions int
}

func (t *tally) reset(list []presence.Presence) {
	*t = tally{keys: make(map[string]int, len(list))}
	t.add(list, 1)
}

func (t *tally) apply(d presence.Diff) {
	t.add(d.Joins, 1)
	t.add(d.Leaves, -1)
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

func (t *tally) json() []byte {
	return fmt.Appendf(nil, `{"keys":%d,"sessions":%d}`, len(t.keys), t.sessions)
}

// count makes of a diff the presence_count that follows it, nil when the numbers
// are the same.
func (r *room) count(diff presence.Diff) *roomDiff {
	keys, sessions := len(r.tally.keys), r.tally.sessions
	r.tally.apply(diff)
	if keys == len(r.tally.keys) && sessions == r.tally.sessions {
		return nil
	}
	return &roomDiff{out: r.broadcast(eventPresenceCount, r.tally.json())}
}
