package replica

import "time"

// Status is how a replica does. Package presence documents the fields that are not
// described here.
type Status struct {
	Epoch                             uint64
	Settled, Isolated, Fenced, Mirror bool
	Topics, Presences                 int
	Members                           []Member
	Stats                             Stats
}

// Member is another replica as this one sees it. Package presence documents it.
type Member struct {
	Name      string
	Epoch     uint64
	Beat      uint64
	Silent    time.Duration
	Up        bool
	Topics    int
	Presences int
	Lagging   int
}

// Stats counts what a replica did. Package presence documents it.
type Stats struct {
	Received, Malformed, Applied, Gaps, Flushed, Asked uint64

	Unchanged, LogRepairs, DotSets, Snapshots uint64 // topics answered

	Joint, Unheard, Outdated, Ignored, Unmirrored, Lost, AuditMismatches uint64
}

// count counts an answer.
func (s *Stats) count(d delta) {
	switch {
	case d.From == 0:
		s.Snapshots++
	case d.Base < d.From:
		s.DotSets++
	case len(d.Adds)+len(d.Rems) > 0:
		s.LogRepairs++
	default:
		s.Unchanged++
	}
}

// Status returns how the replica does.
func (r *Replica) Status() Status {
	topics := r.interests
	if r.mirror != nil {
		topics = len(r.topics)
	}
	return Status{
		Epoch: r.epoch, Settled: r.settled, Isolated: r.isolated != 0, Fenced: r.fenced, Mirror: r.mirror != nil,
		Topics: topics, Presences: r.ownEntries, Members: r.Members(), Stats: r.stats,
	}
}

// Members returns the other replicas that are up or may come back, by name.
func (r *Replica) Members() []Member {
	list := make([]Member, 0, len(r.byName))
	for _, m := range r.byName {
		lagging := 0
		for _, v := range m.views {
			if v.wants() {
				lagging++
			}
		}
		list = append(list, Member{
			Name: m.name, Epoch: m.epoch, Beat: m.beat, Up: m.up, Silent: time.Duration(r.now - m.heard),
			Topics: len(m.views), Presences: m.entries, Lagging: lagging,
		})
	}
	return list
}
