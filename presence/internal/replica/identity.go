package replica

import (
	"encoding/base64"
	"encoding/binary"
	"time"
)

// This file is a replica's identity: its name and epochs, the address of messages for
// it, and what it does beside another process of its name.

// epochRandomBits is how many low bits of an epoch are random.
const epochRandomBits = 22

// newEpoch makes the epoch of a replica that starts at the wall-clock time
// wall: Unix milliseconds above 22 random bits, so that a later start has the
// higher epoch and two starts never share one. It is above floor, with fresh
// random bits even then: another process that is told of the same floor would take
// floor + 1, too.
func newEpoch(wall time.Time, random, floor uint64) uint64 {
	ms := uint64(max(wall.UnixMilli(), 1))
	ms = max(ms, floor>>epochRandomBits+1)
	return ms<<epochRandomBits | random&(1<<epochRandomBits-1)
}

// encodeEpoch is an epoch's text in an address.
func encodeEpoch(epoch uint64) string {
	var raw [8]byte
	binary.BigEndian.PutUint64(raw[:], epoch)
	return base64.RawURLEncoding.EncodeToString(raw[:])
}

// destReplica is what the destination of one incarnation of one replica begins with.
const destReplica = "r:"

// address is where messages for one incarnation of one replica go.
func (r *Replica) address(name string, epoch uint64) string {
	if p := r.peers[name]; p != nil && p.epoch == epoch {
		return p.address
	}
	return destReplica + name + "/" + encodeEpoch(epoch)
}

// rival is a later process of our own name that lives beside us.
type rival struct {
	epoch uint64
	beat  uint64
	rises int     // how often its beat was seen to rise
	heard instant // by us, or by the sender of a nack
}

// heardRival counts the beats of another process of our name. When it is seen to
// live we are fenced: two processes of one name must not both be heard.
func (r *Replica) heardRival(msg message) {
	// Of several the latest counts, unless it is only known by name or is gone.
	lives := r.rival.beat > 0 && r.now-r.rival.heard < instant(r.cfg.DownPeriod)
	switch {
	case msg.epoch < r.rival.epoch && lives:
		return
	case msg.epoch != r.rival.epoch || r.rival.beat == 0:
		r.rival = rival{epoch: msg.epoch, beat: msg.beat, heard: r.now}
	case msg.beat > r.rival.beat:
		r.rival.beat, r.rival.heard = msg.beat, r.now
		if r.rival.rises++; r.rival.rises >= 2 && !r.fenced {
			r.fenced = true
			r.notice(r.cfg.Name, r.epoch, "fenced: duplicate replica name, another process of it lives")
		}
	}
}

// receiveNack is told that a higher epoch of our own name exists. While that
// one may live we wait: two processes of one name must not fight. When it has
// been silent for long, we go on above it: our clock was set back.
func (r *Replica) receiveNack(msg message) {
	if msg.max <= r.epoch {
		return
	}
	silent := time.Duration(min(msg.silent, 1<<40)) * time.Millisecond
	if silent < r.cfg.DownPeriod {
		if r.rival.epoch < msg.max {
			r.rival = rival{epoch: msg.max}
			r.notice(r.cfg.Name, r.epoch, "waits: "+msg.name+" knows a later process of this name")
		}
		if r.rival.epoch == msg.max {
			r.rival.heard = max(r.rival.heard, r.now-instant(silent))
		}
		return
	}
	r.renew(msg.max)
}

// renew goes on under a fresh epoch above floor, which is above ours. That is a new
// identity and not a new history: our entries, their refs, and what we have at each
// number stay as they are. Replicas that admit the new epoch ask for all of it.
func (r *Replica) renew(floor uint64) {
	r.op(OpUnsubscribe, r.address(r.cfg.Name, r.epoch), nil)
	r.epoch = newEpoch(r.wall(), r.random(), floor)
	r.rival, r.fenced = rival{}, false
	r.op(OpSubscribe, r.address(r.cfg.Name, r.epoch), nil)
	r.notice(r.cfg.Name, r.epoch, "fresh epoch")
	r.setBeat(r.now)
}
