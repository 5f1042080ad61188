package replica

import (
	"encoding/binary"
	"fmt"
	"strings"
	"time"
)

// Versions of the wire format. A message names the one that it is written in;
// what every replica can read stays at the lowest.
const (
	OldestVersion = 1 // the lowest that this package reads
	NewestVersion = 2 // the highest that it reads and writes
	jointVersion  = 2 // answers to several questions at once; heartbeats tell of versions
)

// outdatedEvery is how often a message that is too new to be read is reported.
const outdatedEvery = time.Minute

// outdatedError says that a message needs a later version of this package.
type outdatedError struct{ needs, reads byte }

func (e *outdatedError) Error() string {
	return fmt.Sprintf("presence: a message needs version %d of the wire format, this replica reads up to %d: upgrade it", e.needs, e.reads)
}

// setVersion marks a message, of which the header is written, as one of the
// version v.
func setVersion(b []byte, v byte) { b[1], b[2] = v, v }

// appendVersions ends a heartbeat with the versions that we read. Replicas that know
// version 1 only skip them, and send none.
func (r *Replica) appendVersions(b []byte) []byte {
	if r.cfg.WireVersion < jointVersion {
		return b
	}
	b = binary.AppendUvarint(b, OldestVersion)
	return binary.AppendUvarint(b, uint64(r.cfg.WireVersion))
}

// readByAll returns the highest version that every peer that is up can read.
func (r *Replica) readByAll() byte {
	v := uint64(r.cfg.WireVersion)
	for _, p := range r.byName {
		if p.up {
			v = min(v, p.newest)
		}
	}
	return byte(v)
}

// checkVersions reports a peer that this replica cannot read, or that cannot read this
// replica.
func (r *Replica) checkVersions(p *peer) {
	switch {
	case p.oldest > uint64(r.cfg.WireVersion):
		r.notice(p.name, p.epoch, fmt.Sprintf("too new: it reads versions %d to %d of the wire format, this replica writes up to %d: upgrade this one", p.oldest, p.newest, r.cfg.WireVersion))
	case p.newest < OldestVersion:
		r.notice(p.name, p.epoch, fmt.Sprintf("too old: it reads up to version %d of the wire format, this replica writes %d and later: upgrade that one", p.newest, OldestVersion))
	}
}

// outdated counts, and now and then reports, a message that is too new.
func (r *Replica) outdated(err *outdatedError) {
	r.stats.Outdated++
	if r.outdatedAt == 0 || r.now-r.outdatedAt >= instant(outdatedEvery) {
		r.outdatedAt = r.now
		r.notice(r.cfg.Name, r.epoch, "outdated: "+strings.TrimPrefix(err.Error(), "presence: "))
	}
}
