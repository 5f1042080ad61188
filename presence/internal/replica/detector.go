package replica

import (
	"slices"
	"time"
)

// This file is the failure detector: which peers are up, and whether it may be this
// replica that is out of reach.

const (
	probePeriod   = 250 * time.Millisecond  // between two probes, and how long one may take
	unreachableIn = 1250 * time.Millisecond // "nobody there" for so long is believed
)

// alive refreshes a peer after word of its own.
func (r *Replica) alive(p *peer) {
	p.heard, p.probed, p.unreachable = r.now, 0, 0
	r.tombstone(p.name).heard = r.now
	if !p.up {
		r.show(p, true, "up")
	}
	p.suspectAt = r.after(r.suspectAfter())
	r.timers.push(timer{at: p.suspectAt, kind: timerSuspect, of: p})
}

// suspectAfter is how long after a peer's last word it is probed. A heartbeat
// that is a little late costs a probe; a killed replica is seen to be gone after
// at most this and unreachableIn: 2.45 s.
func (r *Replica) suspectAfter() time.Duration { return r.cfg.BeatPeriod * 6 / 5 }

// suspect looks after a peer that has been silent for a while.
func (r *Replica) suspect(p *peer) {
	p.suspectAt = 0
	silent := time.Duration(r.now - p.heard)
	switch {
	case silent >= r.cfg.PermdownPeriod && !r.cutOff():
		r.drop(p, "permanently down")
		return
	case silent >= r.cfg.DownPeriod && p.up && !r.cutOff():
		r.show(p, false, "down: silent")
	}
	next := r.cfg.DownPeriod
	if p.up {
		r.probe(p)
		next = probePeriod
	}
	p.suspectAt = r.after(next)
	r.timers.push(timer{at: p.suspectAt, kind: timerSuspect, of: p})
}

// probe asks a silent peer directly. The network may know that its address has no
// subscriber; a probe that is not answered in time proves nothing.
func (r *Replica) probe(p *peer) {
	if p.probed != 0 {
		p.unreachable = 0
	}
	p.probed = r.now
	r.op(OpRequest, r.address(p.name, p.epoch), r.header(kindProbe))
}

// Unreachable takes the network's word that dest has no subscriber. That is no proof
// of death: a route that is being reset hides a peer for a second. It counts when all
// probes for unreachableIn had this answer.
func (r *Replica) Unreachable(now time.Time, dest string) {
	r.step(now)
	i := slices.IndexFunc(r.byName, func(p *peer) bool { return p.address == dest })
	if i < 0 {
		return
	}
	p := r.byName[i]
	if p.probed == 0 {
		return // it is down, or was heard meanwhile
	}
	p.probed = 0
	if p.unreachable == 0 {
		p.unreachable = r.now
	}
	if time.Duration(r.now-p.unreachable) >= unreachableIn && !r.cutOff() {
		r.show(p, false, "down: gone from the network")
	}
}

// cutOff reports whether this replica may be out of reach itself, so that the silence
// of peers proves nothing.
func (r *Replica) cutOff() bool {
	return !r.gaveUp && (r.busDown || r.now-r.echo > instant(r.cfg.BeatPeriod*5/2))
}

// watchOurselves notices that this replica is cut off, and hides its peers when that
// lasts for IsolatedPeriod.
func (r *Replica) watchOurselves() {
	if !r.cutOff() {
		return
	}
	if r.isolated == 0 {
		r.isolated = r.now
		r.notice(r.cfg.Name, r.epoch, "isolated: verdicts on others wait")
	}
	if time.Duration(r.now-r.isolated) >= r.cfg.IsolatedPeriod {
		r.gaveUp = true
		for _, p := range r.byName {
			if p.up {
				r.show(p, false, "down: we are isolated")
			}
		}
	}
}

// heardOurselves takes our own heartbeat when it comes back from the network.
func (r *Replica) heardOurselves() {
	if r.discoverAt == 0 && !r.settled { // once: it touches every topic
		r.discoverAt = r.after(settlePeriod)
		r.timers.push(timer{at: r.discoverAt, kind: timerSettle})
	}
	r.echo = r.now
	if r.isolated != 0 && !r.busDown {
		r.isolated, r.gaveUp = 0, false
		r.notice(r.cfg.Name, r.epoch, "connected again")
		r.refreshPeers()
	}
}

// refreshPeers gives every peer that is up, and a rival, a new DownPeriod: they may
// have sent heartbeats while this replica heard nothing.
func (r *Replica) refreshPeers() {
	r.rival.heard = r.now
	for _, p := range r.byName {
		if p.up {
			r.alive(p)
		}
	}
}

// stalled is called when this process did not run for a while.
func (r *Replica) stalled() {
	r.echo = r.now
	r.refreshPeers()
}

// BusDown and BusUp take word of the bus's connection.
func (r *Replica) BusDown(now time.Time) {
	r.step(now)
	r.busDown = true
	r.watchOurselves()
}

// BusUp is BusDown's opposite. What was lost meanwhile is Lost's matter.
func (r *Replica) BusUp(now time.Time) {
	r.step(now)
	r.busDown = false
	r.setBeat(r.now)
}
