package replica

import "slices"

// instant is a moment on a replica's monotonic clock: nanoseconds since it was
// made, plus one, so that zero means never.
type instant int64

// timerKind says what falls due. Each kind has a field on its topic, view,
// peer or replica that holds when; a timer that does not agree with the field
// any more is void.
type timerKind uint8

const (
	timerBeat          timerKind = iota // Replica.beatAt
	timerSyncAll                        // Replica.syncAllAt
	timerSettle                         // Replica.discoverAt
	timerAnswer                         // Replica.answerAt
	timerLost                           // Replica.lostAt
	timerFlush                          // topic.flushAt
	timerTip                            // topic.tipAt
	timerLinger                         // topic.lingerAt
	timerAsk                            // view.askAt
	timerAgain                          // view.againAt
	timerPrune                          // view.pruneAt
	timerSync                           // peer.syncAt
	timerSuspect                        // peer.suspectAt
	timerMirror                         // mirror.lingerAt
	timerFullSync                       // fullSync.askAt
	timerFullSyncAgain                  // fullSync.againAt
)

type timer struct {
	at   instant
	n    uint64 // ties are broken by age, so that runs repeat
	kind timerKind
	of   any // the *topic, *peer or *view
}

func (t timer) topic() *topic { return t.of.(*topic) }

func (t timer) peer() *peer { return t.of.(*peer) }

func (t timer) view() *view { return t.of.(*view) }

// timers is a binary heap by (at, n).
type timers struct {
	heap []timer
	n    uint64
}

func (q *timers) less(i, j int) bool {
	a, b := &q.heap[i], &q.heap[j]
	return a.at < b.at || a.at == b.at && a.n < b.n
}

func (q *timers) push(t timer) {
	q.n++
	t.n = q.n
	q.heap = append(q.heap, t)
	for i := len(q.heap) - 1; i > 0; {
		parent := (i - 1) / 2
		if !q.less(i, parent) {
			break
		}
		q.heap[i], q.heap[parent] = q.heap[parent], q.heap[i]
		i = parent
	}
}

// next is when the earliest timer falls due; false without one.
func (q *timers) next() (instant, bool) {
	if len(q.heap) == 0 {
		return 0, false
	}
	return q.heap[0].at, true
}

// pop takes the earliest timer out. There must be one.
func (q *timers) pop() timer {
	top := q.heap[0]
	last := len(q.heap) - 1
	q.heap[0] = q.heap[last]
	q.heap[last] = timer{}
	q.heap = q.heap[:last]
	if cap(q.heap) > 1024 && last < cap(q.heap)/4 {
		q.heap = slices.Clip(slices.Clone(q.heap))
	}
	for i := 0; ; {
		child := 2*i + 1
		if child >= last {
			break
		}
		if child+1 < last && q.less(child+1, child) {
			child++
		}
		if !q.less(child, i) {
			break
		}
		q.heap[i], q.heap[child] = q.heap[child], q.heap[i]
		i = child
	}
	return top
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
			if t.peer().syncAt == t.at {
				r.sendSync(t.peer())
			}
		case timerSuspect:
			if t.peer().suspectAt == t.at {
				r.suspect(t.peer())
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
		case timerFullSync:
			if full := t.peer().full; full != nil && full.askAt == t.at {
				r.sendFullSync(t.peer())
			}
		case timerFullSyncAgain:
			if full := t.peer().full; full != nil && full.againAt == t.at {
				r.askFullSync(t.peer(), 0, sliceCount)
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
