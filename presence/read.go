package presence

import "github.com/rollcall-go/rollcall/presence/internal/replica"

// This file makes lists and diffs of what a replica tells in rows.

// group makes presences of rows: sorted by key, and under a key by process and age.
func group(rows []replica.Row) []Presence {
	return replica.Group(rows,
		func(m replica.Meta) Meta { return Meta(m) },
		func(key string, metas []Meta) Presence { return Presence{Key: key, Metas: metas} })
}

func newEvent(e replica.Event) Event {
	return Event{Topic: e.Topic, Diff: Diff{Joins: group(e.Joined), Leaves: group(e.Left)}, Complete: e.Complete}
}

// readList returns everyone in the topic as r sees it. The list is shared by all
// callers until something changes, and the next is made from it.
func readList(r *replica.Replica, topic string) *List {
	read := r.Read(topic)
	list, _ := read.Last.(*List)
	if list == nil {
		list = &List{Topic: topic, Presences: group(read.Joined), Complete: read.Complete}
		if len(list.Presences) == 0 {
			return list // not worth keeping
		}
	} else {
		diff := Diff{Joins: group(read.Joined), Leaves: group(read.Left)}
		list = list.splice(diff, func(key string, had, left, joined []Meta) []Meta {
			return current(r, topic, key, had, left, joined)
		}).withComplete(read.Complete)
	}
	r.Keep(topic, list, len(list.Presences))
	return list
}

// current returns the metas under key, which had some and changed. Where others stay
// beside those who join, their order is looked up.
func current(r *replica.Replica, topic, key string, had, left, joined []Meta) []Meta {
	stay := make([]Meta, 0, len(had))
	for _, m := range had {
		if indexRef(left, m.Ref) < 0 {
			stay = append(stay, m)
		}
	}
	switch {
	case len(stay) == 0:
		return joined
	case len(joined) == 0:
		return stay
	}
	return group(r.Under(topic, key))[0].Metas
}
