package presence

import (
	"fmt"
	"slices"
	"sync/atomic"
	"time"
)

// Watch is the handle of one watcher.
type Watch struct {
	// static
	tracker *Tracker
	topic   string
	handle  func(Event)

	stopped atomic.Bool
}

// Watch calls handle with everyone present in topic (Event.State), then with
// every later change: no diff is missed, none comes twice, so that folding them
// over the state always gives the list. The state may be incomplete; an event
// with Complete set tells when it is no longer.
//
// handle is called from one goroutine, one call at a time over all watchers of
// the tracker, and must not block. It may call every method but Tracker.Close.
// Errors: ErrTopicInvalid, ErrTooManyTopics, ErrClosed.
func (t *Tracker) Watch(topic string, handle func(Event)) (*Watch, error) {
	if err := checkTopic(topic); err != nil {
		return nil, fmt.Errorf("watch %q: %w", topic, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, fmt.Errorf("watch %q: %w", topic, ErrClosed)
	}
	if err := t.replica.Acquire(time.Now(), topic, true); err != nil {
		return nil, fmt.Errorf("watch %q: %w", topic, err)
	}
	t.collect()
	w := &Watch{tracker: t, topic: topic, handle: handle}
	t.watches[topic] = append(t.watches[topic], w)
	w.state()
	return w, nil
}

// state queues an event with the state as it is now. The tracker's mu is held.
func (w *Watch) state() {
	list := w.tracker.replica.List(w.topic)
	w.tracker.deliveries = append(w.tracker.deliveries, delivery{w, Event{Topic: w.topic, State: list, Complete: list.Complete}})
	signal(w.tracker.wakeRun)
}

// Refresh asks for one more event with State, in order with the diffs: those
// before it are in the state, those after it are not. It does nothing after
// Stop.
func (w *Watch) Refresh() {
	w.tracker.mu.Lock()
	defer w.tracker.mu.Unlock()
	if !w.stopped.Load() && !w.tracker.closed {
		w.state()
	}
}

// Stop ends the watch: no call of the handler begins after it returned. It does
// not wait for one that runs. It may be called more than once.
func (w *Watch) Stop() {
	if w.stopped.Swap(true) {
		return
	}
	t := w.tracker
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.watches[w.topic]
	if i := slices.Index(list, w); i >= 0 {
		// A new slice: collect may be handing out the old one's events.
		list = slices.Concat(list[:i], list[i+1:])
	}
	if len(list) == 0 {
		delete(t.watches, w.topic)
	} else {
		t.watches[w.topic] = list
	}
	t.replica.Release(time.Now(), w.topic, true)
	t.collect()
}

func (w *Watch) deliver(e Event) {
	if !w.stopped.Load() {
		w.handle(e)
	}
}
