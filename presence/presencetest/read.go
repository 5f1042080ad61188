package presencetest

import (
	"cmp"
	"slices"
	"strings"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// This file makes what a user of package presence sees of what a replica tells.

func group(rows []replica.Row) []presence.Presence {
	return replica.Group(rows,
		func(m replica.Meta) presence.Meta { return presence.Meta(m) },
		func(key string, metas []presence.Meta) presence.Presence {
			return presence.Presence{Key: key, Metas: metas}
		})
}

func newEvent(e replica.Event) presence.Event {
	return presence.Event{Topic: e.Topic, Diff: presence.Diff{Joins: group(e.Joined), Leaves: group(e.Left)}, Complete: e.Complete}
}

// list returns who is in topic as h sees it. It is folded from what h told its
// reader, so that the invariants see what a reader would.
func (h *host) list(topic string) *presence.List {
	read := h.replica.Read(topic)
	last, _ := read.Last.(*presence.List)
	list := &presence.List{Topic: topic, Complete: read.Complete}
	switch {
	case last == nil:
		list.Presences = group(read.Joined)
	case len(read.Joined)+len(read.Left) > 0:
		diff := presence.Diff{Joins: group(read.Joined), Leaves: group(read.Left)}
		list.Presences = last.Apply(diff).Presences
		for _, p := range diff.Joins { // Apply does not know the order under a key
			i, _ := slices.BinarySearchFunc(list.Presences, p, func(a, b presence.Presence) int { return strings.Compare(a.Key, b.Key) })
			list.Presences[i] = group(h.replica.Under(topic, p.Key))[0]
		}
	case last.Complete == read.Complete:
		list = last
	default:
		list.Presences = last.Presences
	}
	if len(list.Presences) > 0 {
		h.replica.Keep(topic, list, len(list.Presences))
	}
	return list
}

// config returns cfg, with its defaults, for a replica called name on a bus of c.
func (c *Cluster) config(cfg presence.Config, name, settings string) replica.Config {
	def := replica.Defaults()
	return replica.Config{
		Name: name, MaxPayload: func() int { return c.maxPayload }, Settings: settings,
		BeatPeriod:        cmp.Or(cfg.BeatPeriod, def.BeatPeriod),
		DownPeriod:        cmp.Or(cfg.DownPeriod, def.DownPeriod),
		PermdownPeriod:    cmp.Or(cfg.PermdownPeriod, def.PermdownPeriod),
		IsolatedPeriod:    cmp.Or(cfg.IsolatedPeriod, def.IsolatedPeriod),
		FlushInterval:     cmp.Or(cfg.FlushInterval, def.FlushInterval),
		Linger:            cmp.Or(cfg.Linger, def.Linger),
		RepairRate:        cmp.Or(cfg.RepairRate, def.RepairRate),
		WireVersion:       cmp.Or(cfg.WireVersion, def.WireVersion),
		MaxTopicPresences: cmp.Or(cfg.MaxTopicPresences, def.MaxTopicPresences),
		MaxTopics:         cmp.Or(cfg.MaxTopics, def.MaxTopics),
		MaxReplicas:       cmp.Or(cfg.MaxReplicas, def.MaxReplicas),
	}
}
