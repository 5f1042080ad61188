package replica

import (
	"time"

	"github.com/rollcall-go/rollcall/bus"
)

// Op is what a replica wants done on the bus.
type Op struct {
	Kind OpKind
	Dest string
	Data []byte // Publish, Request
}

// OpKind is a kind of Op: a method of [bus.Conn].
type OpKind uint8

// The kinds of Op.
const (
	OpPublish OpKind = iota
	OpRequest
	OpSubscribe
	OpUnsubscribe
	OpSubscribeAll // Dest is a class of destinations
	OpUnsubscribeAll
)

// Notice is a change of a replica's status, for logs.
type Notice struct {
	Replica string
	Epoch   uint64
	What    string
}

// Ready is what a replica wants done, in order. Its slices are used again: they
// are valid until the next call of any method; what they hold stays.
type Ready struct {
	Ops     []Op
	Events  []Event // for topics that are watched
	Notices []Notice
	// Changed are the topics whose List may be another one now.
	Changed []string
	// Deadline is when Tick must be called, at the latest.
	Deadline time.Time
}

// Replica is the state machine of one replica: pure, with the time as an
// argument and its wishes as a return value, so that a test can run a cluster
// of them through any fault in virtual time. [Tracker] is the shell around it;
// programs use that.
//
// Every method takes the current time, of which only differences count, and
// must be followed by Ready. Methods must not be called concurrently.
type Replica struct {
	// static
	cfg    Config
	birth  uint64 // the first epoch
	print  uint64 // the settings' fingerprint
	start  time.Time
	random func() uint64
	wall   func() time.Time

	// identity
	epoch      uint64
	counter    uint64 // numbers every change of every topic
	ownEntries int    // in all topics
	beat       uint64
	nonce      uint64
	rival      rival // a later process of our name
	fenced     bool  // the rival lives: see op

	// time
	now    instant
	timers timers
	beatAt instant
	hello  instant // the last greeting

	// peers
	peers      map[string]*peer
	byName     []*peer // sorted
	tombstones map[string]*tombstone
	echo       instant // when our own heartbeat last came back
	isolated   instant // since when we are cut off; 0 if not
	gaveUp     bool    // all peers are down, because we were cut off for too long
	busDown    bool

	// topics
	topics     map[string]*topic
	interests  int
	slices     [sliceCount][]*topic // all of them, see sliceOf
	compared   int                  // of the background comparison
	mirror     *mirror              // nil when this replica is none
	discoverAt instant              // until then nothing is complete
	settled    bool
	syncAll    []syncItem // questions to all peers
	syncAllAt  instant
	lastAll    instant

	// repairs
	questions  []question // of others, that wait
	answerAt   instant
	nextAnswer instant // the earliest time
	lostAt     instant // when what may have been lost is looked for again
	nextLost   instant // the earliest time
	outdatedAt instant // the last report of a message that is too new

	// what this step did
	dirty   []*topic
	ops     []Op
	events  []Event
	notices []Notice
	altered []string

	stats Stats
}

// New makes a replica of cfg, which must be valid. wall gives the
// wall-clock time, for epochs; random must be uniformly distributed.
func New(cfg Config, now time.Time, wall func() time.Time, random func() uint64) *Replica {
	r := &Replica{
		cfg: cfg, print: fingerprint(cfg.Settings), start: now, random: random, wall: wall,
		peers: map[string]*peer{}, tombstones: map[string]*tombstone{}, topics: map[string]*topic{},
	}
	r.epoch = newEpoch(wall(), random(), 0)
	r.birth = r.epoch
	r.compared = int(r.epoch % sliceCount) // not the same everywhere
	r.nonce = random()
	r.step(now)
	r.echo = r.now
	r.op(OpSubscribe, bus.DestAll, nil)
	r.op(OpSubscribe, r.address(r.cfg.Name, r.epoch), nil)
	r.setBeat(r.now)
	r.runTimers()
	return r
}

// Epoch is the replica's current epoch.
func (r *Replica) Epoch() uint64 { return r.epoch }

// Tick lets the time pass: whatever fell due is done.
func (r *Replica) Tick(now time.Time) {
	r.step(now)
	r.runTimers()
}

// Ready returns, and forgets, what is to be done.
func (r *Replica) Ready() Ready {
	r.settle()
	ready := Ready{Ops: r.ops, Events: r.events, Notices: r.notices, Changed: r.altered}
	r.ops, r.events, r.notices, r.altered = again(r.ops), again(r.events), again(r.notices), again(r.altered)
	if at, ok := r.timers.next(); ok {
		ready.Deadline = r.start.Add(time.Duration(at - 1))
	}
	return ready
}

// again returns list[:0], or nil if its capacity is large.
func again[T any](list []T) []T {
	if cap(list) > 64 {
		return nil
	}
	return list[:0]
}

// step moves the clock on. It never goes back.
func (r *Replica) step(now time.Time) {
	was := r.now
	r.now = max(r.now, instant(now.Sub(r.start))+1)
	// We tick at least once a beat: if nothing at all ran for much longer, the
	// process was stopped, and silence proves nothing about the others.
	if r.now-was > instant(2*r.cfg.BeatPeriod) {
		r.stalled()
	}
}

func (r *Replica) after(d time.Duration) instant { return r.now + instant(d) }

// jitter is a random duration in [low, high).
func (r *Replica) jitter(low, high time.Duration) time.Duration {
	return low + time.Duration(r.random()%uint64(high-low))
}

// op queues an operation. A fenced replica publishes nothing of what it has: only its
// heartbeats, which are refused, its questions, and its nacks, since no other replica
// may remember a tombstone that it has.
func (r *Replica) op(k OpKind, dest string, data []byte) {
	if r.fenced && k == OpPublish {
		switch kind(data[3]) {
		case kindHeartbeat, kindSync, kindSyncAll, kindNack:
		default:
			return
		}
	}
	r.ops = append(r.ops, Op{Kind: k, Dest: dest, Data: data})
}

func (r *Replica) notice(name string, epoch uint64, what string) {
	r.notices = append(r.notices, Notice{Replica: name, Epoch: epoch, What: what})
}

// settle finishes a step: what falls due at once is done, and watchers are told
// what changed.
func (r *Replica) settle() {
	r.runTimers()
	turned := r.settleMirror()
	for _, t := range r.dirty {
		t.dirty = false
		r.altered = append(r.altered, t.name)
		r.emit(t)
	}
	r.dirty = r.dirty[:0]
	if turned {
		r.events = append(r.events, Event{Complete: r.mirror.complete})
	}
}

// touch marks a topic whose visible contents or completeness may have changed.
func (r *Replica) touch(t *topic) {
	if !t.dirty {
		t.dirty = true
		r.dirty = append(r.dirty, t)
	}
}

// header begins a message of ours.
func (r *Replica) header(k kind) []byte {
	return appendHeader(make([]byte, 0, 128), k, r.cfg.Name, r.epoch, r.birth)
}

// room is how many bytes of a message are for what it says of topics.
func (r *Replica) room() int {
	return min(r.cfg.MaxPayload(), MaxPlain) - besideParts - len(r.cfg.Name)
}

// nextNumber numbers a change.
func (r *Replica) nextNumber() uint64 {
	r.counter++
	return r.counter
}

// freshNonce is a number that no question of this process had before.
func (r *Replica) freshNonce() uint64 {
	r.nonce++
	if r.nonce == 0 { // 0 stands for none
		r.nonce++
	}
	return r.nonce
}
