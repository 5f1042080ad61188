package replica

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"time"

	"github.com/rollcall-go/rollcall/bus"
)

const (
	helloSpread = 50 * time.Millisecond  // an early heartbeat greets a new peer within this
	helloPeriod = 250 * time.Millisecond // at most one greeting in this time
)

// heartbeat publishes our next heartbeat.
func (r *Replica) heartbeat() {
	if r.fenced && !r.cutOff() && r.now-r.rival.heard >= instant(r.cfg.DownPeriod) {
		// The rival is gone, and maybe all replicas with it that could tell us so in
		// a nack.
		r.renew(r.rival.epoch)
		return // the first heartbeat under the fresh epoch is due
	}
	r.beat++
	b := binary.AppendUvarint(r.header(kindHeartbeat), r.beat)
	b = binary.AppendUvarint(b, r.print)
	r.op(OpPublish, bus.DestAll, r.appendVersions(b))
	r.setBeat(r.after(r.cfg.BeatPeriod))
	r.watchOurselves()
	r.retryMirror()
	r.backgroundSync()
	r.forgetTombstones()
}

func (r *Replica) setBeat(at instant) {
	r.beatAt = at
	r.timers.push(timer{at: at, kind: timerBeat})
}

// greet sends the next heartbeat early, so that a new peer knows us soon.
func (r *Replica) greet() {
	if r.hello != 0 && r.now-r.hello < instant(helloPeriod) {
		return
	}
	r.hello = r.now
	if at := r.after(r.jitter(0, helloSpread)); at < r.beatAt {
		r.setBeat(at)
	}
}

// fingerprint is of the settings that all replicas must share, which is told of
// in the log where it differs: those of the bus. It is 1 where there are none.
func fingerprint(settings string) uint64 {
	if settings == "" {
		return 1
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(settings))
	return h.Sum64()
}

func (r *Replica) receiveHeartbeat(msg message) {
	ts := r.tombstone(msg.name)
	p := r.peers[msg.name]
	switch {
	case msg.epoch < ts.max:
		silent := time.Duration(r.now - ts.heard)
		b := binary.AppendUvarint(r.header(kindNack), ts.max)
		b = binary.AppendUvarint(b, uint64(silent.Milliseconds()))
		r.op(OpPublish, r.address(msg.name, msg.epoch), b)
		return
	case msg.epoch > ts.max:
		if p != nil {
			r.drop(p, "restarted")
			p = nil
		}
		*ts = tombstone{max: msg.epoch, heard: r.now}
	}
	if ts.left {
		return
	}
	if p == nil {
		if msg.beat <= ts.beat {
			return
		}
		if len(r.peers) >= r.cfg.MaxReplicas {
			r.stats.Ignored++
			if !ts.ignored {
				ts.ignored = true
				r.notice(msg.name, msg.epoch, fmt.Sprintf("ignored: %d other replicas are known, the limit: see Config.MaxReplicas", len(r.peers)))
			}
			return
		}
		ts.heard, ts.ignored = r.now, false
		r.admit(msg)
		return
	}
	if msg.beat <= p.beat {
		return
	}
	missed := msg.beat > p.beat+1 || !p.up
	p.beat = msg.beat
	r.alive(p)
	if missed {
		r.reconcile(p)
	}
}

// Leave says goodbye: our presences are gone elsewhere at once. Nothing but
// Ready may follow.
func (r *Replica) Leave(now time.Time) {
	r.step(now)
	for _, t := range r.sortedTopics() {
		r.flush(t)
	}
	r.op(OpPublish, bus.DestAll, r.header(kindLeave))
}

func (r *Replica) receiveLeave(msg message) {
	ts := r.tombstone(msg.name)
	if msg.epoch < ts.max {
		return
	}
	if p := r.peers[msg.name]; p != nil {
		r.drop(p, "left")
	}
	*ts = tombstone{max: msg.epoch, left: true, heard: r.now}
}
