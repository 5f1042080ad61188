package presence

import "time"

// Status is how a replica does: for health checks and metrics.
type Status struct {
	Name  string
	Epoch uint64
	// Settled: it knows who is there. Until then, a fraction of a second after
	// the start, no list is complete.
	Settled bool
	// Isolated: it is cut off itself, and holds its verdicts on others back.
	Isolated bool
	// Fenced: another process of its name lives, and this one is not heard.
	Fenced bool

	Mirror    bool // it follows every topic, see Tracker.WatchAll
	Topics    int  // followed now
	Presences int  // of its own sessions
	// Replicas are the others that are up or may come back, by name.
	Replicas []Member

	Queued      int    // bytes that wait for the bus
	Dropped     uint64 // messages that were not sent because too many waited
	Unsent      uint64 // messages that the bus refused: it was disconnected, or its limit came down
	Undelivered int    // events that wait for watchers, whose handlers should be quick
	Stats       Stats
}

// Ready tells whether lists of this replica can be relied upon, and others
// hear it.
func (s Status) Ready() bool { return s.Settled && !s.Isolated && !s.Fenced }

// Member is another replica as one replica sees it.
type Member struct {
	Name      string
	Epoch     uint64
	Beat      uint64        // of its last heartbeat
	Silent    time.Duration // since its last word
	Up        bool
	Topics    int // in which something is known of it
	Presences int // known of it
	Lagging   int // topics in which it is known to have more than is known of it
}

// Stats counts what a replica did since it was made.
type Stats struct {
	Received  uint64 // messages from other replicas
	Malformed uint64 // messages that could not be decoded
	Applied   uint64 // deltas and answers that changed a view
	Gaps      uint64 // deltas that came too early
	Flushed   uint64 // deltas sent
	Asked     uint64 // topics asked for

	// Topics answered, by what the asker needed.
	Unchanged, LogRepairs, DotSets, Snapshots uint64

	Joint   uint64 // answers that were for several who asked for the same
	Unheard uint64 // questions that were not answered because too many waited

	Outdated uint64 // messages that need a later version of this package
	Ignored  uint64 // heartbeats of replicas beyond Config.MaxReplicas
	// Unmirrored counts messages about topics that a mirror has no room for; see
	// Config.MaxTopics. It is not complete then.
	Unmirrored uint64

	Lost uint64 // times that the bus said it may have dropped messages
	// AuditMismatches counts views that differed from their owner's content: it
	// should stay 0 for ever.
	AuditMismatches uint64
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
		Name: r.cfg.Name, Epoch: r.epoch,
		Settled: r.settled, Isolated: r.isolated != 0, Fenced: r.fenced,
		Mirror: r.mirror != nil, Topics: topics, Presences: r.ownEntries, Replicas: r.Members(), Stats: r.stats,
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
