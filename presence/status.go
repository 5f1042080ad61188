package presence

import (
	"time"

	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// Status is how a replica does: for health checks and metrics.
type Status struct {
	Name  string
	Epoch uint64
	// Settled: it knows which other replicas there are. Until then, a fraction of a second after
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
	Undelivered int    // events whose Watch handler has not returned
	Stats       Stats
}

// Ready reports whether lists of this replica can be relied upon, and other replicas
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

	Joint   uint64 // answers to several questions for the same
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

// newStatus makes the status of a replica called name.
func newStatus(name string, s replica.Status) Status {
	members := make([]Member, 0, len(s.Peers))
	for _, m := range s.Peers {
		members = append(members, Member(m))
	}
	return Status{
		Name: name, Epoch: s.Epoch, Settled: s.Settled, Isolated: s.Isolated, Fenced: s.Fenced, Mirror: s.Mirror,
		Topics: s.Topics, Presences: s.Presences, Replicas: members, Stats: Stats(s.Stats),
	}
}
