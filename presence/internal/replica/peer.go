package replica

import (
	"maps"
	"slices"
	"strings"
)

// peer is another replica that its own heartbeats admitted.
type peer struct {
	name  string
	epoch uint64
	birth uint64 // its first epoch, which its refs are made of
	// address is where messages for it go.
	address string
	// oldest and newest are the versions of the wire format that it reads.
	oldest, newest uint64
	beat           uint64
	heard          instant
	up             bool
	watermark      uint64 // see view
	views          map[*topic]*view
	// entries is how many entries the views hold.
	entries int
	full    *fullSync // here on a mirror

	// questions that wait to be sent
	syncs    []syncItem
	syncAt   instant
	lastSync instant

	// suspicion
	suspectAt   instant
	probed      instant // the last probe that nothing answered yet; 0 without, and while it is down
	unreachable instant // since when every probe was answered "nobody there"
}

func (r *Replica) admit(msg message) {
	p := &peer{
		name: msg.name, epoch: msg.epoch, birth: msg.birth, beat: msg.beat,
		oldest: msg.oldest, newest: msg.newest, address: r.address(msg.name, msg.epoch),
		up: true, views: map[*topic]*view{},
	}
	r.peers[p.name] = p
	i, _ := r.peerIndex(p.name)
	r.byName = slices.Insert(r.byName, i, p)
	r.notice(p.name, p.epoch, "up")
	if msg.fingerprint != r.print {
		r.notice(p.name, p.epoch, "configured differently: settings that all replicas must share are not the same there")
	}
	r.checkVersions(p)
	r.alive(p)
	r.greet()
	for _, t := range r.sortedTopics() {
		if t.direct {
			v := r.newView(t, p, false)
			if r.mirror == nil {
				r.ask(v)
			} else {
				v.again = false // the question about everything is about this, too
			}
		}
	}
	if r.mirror != nil {
		r.startFullSync(p)
	}
}

// drop forgets a peer and all that it had.
func (r *Replica) drop(p *peer, why string) {
	if p.up {
		r.show(p, false, why)
	} else {
		r.notice(p.name, p.epoch, why)
	}
	ts := r.tombstone(p.name)
	ts.beat = p.beat
	delete(r.peers, p.name)
	i, _ := r.peerIndex(p.name)
	r.byName = slices.Delete(r.byName, i, i+1)
	for _, t := range p.sortedTopics() {
		i, _ := t.viewIndex(p)
		t.views = slices.Delete(t.views, i, i+1)
		p.views[t].void()
		r.touch(t)
		r.release(t)
	}
	p.views, p.syncs, p.full = nil, nil, nil
	p.syncAt, p.suspectAt = 0, 0
}

// show makes all that we know of p visible, or hides it.
func (r *Replica) show(p *peer, up bool, why string) {
	p.up, p.probed = up, 0
	r.notice(p.name, p.epoch, why)
	for _, t := range p.sortedTopics() {
		r.turn(p.views[t], up)
	}
}

// sortedTopics returns the topics in which there is a view of p, by name.
func (p *peer) sortedTopics() []*topic {
	return slices.SortedFunc(maps.Keys(p.views), func(a, b *topic) int { return strings.Compare(a.name, b.name) })
}

func (r *Replica) peerIndex(name string) (int, bool) {
	return slices.BinarySearchFunc(r.byName, name, func(p *peer, name string) int { return strings.Compare(p.name, name) })
}
