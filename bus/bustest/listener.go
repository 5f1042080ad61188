package bustest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rollcall-go/rollcall/bus"
)

// The lanes of the checks.
const (
	lane  = bus.LanePresence
	other = bus.LaneChannel
)

// A listener is an open lane that records what it is told: the text of a message, or "!",
// an event and its destination. It makes use of what a handler may do: it overwrites what
// it is given.
type listener struct {
	bus.Conn
	r    *rig
	on   bus.Bus
	mark string // a destination that it is subscribed to, see settle

	calling atomic.Bool   // a callback runs
	closed  atomic.Bool   // Close has returned
	entered chan struct{} // capacity 1: a callback began
	added   chan struct{} // capacity 1: something was recorded

	mu sync.Mutex
	// guarded by mu
	log  []string
	gate chan struct{} // callbacks wait for it to be closed; nil: they do not wait
}

// listen opens lane on a bus of its own.
func (r *rig) listen(dests ...string) *listener {
	r.t.Helper()
	return r.listenOn(r.net.Bus(), lane, dests...)
}

// listenOn opens a lane that is closed with the test.
func (r *rig) listenOn(b bus.Bus, lane bus.Lane, dests ...string) *listener {
	r.t.Helper()
	l := &listener{r: r, on: b, entered: make(chan struct{}, 1), added: make(chan struct{}, 1)}
	conn, err := b.Open(lane, bus.Handler{
		Message: func(data []byte) {
			text := string(data)
			clear(data[:cap(data)])
			l.call(text)
		},
		Event: func(event bus.Event, dest string) {
			l.call(strings.TrimSuffix(fmt.Sprintf("!%s %s", event, dest), " "))
		},
	})
	r.must(err, "open a lane")
	l.Conn = conn
	r.all = append(r.all, l)
	r.t.Cleanup(func() {
		for _, l := range r.all { // one may wait for another on a wrong bus
			l.unblock()
		}
		l.Close()
	})
	for _, dest := range dests {
		r.must(l.Subscribe(dest), "subscribe")
	}
	return l
}

// call is one callback.
func (l *listener) call(entry string) {
	if !l.calling.CompareAndSwap(false, true) {
		l.r.t.Errorf("%.100q is delivered while another callback runs", entry)
		return
	}
	defer l.calling.Store(false)
	if l.closed.Load() {
		l.r.t.Errorf("%.100q is delivered after Close", entry)
	}
	notify(l.entered)
	l.mu.Lock()
	if gate := l.gate; gate != nil {
		l.mu.Unlock()
		<-gate
		l.mu.Lock()
	}
	l.log = append(l.log, entry)
	l.mu.Unlock()
	notify(l.added)
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// block makes callbacks wait until unblock. entered is empty until the first does.
func (l *listener) block() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.gate = make(chan struct{})
	select {
	case <-l.entered:
	default:
	}
}

// begun waits for a callback that begins after block.
func (l *listener) begun() {
	l.r.t.Helper()
	l.r.await(l.entered, "nothing is delivered")
}

func (l *listener) unblock() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.gate != nil {
		close(l.gate)
		l.gate = nil
	}
}

// stop closes the lane; a callback after it is an error.
func (l *listener) stop() {
	l.Close()
	l.closed.Store(true)
}

// send publishes messages from memory that is overwritten at once.
func (l *listener) send(dest string, messages ...string) {
	l.r.t.Helper()
	for _, m := range messages {
		l.r.must(l.publish(l.Publish, dest, m), "publish")
	}
}

func (l *listener) request(dest, message string) {
	l.r.t.Helper()
	l.r.must(l.publish(l.Request, dest, message), "request")
}

func (l *listener) publish(publish func(string, []byte) error, dest, message string) error {
	data := []byte(message)
	defer clear(data)
	return publish(dest, data)
}

// until waits for an entry, and returns and forgets all before it.
func (l *listener) until(entry string) []string {
	l.r.t.Helper()
	return l.provoke(entry, nil)
}

// provoke repeats f until an entry is recorded, and returns and forgets all before it.
func (l *listener) provoke(entry string, f func()) []string {
	l.r.t.Helper()
	giveUp := time.After(waitLimit)
	for {
		var again <-chan time.Time
		if f != nil {
			f()
			again = time.After(5 * time.Millisecond)
		}
		for waiting := true; waiting; {
			if before, ok := l.take(entry); ok {
				return before
			}
			select {
			case <-l.added:
			case <-again:
				waiting = false
			case <-giveUp:
				before, _ := l.take("")
				l.r.t.Fatalf("%.100q is not delivered, but %s", entry, list(before))
			}
		}
	}
}

// take returns and forgets what was recorded before entry, and entry; or everything,
// without entry.
func (l *listener) take(entry string) (before []string, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.log, entry)
	if i < 0 {
		return l.log, false
	}
	before = l.log[:i:i]
	l.log = l.log[i+1:]
	return before, true
}

// settle waits until every sender's bus knows all that the listener is subscribed to, and
// returns what else was recorded meanwhile.
func (l *listener) settle(senders ...*listener) (heard []string) {
	l.r.t.Helper()
	old := l.mark
	l.r.marks++
	l.mark = fmt.Sprint("mark:", l.r.marks)
	l.r.must(l.Subscribe(l.mark), "subscribe")
	for i, from := range senders {
		first, last := fmt.Sprint("settle ", i), fmt.Sprint("settled ", i)
		heard = append(heard, l.provoke(first, func() { from.send(l.mark, first) })...)
		from.send(l.mark, last)
		heard = append(heard, l.until(last)...)
		heard = slices.DeleteFunc(heard, func(text string) bool { return text == first })
	}
	if old != "" {
		l.r.must(l.Unsubscribe(old), "unsubscribe")
	}
	return heard
}

// heard returns what was recorded since the last call, complete as far as it is from one
// of the senders that the listener has settled with.
func (l *listener) heard(from *listener) []string {
	l.r.t.Helper()
	from.send(l.mark, "heard")
	return l.until("heard")
}

// await fails the check unless c is ready in time.
func (r *rig) await(c <-chan struct{}, fault string) {
	r.t.Helper()
	select {
	case <-c:
	case <-time.After(waitLimit):
		r.t.Fatal(fault)
	}
}

// never fails the check if c is ready soon. It gives a wrong bus the time to go wrong; a
// right one passes however slow it is.
func (r *rig) never(c <-chan struct{}, fault string) {
	r.t.Helper()
	select {
	case <-c:
		r.t.Fatal(fault)
	case <-time.After(20 * time.Millisecond):
	}
}
