package replica

import (
	"iter"
	"slices"
	"time"
)

// Status is how a replica does. Package presence documents the fields that are not
// described here.
type Status struct {
	Epoch                             uint64
	Settled, Isolated, Fenced, Mirror bool
	Topics, Presences                 int
	Peers                             []PeerStatus
	Stats                             Stats
}

// PeerStatus is another replica as this one sees it. Package presence documents it
// as Member.
type PeerStatus struct {
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
		Topics: topics, Presences: r.ownEntries, Peers: r.Peers(), Stats: r.stats,
	}
}

// Peers returns the other replicas that are up or may come back, by name.
func (r *Replica) Peers() []PeerStatus {
	list := make([]PeerStatus, 0, len(r.byName))
	for _, p := range r.byName {
		lagging := 0
		for _, v := range p.views {
			if v.wants() {
				lagging++
			}
		}
		list = append(list, PeerStatus{
			Name: p.name, Epoch: p.epoch, Beat: p.beat, Up: p.up, Silent: time.Duration(r.now - p.heard),
			Topics: len(p.views), Presences: p.entries, Lagging: lagging,
		})
	}
	return list
}

// Dump is what a replica holds of one topic, for debugging and for tests: every
// part with its numbers. It is a copy.
type Dump struct {
	Interested bool
	Complete   bool
	Own        Part   // what this replica's own sessions hold
	Views      []Part // what is known of others, sorted by replica
}

// Part is one replica's part of a topic.
type Part struct {
	Replica string
	Epoch   uint64
	Birth   uint64 // the first epoch of the process
	Seq     uint64 // the owner's number at which the part stands; for Own, the replica's counter
	Up      bool
	Synced  bool
	Held    int // deltas in the reorder buffer
	Entries []Entry
}

// Entry is one presence in a Part.
type Entry struct {
	Dot, Origin uint64
	Key         string
	Meta        Meta
}

// Dump returns what is held of topic.
func (r *Replica) Dump(topic string) Dump {
	var d Dump
	r.DumpTo(&d, topic)
	return d
}

// DumpTo is Dump into d, whose memory it uses again.
func (r *Replica) DumpTo(d *Dump, topic string) {
	own := Part{Replica: r.cfg.Name, Epoch: r.epoch, Birth: r.birth, Seq: r.counter, Up: true, Synced: true, Entries: d.Own.Entries[:0]}
	*d = Dump{Own: own, Views: d.Views[:0]}
	t := r.topics[topic]
	if t == nil {
		d.Interested, d.Complete = r.mirror != nil, r.mirrorComplete()
		return
	}
	d.Interested, d.Complete = r.covers(t), r.isComplete(t)
	if t.own != nil {
		d.Own.fill(t.own.Len(), t.own.All())
	}
	for i, v := range t.views {
		p := Part{
			Replica: v.peer.name, Epoch: v.peer.epoch, Birth: v.peer.birth, Seq: v.state.Seq(),
			Up: v.peer.up, Synced: v.synced, Held: len(v.rarely().reorder),
		}
		if i < cap(d.Views) {
			p.Entries = d.Views[:i+1][i].Entries[:0]
		}
		p.fill(v.state.Len(), v.state.All())
		d.Views = append(d.Views, p)
	}
}

// fill puts n entries into p.
func (p *Part) fill(n int, all iter.Seq[entry]) {
	p.Entries = slices.Grow(p.Entries, n)
	for e := range all {
		p.Entries = append(p.Entries, Entry{e.Dot, e.Origin, e.Key, Row{p.Birth, &e}.meta()})
	}
}
