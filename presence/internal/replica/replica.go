package replica

import (
	"slices"
	"strings"
	"time"
)

// Periods of the algorithm that are not worth a setting.
const (
	tipFirst      = time.Second            // after a flush with nothing after it
	tipSecond     = 5 * time.Second        // the second and last tip
	pruneAfter    = 12 * time.Second       // a view empty for this long is dropped; above tipSecond
	syncBatch     = 10 * time.Millisecond  // syncs wait this long for each other
	askMin        = 50 * time.Millisecond  // jitter of a question
	askMax        = 250 * time.Millisecond // jitter of a question, and the first retry
	askRetryMax   = 5 * time.Second        // retries back off to this
	maxBackoff    = 5                      // doublings of askMax that are above askRetryMax
	askAgain      = 500 * time.Millisecond // after the first answer of a new interest
	probePeriod   = 250 * time.Millisecond // between two probes, and the patience with one
	unreachableIn = 1250 * time.Millisecond
	helloSpread   = 50 * time.Millisecond  // an early heartbeat greets whoever is new
	helloPeriod   = 250 * time.Millisecond // at most one greeting in this time
	settlePeriod  = 250 * time.Millisecond // from our first echo until we know who is there
	removalLog    = 256                    // removals a topic remembers for log repairs
	holdBack      = 4                      // live deltas a view keeps that came too early
	flushBytes    = 64 << 10               // a delta of this size does not wait
	lostPause     = time.Second            // between two comparisons because of dropped messages
)

// Op is what a replica wants done on the bus.
type Op struct {
	Kind OpKind
	Dest string
	Data []byte // Publish, Request
}

// OpKind is a kind of Op: a method of [Bus].
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

	// who is there
	members  map[string]*member
	byName   []*member // sorted
	graves   map[string]*grave
	echo     instant // when our own heartbeat last came back
	isolated instant // since when we are cut off; 0 if not
	gaveUp   bool    // everybody is down, because we were cut off for too long
	busDown  bool

	// topics
	topics     map[string]*topic
	interests  int
	slices     [sliceCount][]*topic // all of them, see sliceOf
	part       int                  // of the background comparison
	mirror     *mirror              // nil when this replica is none
	discoverAt instant              // until then nothing is complete
	settled    bool
	syncAll    []syncItem // questions to everybody
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
		members: map[string]*member{}, graves: map[string]*grave{}, topics: map[string]*topic{},
	}
	r.epoch = newEpoch(wall(), random(), 0)
	r.birth = r.epoch
	r.part = int(r.epoch % sliceCount) // not the same everywhere
	r.nonce = random()
	r.step(now)
	r.echo = r.now
	r.op(OpSubscribe, DestAll, nil)
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

// again is an empty slice in the memory of list, unless that is large.
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

// op wants something done. Who is fenced says nothing of what it has: only its
// heartbeats, which are refused, its questions, and its nacks, since it may be
// the only one who remembers somebody.
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

// header begins a message of ours.
func (r *Replica) header(k kind) []byte {
	return appendHeader(make([]byte, 0, 128), k, r.cfg.Name, r.epoch, r.birth)
}

// room is how many bytes of a message are for what it says of topics.
func (r *Replica) room() int {
	return min(r.cfg.MaxPayload(), MaxPlain) - besideParts - len(r.cfg.Name)
}

// address is where messages for one incarnation of one replica go.
func (r *Replica) address(name string, epoch uint64) string {
	if m := r.members[name]; m != nil && m.epoch == epoch {
		return m.address
	}
	return destReplica + name + "/" + encodeEpoch(epoch)
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

func (r *Replica) runTimers() {
	for {
		at, ok := r.timers.next()
		if !ok || at > r.now {
			return
		}
		switch t := r.timers.pop(); t.kind {
		case timerBeat:
			if r.beatAt == t.at {
				r.heartbeat()
			}
		case timerSettle:
			if r.discoverAt == t.at {
				r.discovered()
			}
		case timerSyncAll:
			if r.syncAllAt == t.at {
				r.sendSyncAll()
			}
		case timerSync:
			if t.member().syncAt == t.at {
				r.sendSync(t.member())
			}
		case timerCheck:
			if t.member().checkAt == t.at {
				r.check(t.member())
			}
		case timerAnswer:
			if r.answerAt == t.at {
				r.answer()
			}
		case timerLost:
			if r.lostAt == t.at {
				r.reconcileAll()
			}
		case timerFlush:
			if own := t.topic().own; own != nil && own.flushAt == t.at {
				r.flush(t.topic())
			}
		case timerTip:
			if own := t.topic().own; own != nil && own.tipAt == t.at {
				r.tip(t.topic())
			}
		case timerLinger:
			if t.topic().lingerAt == t.at {
				r.endInterest(t.topic())
			}
		case timerMirror:
			if r.mirror != nil && r.mirror.lingerAt == t.at {
				r.endMirror()
			}
		case timerWhole:
			if w := t.member().whole; w != nil && w.askAt == t.at {
				r.sendWhole(t.member())
			}
		case timerWholeAgain:
			if w := t.member().whole; w != nil && w.againAt == t.at {
				r.askWhole(t.member(), 0, sliceCount)
			}
		case timerAsk:
			if t.view().askAt == t.at {
				r.ask(t.view())
			}
		case timerAgain:
			if t.view().againAt == t.at {
				r.again(t.view())
			}
		case timerPrune:
			if t.view().pruneAt == t.at {
				r.prune(t.view())
			}
		}
	}
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

func (r *Replica) memberIndex(name string) (int, bool) {
	return slices.BinarySearchFunc(r.byName, name, func(m *member, name string) int { return strings.Compare(m.name, name) })
}

// Destinations on the bus.
const (
	DestAll = "all" // every replica
	// ClassTopic is the class of the destinations of topics: what stands before
	// the first colon.
	ClassTopic  = "t"
	destTopic   = ClassTopic + ":"
	destReplica = "r:"
)

// TopicDest returns the destination of everything about one topic.
func TopicDest(topic string) string { return destTopic + topic }
