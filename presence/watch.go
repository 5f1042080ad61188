package presence

import (
	"fmt"
	"slices"
	"time"

	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// Event is what a watcher is told; see [Tracker.Watch].
type Event struct {
	Topic string
	// State is set in the first event and after each Refresh: all that is
	// present at this point of the sequence of events. Diff is empty then.
	State *List
	// Diff is what changed since the event before. It is empty in an event that
	// only says that Complete changed.
	Diff Diff
	// Complete reports whether the topic is complete after this event; see List.
	Complete bool
}

func newEvent(e replica.Event) Event {
	return Event{Topic: e.Topic, Diff: Diff{Joins: group(e.Joined), Leaves: group(e.Left)}, Complete: e.Complete}
}

// Watch is the handle of one watcher.
type Watch struct {
	// static
	tracker *Tracker
	topic   string
	handle  func(Event)

	mailbox mailbox
}

// Watch calls handle with the list of topic (Event.State), then with every later
// change: no diff is missed, none comes twice, so that folding them
// over the state always gives the list. The state may be incomplete; an event
// with Complete set tells when it is no longer.
//
// handle is called one call at a time, beside the handlers of other watches, and may
// call every method but Tracker.Close. One that takes long delays nothing but its own
// events: when more than 1,000 wait, those that wait are merged into their net
// difference, and several waiting states into the last one. A call of more than a
// second is logged at the level Warn, with the attributes topic and duration.
//
// Errors: ErrTopicInvalid, ErrTooManyTopics, ErrClosed.
func (t *Tracker) Watch(topic string, handle func(Event)) (*Watch, error) {
	if err := checkTopic(topic); err != nil {
		return nil, fmt.Errorf("watch %.255q: %w", topic, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, fmt.Errorf("watch %.255q: %w", topic, ErrClosed)
	}
	if err := t.replica.Acquire(time.Now(), topic, true); err != nil {
		return nil, fmt.Errorf("watch %.255q: %w", topic, err)
	}
	t.collect()
	w := &Watch{tracker: t, topic: topic, handle: handle}
	t.watches[topic] = append(t.watches[topic], w)
	w.state()
	return w, nil
}

// everything stands for all topics where there is the name of one.
const everything = ""

// WatchAll makes this replica a mirror, which follows every topic that is used in the
// cluster, and calls handle with the list of each of them (Event.State), then with every later change, with the promises of Watch. A topic
// without an event is empty; one that is new begins with a Diff. An event without
// a Topic comes after the states, and whenever Complete changes, which is one for
// all topics: whether all replicas that are up have told all that they have.
//
// While there is a WatchAll, and for Config.Linger after the last, List, Peek, Get
// and Count know every topic. A mirror costs as much memory, and hears as much, as
// the whole cluster has; the others answer its questions and send nothing else on
// its behalf. With more than Config.MaxTopics topics it is not complete, says so
// in its log, and counts what it had no room for (Stats.Unmirrored).
//
// handle is called as that of Watch is. Error: ErrClosed.
func (t *Tracker) WatchAll(handle func(Event)) (*Watch, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, fmt.Errorf("watch all topics: %w", ErrClosed)
	}
	t.replica.AcquireAll(time.Now())
	t.collect()
	w := &Watch{tracker: t, topic: everything, handle: handle}
	t.watches[everything] = append(t.watches[everything], w)
	w.state()
	return w, nil
}

// state queues an event with the state as it is now, or one for each topic. The
// tracker's mu is held.
func (w *Watch) state() {
	t := w.tracker
	tell := func(e Event) { t.dispatcher.push(w, e) }
	if w.topic == everything {
		topics, complete := t.replica.Topics()
		for _, topic := range topics {
			list := readList(t.replica, topic)
			tell(Event{Topic: topic, State: list, Complete: list.Complete})
		}
		tell(Event{Complete: complete})
	} else {
		list := readList(t.replica, w.topic)
		tell(Event{Topic: w.topic, State: list, Complete: list.Complete})
	}
}

// Refresh asks for one more event with State, in order with the diffs: those
// before it are in the state, those after it are not. It does nothing after
// Stop or Tracker.Close.
func (w *Watch) Refresh() {
	w.tracker.mu.Lock()
	defer w.tracker.mu.Unlock()
	if slices.Contains(w.tracker.watches[w.topic], w) {
		w.state()
	}
}

// Stop ends the watch: no call of the handler begins after it returned. It does
// not wait for one that runs. It may be called more than once.
func (w *Watch) Stop() {
	t := w.tracker
	t.dispatcher.stop(w)
	t.mu.Lock()
	defer t.mu.Unlock()
	list := t.watches[w.topic]
	i := slices.Index(list, w)
	if i < 0 {
		return
	}
	list = slices.Delete(list, i, i+1)
	if len(list) == 0 {
		delete(t.watches, w.topic)
	} else {
		t.watches[w.topic] = list
	}
	if w.topic == everything {
		t.replica.ReleaseAll(time.Now())
	} else {
		t.replica.Release(time.Now(), w.topic, true)
	}
	t.collect()
}
