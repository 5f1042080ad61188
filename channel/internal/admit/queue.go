package admit

import (
	"time"

	"github.com/rollcall-go/rollcall/internal/list"
)

// queue is the joins of one key: those that run and those that wait. Topics take turns,
// and within a topic joins are served in order of arrival. It is pure.
type queue struct {
	key     any
	running int              // joins
	slots   int              // that are held, or cool down
	waiting int              // joins
	lines   map[string]*line // by topic; none is empty
	turns   list.List[line]  // the next topic first
}

// line is the joins of one topic that wait.
type line struct {
	topic string
	joins list.List[entry]
	turn  list.Node[line] // in queue.turns
}

// An entry is a join that waits or runs.
type entry struct {
	join     *Join
	releaser Releaser
	queue    *queue
	since    time.Time // since when it waits, or runs

	// while it waits
	line    *line
	place   list.Node[entry] // in line.joins
	arrival list.Node[entry] // in machine.arrivals

	// while it runs
	slot list.Node[entry] // in machine.slots, unless its time there is over
}

// set begins that e waits or runs.
func (e *entry) set(s State, now time.Time) {
	*e.join = Join{s, e}
	e.since = now
}

// leave ends that e waits or runs.
func (e *entry) leave(s State) { *e.join = Join{state: s} }

// topicShare is how many of a limit of waiting joins one topic may take, so that
// a storm in one room leaves places to the others.
func topicShare(limit int) int { return (limit + 1) / 2 }

// wait puts e at the end of its topic's line. It reports false where limit is reached, or
// the topic's share of it.
func (q *queue) wait(e *entry, topic string, limit int) bool {
	l := q.lines[topic]
	if q.waiting >= limit || l != nil && l.joins.Len() >= topicShare(limit) {
		return false
	}
	if l == nil {
		if q.lines == nil {
			q.lines = map[string]*line{}
		}
		l = &line{topic: topic}
		q.lines[topic] = l
		q.turns.Push(l, &l.turn)
	}
	e.line = l
	l.joins.Push(e, &e.place)
	q.waiting++
	return true
}

// next removes and returns the first join of the topic whose turn it is, or nil. The
// topic's next turn comes after those of all others.
func (q *queue) next() *entry {
	l := q.turns.Pop()
	if l == nil {
		return nil
	}
	q.turns.Push(l, &l.turn)
	e := l.joins.Front()
	q.remove(e)
	return e
}

// remove removes a join that no longer waits.
func (q *queue) remove(e *entry) {
	l := e.line
	e.line = nil
	e.place.Remove()
	q.waiting--
	if l.joins.Len() == 0 {
		l.turn.Remove()
		delete(q.lines, l.topic)
	}
}

// idle reports whether nothing of the queue runs, waits or cools down.
func (q *queue) idle() bool { return q.running == 0 && q.waiting == 0 && q.slots == 0 }
