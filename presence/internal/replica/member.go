package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"
)

// member is another replica that its own heartbeats admitted.
type member struct {
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
	water          uint64 // see view
	views          map[*topic]*view
	// entries is how many entries the views hold.
	entries int
	whole   *whole // here on a mirror

	// questions that wait to be sent
	syncs    []syncItem
	syncAt   instant
	lastSync instant

	// suspicion
	checkAt     instant
	probed      instant // the last probe that nothing answered yet; 0 without, and while it is down
	unreachable instant // since when every probe was answered "nobody there"
}

// grave is what must not be forgotten of a name: which incarnations of it are
// over.
type grave struct {
	max  uint64 // the highest epoch seen
	beat uint64 // the last beat of it when it was dropped: a later one readmits it
	left bool   // it said goodbye: no beat readmits it
	// ignored: it was reported that there are too many replicas for it.
	ignored bool
	heard   instant
}

func (r *Replica) grave(name string) *grave {
	g := r.graves[name]
	if g == nil {
		g = &grave{}
		r.graves[name] = g
	}
	return g
}

// heartbeat tells everybody that we live.
func (r *Replica) heartbeat() {
	if r.fenced && !r.cutOff() && r.now-r.rival.heard >= instant(r.cfg.DownPeriod) {
		// The rival is gone, and maybe everybody with it who could tell us so in a
		// nack.
		r.renew(r.rival.epoch)
		return // the first heartbeat under the fresh epoch is due
	}
	r.beat++
	b := binary.AppendUvarint(r.header(kindHeartbeat), r.beat)
	b = binary.AppendUvarint(b, r.print)
	r.op(OpPublish, DestAll, r.appendVersions(b))
	r.setBeat(r.after(r.cfg.BeatPeriod))
	r.watchOurselves()
	r.retryMirror()
	r.backgroundSync()
	r.forgetGraves()
}

func (r *Replica) setBeat(at instant) {
	r.beatAt = at
	r.timers.push(timer{at: at, kind: timerBeat})
}

// greet sends the next heartbeat early, for whoever is new to know us soon.
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
	g := r.grave(msg.name)
	m := r.members[msg.name]
	switch {
	case msg.epoch < g.max:
		silent := time.Duration(r.now - g.heard)
		b := binary.AppendUvarint(r.header(kindNack), g.max)
		b = binary.AppendUvarint(b, uint64(silent.Milliseconds()))
		r.op(OpPublish, r.address(msg.name, msg.epoch), b)
		return
	case msg.epoch > g.max:
		if m != nil {
			r.drop(m, "restarted")
			m = nil
		}
		*g = grave{max: msg.epoch, heard: r.now}
	}
	if g.left {
		return
	}
	if m == nil {
		if msg.beat <= g.beat {
			return
		}
		if len(r.members) >= r.cfg.MaxReplicas {
			r.stats.Ignored++
			if !g.ignored {
				g.ignored = true
				r.notice(msg.name, msg.epoch, fmt.Sprintf("ignored: %d other replicas are known, the limit: see Config.MaxReplicas", len(r.members)))
			}
			return
		}
		g.heard, g.ignored = r.now, false
		r.admit(msg)
		return
	}
	if msg.beat <= m.beat {
		return
	}
	missed := msg.beat > m.beat+1 || !m.up
	m.beat = msg.beat
	r.alive(m)
	if missed {
		r.reconcile(m)
	}
}

// alive refreshes a member after word of its own.
func (r *Replica) alive(m *member) {
	m.heard, m.probed, m.unreachable = r.now, 0, 0
	r.grave(m.name).heard = r.now
	if !m.up {
		r.show(m, true, "up")
	}
	m.checkAt = r.after(r.suspectAfter())
	r.timers.push(timer{at: m.checkAt, kind: timerCheck, of: m})
}

// suspectAfter is how long after a member's last word it is probed. A heartbeat
// that is a little late costs a probe; a killed replica is seen to be gone after
// at most this and unreachableIn: 2.45 s.
func (r *Replica) suspectAfter() time.Duration { return r.cfg.BeatPeriod * 6 / 5 }

func (r *Replica) admit(msg message) {
	m := &member{
		name: msg.name, epoch: msg.epoch, birth: msg.birth, beat: msg.beat,
		oldest: msg.oldest, newest: msg.newest, address: r.address(msg.name, msg.epoch),
		up: true, views: map[*topic]*view{},
	}
	r.members[m.name] = m
	i, _ := r.memberIndex(m.name)
	r.byName = slices.Insert(r.byName, i, m)
	r.notice(m.name, m.epoch, "up")
	if msg.fingerprint != r.print {
		r.notice(m.name, m.epoch, "configured differently: settings that all replicas must share are not the same there")
	}
	r.checkVersions(m)
	r.alive(m)
	r.greet()
	for _, t := range r.sortedTopics() {
		if t.direct {
			v := r.newView(t, m, false)
			if r.mirror == nil {
				r.ask(v)
			} else {
				v.again = false // the question about everything is about this, too
			}
		}
	}
	if r.mirror != nil {
		r.startWhole(m)
	}
}

// drop forgets a member and all that it had.
func (r *Replica) drop(m *member, why string) {
	if m.up {
		r.show(m, false, why)
	} else {
		r.notice(m.name, m.epoch, why)
	}
	g := r.grave(m.name)
	g.beat = m.beat
	delete(r.members, m.name)
	i, _ := r.memberIndex(m.name)
	r.byName = slices.Delete(r.byName, i, i+1)
	for _, t := range m.sortedTopics() {
		i, _ := t.viewIndex(m)
		t.views = slices.Delete(t.views, i, i+1)
		m.views[t].void()
		r.touch(t)
		r.release(t)
	}
	m.views, m.syncs, m.whole = nil, nil, nil
	m.syncAt, m.checkAt = 0, 0
}

// show makes all that we know of m visible, or hides it.
func (r *Replica) show(m *member, up bool, why string) {
	m.up, m.probed = up, 0
	r.notice(m.name, m.epoch, why)
	for _, t := range m.sortedTopics() {
		r.turn(m.views[t], up)
	}
}

// sortedTopics returns the topics in which there is a view of m, by name.
func (m *member) sortedTopics() []*topic {
	return slices.SortedFunc(maps.Keys(m.views), func(a, b *topic) int { return strings.Compare(a.name, b.name) })
}

// check looks after a member that has been silent for a while.
func (r *Replica) check(m *member) {
	m.checkAt = 0
	silent := time.Duration(r.now - m.heard)
	switch {
	case silent >= r.cfg.PermdownPeriod && !r.cutOff():
		r.drop(m, "permanently down")
		return
	case silent >= r.cfg.DownPeriod && m.up && !r.cutOff():
		r.show(m, false, "down: silent")
	}
	next := r.cfg.DownPeriod
	if m.up {
		r.probe(m)
		next = probePeriod
	}
	m.checkAt = r.after(next)
	r.timers.push(timer{at: m.checkAt, kind: timerCheck, of: m})
}

// probe asks a silent member directly. The network may know that nobody is
// there; a probe that nothing answers in time proves nothing.
func (r *Replica) probe(m *member) {
	if m.probed != 0 {
		m.unreachable = 0
	}
	m.probed = r.now
	r.op(OpRequest, r.address(m.name, m.epoch), r.header(kindProbe))
}

// Unreachable takes the network's word that nobody is subscribed to dest. That
// is no proof of death: a member hides for a second behind a route that is
// being reset. It counts when no answer differed for long enough.
func (r *Replica) Unreachable(now time.Time, dest string) {
	r.step(now)
	i := slices.IndexFunc(r.byName, func(m *member) bool { return m.address == dest })
	if i < 0 {
		return
	}
	m := r.byName[i]
	if m.probed == 0 {
		return // it is down, or was heard meanwhile
	}
	m.probed = 0
	if m.unreachable == 0 {
		m.unreachable = r.now
	}
	if time.Duration(r.now-m.unreachable) >= unreachableIn && !r.cutOff() {
		r.show(m, false, "down: gone from the network")
	}
}

// cutOff tells whether it may be us who are out of reach, so that the silence
// of others is no proof of anything.
func (r *Replica) cutOff() bool {
	return !r.gaveUp && (r.busDown || r.now-r.echo > instant(r.cfg.BeatPeriod*5/2))
}

// watchOurselves notices that we are cut off, and gives the others up when that
// lasts.
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
		for _, m := range r.byName {
			if m.up {
				r.show(m, false, "down: we are isolated")
			}
		}
	}
}

// heardOurselves takes our own heartbeat, come back from the network.
func (r *Replica) heardOurselves() {
	if r.discoverAt == 0 && !r.settled { // once: it touches every topic
		r.discoverAt = r.after(settlePeriod)
		r.timers.push(timer{at: r.discoverAt, kind: timerSettle})
	}
	r.echo = r.now
	if r.isolated != 0 && !r.busDown {
		r.isolated, r.gaveUp = 0, false
		r.notice(r.cfg.Name, r.epoch, "connected again")
		r.patience()
	}
}

// patience gives every member that is up, and a rival, a full new term: while we
// heard nothing, they may have said much.
func (r *Replica) patience() {
	r.rival.heard = r.now
	for _, m := range r.byName {
		if m.up {
			r.alive(m)
		}
	}
}

// stalled is called when this process did not run for a while.
func (r *Replica) stalled() {
	r.echo = r.now
	r.patience()
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

// Lost takes word that messages may have been dropped on the way to us.
func (r *Replica) Lost(now time.Time) {
	r.step(now)
	r.stats.Lost++
	if r.lostAt == 0 { // one timer is enough
		r.lostAt = max(r.now, r.nextLost)
		r.timers.push(timer{at: r.lostAt, kind: timerLost})
	}
}

// reconcileAll compares everything with everybody. A bus that drops messages all
// the time must not put the questions off for ever, nor make ever more of them:
// so this has a pace.
func (r *Replica) reconcileAll() {
	r.lostAt, r.nextLost = 0, r.after(lostPause)
	for _, m := range r.byName {
		r.reconcile(m)
	}
}

// Leave says goodbye: our presences are gone elsewhere at once. Nothing but
// Ready may follow.
func (r *Replica) Leave(now time.Time) {
	r.step(now)
	for _, t := range r.sortedTopics() {
		r.flush(t)
	}
	r.op(OpPublish, DestAll, r.header(kindLeave))
}

func (r *Replica) receiveLeave(msg message) {
	g := r.grave(msg.name)
	if msg.epoch < g.max {
		return
	}
	if m := r.members[msg.name]; m != nil {
		r.drop(m, "left")
	}
	*g = grave{max: msg.epoch, left: true, heard: r.now}
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

// rival is a later process of our own name that lives beside us.
type rival struct {
	epoch uint64
	beat  uint64
	rises int     // how often its beat was seen to rise
	heard instant // by us, or by who told us
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

// forgetGraves drops what is so old that none of its messages can still come.
func (r *Replica) forgetGraves() {
	if r.beat%sliceCount != 0 { // it looks at all of them
		return
	}
	for name, g := range r.graves {
		if r.members[name] == nil && time.Duration(r.now-g.heard) > 2*r.cfg.PermdownPeriod {
			delete(r.graves, name)
		}
	}
}

// Message is a message that was decoded, or could not be.
type Message struct {
	msg message
	err error
}

// Decode reads a message that a replica of a wire version receives. It needs no
// replica, and may be called concurrently.
func Decode(data []byte, version int) Message {
	msg, err := decode(data, byte(version))
	return Message{msg, err}
}

// Receive takes a message from the bus.
func (r *Replica) Receive(now time.Time, m Message) {
	r.step(now)
	switch outdated := (*outdatedError)(nil); {
	case errors.As(m.err, &outdated):
		r.outdated(outdated)
	case m.err != nil:
		r.stats.Malformed++
	default:
		r.receive(m.msg)
	}
}

func (r *Replica) receive(msg message) {
	if msg.name == r.cfg.Name {
		switch {
		case msg.kind != kindHeartbeat: // nothing that others say of us changes us
		case msg.epoch == r.epoch:
			r.heardOurselves()
		case msg.epoch > r.epoch:
			r.heardRival(msg)
		}
		return
	}
	r.stats.Received++
	switch msg.kind {
	case kindHeartbeat:
		r.receiveHeartbeat(msg)
	case kindLeave:
		r.receiveLeave(msg)
	case kindSync:
		r.receiveSync(msg)
	case kindSyncAll:
		r.receiveSyncAll(msg)
	case kindProbe:
		r.op(OpPublish, r.address(msg.name, msg.epoch), r.header(kindAlive))
	case kindNack:
		r.receiveNack(msg)
	case kindAlive, kindDelta, kindTip, kindReply, kindPage:
		m := r.members[msg.name]
		if m == nil || m.epoch != msg.epoch {
			return // only its own heartbeat admits a replica
		}
		if msg.kind == kindAlive {
			// It refreshes, but a down member's presences come back with a
			// heartbeat only: that tells what we missed.
			if m.up {
				r.alive(m)
			}
			return
		}
		if msg.kind == kindPage {
			r.receivePage(m, msg)
			return
		}
		for _, part := range msg.parts {
			t := r.followed(part.topic)
			if t == nil {
				continue
			}
			switch msg.kind {
			case kindTip:
				r.receiveTip(t, m, part)
			case kindReply:
				r.receiveReply(t, m, part)
			default:
				r.receiveDelta(t, m, part.delta, true, 0)
			}
			r.release(t) // a mirror keeps no topic that has nothing
		}
	}
}
