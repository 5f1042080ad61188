package replica

import (
	"encoding/binary"
	"hash/fnv"
	"slices"
)

// Equal (replica, epoch, topic, number) must mean equal content. Owners send a hash
// of theirs along with tips and replies, and a view that stands at that number
// compares: a difference is a fault in a program or in a memory chip, which nothing
// else would notice.

// hashEntry is an entry's part of its topic's hash, which is the exclusive or of
// all parts: it can be kept up to date entry by entry.
func hashEntry(e entry) uint64 {
	h := fnv.New64a()
	var numbers [24]byte
	binary.BigEndian.PutUint64(numbers[0:], e.Dot)
	binary.BigEndian.PutUint64(numbers[8:], e.Origin)
	binary.BigEndian.PutUint64(numbers[16:], e.Value.prev)
	_, _ = h.Write(numbers[:])
	_, _ = h.Write([]byte(e.Key))
	_, _ = h.Write([]byte{0})
	_, _ = h.Write(e.Value.meta)
	return h.Sum64()
}

// hashChanges is what changes do to a hash.
func hashChanges(ch changes) uint64 {
	var sum uint64
	for _, e := range ch.Added {
		sum ^= hashEntry(e)
	}
	for _, e := range ch.Removed {
		sum ^= hashEntry(e)
	}
	return sum
}

// audit compares a view with the hash that its owner has at every number from
// seq to at; one that is not synced stands at none. On a difference the view starts anew; what it held stays visible
// until the owner's answer replaces it.
func (r *Replica) audit(v *view, seq, at, hash uint64) {
	if now := v.state.Seq(); !v.synced || now < seq || now > at || v.hash == hash {
		return
	}
	r.stats.AuditMismatches++
	r.notice(v.peer.name, v.peer.epoch, "audit: topic "+v.t.name+" differs from its owner's, and is fetched anew")
	v.unsettle().parts = nil
	v.extra.shown = slices.Collect(v.state.All())
	v.restart(r.freshNonce())
	v.askAt = 0
	r.ask(v)
	r.touch(v.t)
}

// replaceShown takes away what a view showed while it was fetched anew, before
// fresh is applied. An entry whose value was wrong keeps its ref, and a ref
// cannot leave and join in one diff: it leaves in one of its own.
func (r *Replica) replaceShown(t *topic, p *peer, shown, fresh []entry) {
	right := make(map[uint64]uint64, len(fresh))
	for _, e := range fresh {
		right[e.Dot] = hashEntry(e)
	}
	var wrong, rest changes
	for _, e := range shown {
		if h, held := right[e.Dot]; held && h != hashEntry(e) {
			wrong.Removed = append(wrong.Removed, e)
		} else {
			rest.Removed = append(rest.Removed, e)
		}
	}
	if !wrong.Empty() {
		r.change(t, p.birth, wrong)
		if a := t.audience; a != nil {
			a.told.keep() // what is told now is read when the step is done
		}
		r.emit(t)
		if a := t.audience; a != nil {
			a.forget() // a ref that leaves and joins again is no difference to a list either
		}
	}
	r.change(t, p.birth, rest)
}
