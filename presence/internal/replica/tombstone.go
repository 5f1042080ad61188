package replica

import "time"

// grave is what must not be forgotten of a name: which incarnations of it are
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
	g := r.tombstones[name]
	if g == nil {
		g = &tombstone{}
		r.tombstones[name] = g
	}
	return g
}

// forgetGraves drops what is so old that none of its messages can still come.
func (r *Replica) forgetTombstones() {
	if r.beat%sliceCount != 0 { // it looks at all of them
		return
	}
	for name, g := range r.tombstones {
		if r.peers[name] == nil && time.Duration(r.now-g.heard) > 2*r.cfg.PermdownPeriod {
			delete(r.tombstones, name)
		}
	}
}
