package replica

import "time"

// tombstone is what must not be forgotten of a name: which incarnations of it are
// over.
type tombstone struct {
	max  uint64 // the highest epoch seen
	beat uint64 // the last beat of it when it was dropped: a later one readmits it
	left bool   // it said goodbye: no beat readmits it
	// ignored: it was reported that there are too many replicas for it.
	ignored bool
	heard   instant
}

func (r *Replica) tombstone(name string) *tombstone {
	ts := r.tombstones[name]
	if ts == nil {
		ts = &tombstone{}
		r.tombstones[name] = ts
	}
	return ts
}

// forgetTombstones drops those that are so old that none of their messages can still
// come.
func (r *Replica) forgetTombstones() {
	if r.beat%sliceCount != 0 { // it looks at all of them
		return
	}
	for name, ts := range r.tombstones {
		if r.peers[name] == nil && time.Duration(r.now-ts.heard) > 2*r.cfg.PermdownPeriod {
			delete(r.tombstones, name)
		}
	}
}
