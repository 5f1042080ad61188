package presence

import (
	"errors"
	"fmt"
	"log/slog"
	"time"
	"unicode/utf8"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// Config says how a replica behaves. The zero value of everything but Name and
// Bus stands for the default. It is copied by Start.
type Config struct {
	// Name names this replica in the cluster: 1 to 255 bytes of UTF-8, unique
	// among those that run at one time, and best kept over a restart, so that
	// the others know at once that the former process is gone.
	Name string
	// Bus connects the replicas. It is not closed by the tracker.
	Bus bus.Bus
	// Logger gets every change of a replica's status, ours included: at the level
	// Info where it is as it should be (up, left, restarted, connected again, fresh
	// epoch), else at Warn (down, permanently down, isolated, fenced, audit and
	// others), with the attributes status, why, replica, epoch and self; and, at
	// Warn, what is too large for the bus, with dest, bytes and error. Nil discards.
	Logger *slog.Logger

	// BeatPeriod is the time between two heartbeats. Default 1 s.
	BeatPeriod time.Duration
	// DownPeriod is how long a replica may be silent before its presences are
	// hidden; at least four beats, so that no lost heartbeat makes a
	// presence leave. Replicas that the network knows to be gone are down much sooner.
	// Default 10 s.
	DownPeriod time.Duration
	// PermdownPeriod is how long a silent replica's presences are kept for the
	// case that it comes back; above DownPeriod. Default 20 min.
	PermdownPeriod time.Duration
	// IsolatedPeriod is how long this replica, when it is cut off itself, goes
	// on showing the others as it last saw them. Default 30 s.
	IsolatedPeriod time.Duration
	// FlushInterval is the least time between two deltas of one topic. The
	// first change in a quiet topic goes at once. A longer interval saves
	// messages in busy topics and delays what others see. Default 10 ms.
	FlushInterval time.Duration
	// RepairRate is the most bytes a second, before compression, of answers to
	// replicas that are behind; what is beyond it waits, so that repairs leave room
	// for what happens now. Default 64 MiB.
	RepairRate int
	// WireVersion is the highest version of the wire format that this replica
	// reads and writes: 1 or 2. A cluster speaks what every replica of it can
	// read, so it only needs to be set to hold version 2 back. Default 2.
	WireVersion int
	// Linger is how long a topic is still followed after its last use here, so that a page refresh does not unsubscribe. Default 30 s.
	Linger time.Duration

	// MaxMeta is the most bytes of an encoded meta: at most Bus.MaxPayload, or 1 MiB
	// if that is less, less 2 KiB. Default 8 KiB.
	MaxMeta int
	// MaxSessionPresences is the most presences of one session. Default 1,000.
	MaxSessionPresences int
	// MaxTopicPresences is the most presences that this replica's own sessions
	// may have in one topic. Default 100,000.
	MaxTopicPresences int
	// MaxTopics is the most topics that this replica is interested in at a
	// time; for a mirror (Tracker.WatchAll), those of the whole cluster. Default
	// 1,000,000.
	MaxTopics int
	// MaxReplicas is the most other replicas; further ones are ignored and
	// logged. Default 1,000.
	MaxReplicas int
}

// withDefaults returns a copy with every zero replaced.
func (c Config) withDefaults() Config {
	setDuration := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	setInt := func(n *int, def int) {
		if *n == 0 {
			*n = def
		}
	}
	def := replica.Defaults()
	setDuration(&c.BeatPeriod, def.BeatPeriod)
	setDuration(&c.DownPeriod, def.DownPeriod)
	setDuration(&c.PermdownPeriod, def.PermdownPeriod)
	setDuration(&c.IsolatedPeriod, def.IsolatedPeriod)
	setDuration(&c.FlushInterval, def.FlushInterval)
	setDuration(&c.Linger, def.Linger)
	setInt(&c.RepairRate, def.RepairRate)
	setInt(&c.WireVersion, def.WireVersion)
	setInt(&c.MaxMeta, 8<<10)
	setInt(&c.MaxSessionPresences, 1_000)
	setInt(&c.MaxTopicPresences, def.MaxTopicPresences)
	setInt(&c.MaxTopics, def.MaxTopics)
	setInt(&c.MaxReplicas, def.MaxReplicas)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return c
}

// replica returns the part of c, which has its defaults, that is the replica's.
func (c Config) replica() replica.Config {
	return replica.Config{
		Name: c.Name, MaxPayload: c.Bus.MaxPayload, Settings: c.Bus.Settings(),
		BeatPeriod: c.BeatPeriod, DownPeriod: c.DownPeriod, PermdownPeriod: c.PermdownPeriod, IsolatedPeriod: c.IsolatedPeriod,
		FlushInterval: c.FlushInterval, Linger: c.Linger, RepairRate: c.RepairRate, WireVersion: c.WireVersion,
		MaxTopicPresences: c.MaxTopicPresences, MaxTopics: c.MaxTopics, MaxReplicas: c.MaxReplicas,
	}
}

// validate names every fault of a config that has its defaults.
func (c Config) validate() error {
	var faults []error
	fault := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf("presence: config: "+format, args...))
		}
	}
	fault(c.Name == "" || len(c.Name) > replica.MaxName || !utf8.ValidString(c.Name),
		"Name must be 1 to %d bytes of UTF-8, have %q", replica.MaxName, c.Name)
	fault(c.Bus == nil, "Bus is missing: natsbus.New for a cluster, membus.New().Bus() for one process")
	fault(c.BeatPeriod < 0, "BeatPeriod must be positive, have %v", c.BeatPeriod)
	fault(c.DownPeriod < 4*c.BeatPeriod, "DownPeriod must be at least four BeatPeriods (%v), have %v", 4*c.BeatPeriod, c.DownPeriod)
	fault(c.PermdownPeriod <= c.DownPeriod, "PermdownPeriod must be above DownPeriod (%v), have %v", c.DownPeriod, c.PermdownPeriod)
	fault(c.IsolatedPeriod < c.DownPeriod, "IsolatedPeriod must be at least DownPeriod (%v), have %v", c.DownPeriod, c.IsolatedPeriod)
	fault(c.FlushInterval < 0, "FlushInterval must be positive, have %v", c.FlushInterval)
	fault(c.RepairRate < 64<<10, "RepairRate must be at least 64 KiB a second, have %d bytes", c.RepairRate)
	fault(c.WireVersion < replica.OldestVersion || c.WireVersion > replica.NewestVersion, "WireVersion must be %d to %d, have %d", replica.OldestVersion, replica.NewestVersion, c.WireVersion)
	fault(c.Linger < 0, "Linger must be positive, have %v", c.Linger)
	fault(c.MaxMeta < 2, "MaxMeta must be at least 2 bytes, have %d", c.MaxMeta)
	if c.Bus != nil {
		most := max(0, min(c.Bus.MaxPayload(), replica.MaxPlain)-replica.Overhead)
		fault(c.MaxMeta > most, "MaxMeta must be at most %d bytes, what the bus has room for in a message, have %d", most, c.MaxMeta)
	}
	fault(c.MaxSessionPresences < 1, "MaxSessionPresences must be positive, have %d", c.MaxSessionPresences)
	fault(c.MaxTopicPresences < 1, "MaxTopicPresences must be positive, have %d", c.MaxTopicPresences)
	fault(c.MaxTopics < 1, "MaxTopics must be positive, have %d", c.MaxTopics)
	fault(c.MaxReplicas < 1, "MaxReplicas must be positive, have %d", c.MaxReplicas)
	return errors.Join(faults...)
}

func checkTopic(topic string) error { return checkText(topic, ErrTopicInvalid) }

func checkKey(key string) error { return checkText(key, ErrKeyInvalid) }

// checkText returns invalid, with what is wrong, for what is no topic or key.
func checkText(s string, invalid error) error {
	switch {
	case s == "" || len(s) > replica.MaxName:
		return fmt.Errorf("%w, has %d bytes", invalid, len(s))
	case !utf8.ValidString(s):
		return fmt.Errorf("%w, is no UTF-8", invalid)
	}
	return nil
}
