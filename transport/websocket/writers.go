package websocket

import (
	"runtime"
	"sync"
)

// writers write for all outboxes of a transport whose sockets can be written to
// without waiting. There are as many as there are processors, at most, besides as
// many that pause, and none when nothing waits. A broadcast to a thousand clients
// so wakes one goroutine and not a thousand; and while it writes, what is broadcast
// next gathers in the outboxes that it has not come to.
//
// They have two lanes. In the patient one are the outboxes with nothing but
// patient frames: what tells a room of who has come is thousands of writes at
// once, and has waited for others already. All the others are in the prompt lane,
// which comes first. That none starves, one turn in patientEvery is a patient one
// while the prompt lane is never empty. Between two patient turns a writer gives
// way to all other goroutines, since those who write at length without waiting
// hold up their processor; between prompt ones it does not, since there is no
// work to give way to that is more urgent.
//
// An outbox that is moved from the patient lane to the prompt one leaves a stale
// entry there, which is passed over when its turn comes; see outbox.attempt.
type writers struct {
	// Static after newWriters.
	most  int
	group *sync.WaitGroup // of the transport
	start func()          // run as a value: starting it costs no allocation
	pause func()          // gives way to others

	mu sync.Mutex
	// Guarded by mu.
	active  int // writers that do not pause
	pausing int // writers that do, and will go on: most, at most. Where nobody is either, the lanes are empty
	prompt  lane
	patient lane
	row     int // prompt turns since the last patient one
}

// For each perWriter outboxes that wait there is one writer more: some 5 ms of
// work. With more of them each comes round sooner, finds less that waits in an
// outbox, and so has more writes to make (figures in the package's doc). A writer
// takes turn outboxes at a time, or patientTurn: those who come to the prompt lane
// meanwhile wait for 0.15 ms of writing.
const (
	perWriter    = 1024
	turn         = 64
	patientTurn  = 16
	patientEvery = 5
)

// tryLimit is the most bytes that are written without waiting: more than a
// socket's buffer may not fit, and would keep other outboxes waiting.
const tryLimit = 32 << 10

func newWriters(group *sync.WaitGroup, pause func()) *writers {
	w := &writers{most: runtime.GOMAXPROCS(0), group: group, pause: pause}
	w.start = w.run
	return w
}

// add gives an outbox to the writers. It is called with the outbox's mu held.
func (w *writers) add(o *outbox, to laneID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	writing := w.active
	if to == lanePrompt {
		w.prompt.put(o)
	} else {
		w.patient.put(o)
		writing += w.pausing // these it can wait for
	}
	if writing < w.most && w.prompt.len()+w.patient.len() > writing*perWriter {
		w.active++
		w.group.Add(1)
		go w.start()
	}
}

func (w *writers) run() {
	defer w.group.Done()
	var mine [turn]*outbox
	for {
		n, from := w.take(&mine)
		if n == 0 {
			return
		}
		good := false
		for i, o := range mine[:n] {
			mine[i] = nil
			good = o.attempt(from) || good
		}
		if from == lanePatient && good && !w.giveWay() {
			return
		}
	}
}

// take moves outboxes to mine and tells what lane they waited in; without any the
// writer ends.
func (w *writers) take(mine *[turn]*outbox) (n int, from laneID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.prompt.len() > 0 && (w.patient.len() == 0 || w.row < patientEvery-1) {
		w.row++
		return w.prompt.take(mine[:]), lanePrompt
	}
	w.row = 0
	if n = w.patient.take(mine[:patientTurn]); n == 0 {
		w.active--
	}
	return n, lanePatient
}

// giveWay is called after a patient turn with work in it. It gives way to others
// if another such turn is next. Who pauses does not count as active, so what comes to
// the prompt lane meanwhile has a writer at once, who may then find as many pausing as
// there may be writers: then giveWay returns false and the writer ends, since these
// will go on.
func (w *writers) giveWay() (more bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.prompt.len() > 0 || w.patient.len() == 0 {
		return true
	}
	w.active--
	if w.pausing == w.most {
		return false
	}
	w.pausing++
	w.mu.Unlock()
	w.pause()
	w.mu.Lock()
	w.pausing--
	w.active++
	return true
}
