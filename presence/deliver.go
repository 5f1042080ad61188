package presence

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/rollcall-go/rollcall/internal/queue"
)

const (
	// maxWaiting is how many events may wait for a handler before they are merged.
	maxWaiting = 1000
	// slowCall is how long a call of a handler may take without a line in the log.
	slowCall = time.Second
)

// dispatcher calls the handlers of watches: one call at a time for each of them, in
// order, and none waits for another one's. It has goroutines only while there are
// events: one, and one more for each handler that does not return at once.
type dispatcher struct {
	// static
	logger  *slog.Logger
	running *sync.WaitGroup // of the tracker
	work    func()          // run, allocated once

	// guarded by mu, which is taken after the tracker's
	mu       sync.Mutex
	ready    queue.Queue[*Watch] // those with events that no goroutine has taken
	starting bool                // a goroutine was started and has taken none yet
	waiting  int                 // events whose handler has not returned
}

// mailbox is what waits for one watch. It is guarded by the dispatcher's mu.
type mailbox struct {
	events  queue.Queue[Event]
	added   int32 // events, since they were merged or were none
	merged  int32 // how many were left then
	active  bool  // the watch is ready, or a goroutine has taken it
	stopped bool
}

func (d *dispatcher) init(logger *slog.Logger, running *sync.WaitGroup) {
	d.logger, d.running, d.work = logger, running, d.run
}

// push queues an event for w. It is not called any more once the tracker is closed.
func (d *dispatcher) push(w *Watch, e Event) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := &w.mailbox
	if m.stopped {
		return
	}
	m.events.Push(e)
	d.waiting++
	if m.added++; m.added >= max(maxWaiting, m.merged) {
		d.merge(m)
	}
	if !m.active {
		m.active = true
		d.ready.Push(w)
		d.start()
	}
}

// start starts a goroutine, if there is a watch for it. mu is held.
func (d *dispatcher) start() {
	if d.ready.Len() > 0 && !d.starting {
		d.starting = true
		d.running.Go(d.work)
	}
}

// run takes watches until none is ready.
func (d *dispatcher) run() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.starting = false
	for {
		w, ok := d.ready.Pop()
		if !ok {
			return
		}
		d.start() // for the others: this one may take long
		d.deliver(w)
	}
}

// deliver calls w's handler with all that waits for it. mu is held, but not during
// a call.
func (d *dispatcher) deliver(w *Watch) {
	m := &w.mailbox
	for {
		e, ok := m.events.Pop()
		if !ok {
			m.events.Clear()
			m.added, m.merged, m.active = 0, 0, false
			return
		}
		d.mu.Unlock()
		began := time.Now()
		w.handle(e)
		if took := time.Since(began); took > slowCall {
			d.logger.LogAttrs(context.Background(), slog.LevelWarn, "presence: slow Watch handler",
				slog.String("topic", e.Topic), slog.Duration("duration", took))
		}
		d.mu.Lock()
		d.waiting--
	}
}

// stop makes no call begin any more.
func (d *dispatcher) stop(w *Watch) {
	d.mu.Lock()
	defer d.mu.Unlock()
	m := &w.mailbox
	d.waiting -= m.events.Len()
	m.events.Clear()
	m.stopped = true
}

// undelivered returns how many events wait, with those that are handled now.
func (d *dispatcher) undelivered() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.waiting
}

// merge makes as few events as possible of those that wait. mu is held.
func (d *dispatcher) merge(m *mailbox) {
	byTopic := map[string][]Event{}
	var topics []string // in the order in which they come first
	d.waiting -= m.events.Len()
	for e, ok := m.events.Pop(); ok; e, ok = m.events.Pop() {
		if byTopic[e.Topic] == nil {
			topics = append(topics, e.Topic)
		}
		byTopic[e.Topic] = append(byTopic[e.Topic], e)
	}
	// That of all topics comes behind them.
	if i := slices.Index(topics, everything); i >= 0 {
		topics = append(slices.Delete(topics, i, i+1), everything)
	}
	for _, topic := range topics {
		for _, e := range mergeEvents(byTopic[topic]) {
			m.events.Push(e)
		}
	}
	m.added, m.merged = 0, int32(m.events.Len())
	d.waiting += m.events.Len()
}

// mergeEvents merges the events of one topic. The first stays where it has a state,
// since a watch begins with one, and so does the last state; what changed before and
// after that is one event each.
func mergeEvents(events []Event) []Event {
	last := len(events) - 1
	for last > 0 && events[last].State == nil {
		last--
	}
	var merged []Event
	if events[0].State != nil {
		merged, events, last = append(merged, events[0]), events[1:], last-1
	}
	if last >= 0 && len(events) > 0 && events[last].State != nil {
		merged = append(appendMerged(merged, events[:last]), events[last])
		events = events[last+1:]
	}
	return appendMerged(merged, events)
}

// appendMerged appends one event for all of events, if there are any.
func appendMerged(list, events []Event) []Event {
	if len(events) == 0 {
		return list
	}
	e := events[len(events)-1]
	e.State, e.Diff = nil, mergeDiffs(events)
	return append(list, e)
}

// mergeDiffs returns the net diff of events, in halves: each change is looked at as
// often as their number can be halved.
func mergeDiffs(events []Event) Diff {
	if len(events) == 1 {
		return events[0].Diff
	}
	half := len(events) / 2
	return mergeDiffs(events[:half]).Merge(mergeDiffs(events[half:]))
}
