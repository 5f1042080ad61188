package channel

import (
	"container/list"
	"time"
)

// joinQueue is the joins of one route: those that run, and those that wait. Topics
// take turns, and of one topic who came first is first: a storm in one room costs
// a join of another room one turn. It is pure; admission guards it.
type joinQueue struct {
	running int
	waiting int
	lines   map[string]*joinLine // by topic; none is empty
	order   list.List            // of *joinLine: whose turn is when
}

// joinLine is the joins of one topic that wait.
type joinLine struct {
	topic   string
	waiters list.List     // of *waiter
	place   *list.Element // in joinQueue.order
}

// waiter is a join that waits. It costs some 300 bytes, and the join itself some
// 800; nothing where none waits.
type waiter struct {
	member  *member
	late    time.Time // when it has waited too long
	queue   *joinQueue
	line    *joinLine
	place   *list.Element // in line.waiters
	arrival *list.Element // in admission.arrivals
}

// topicShare is how many of a limit of waiting joins one topic may take, so that
// a storm in one room leaves places to the others.
func topicShare(limit int) int { return (limit + 1) / 2 }

// wait puts m at the end of its topic's line. It is nil where limit is reached,
// or the topic's share of it.
func (q *joinQueue) wait(m *member, limit int) *waiter {
	line := q.lines[m.topic]
	if q.waiting >= limit || line != nil && line.waiters.Len() >= topicShare(limit) {
		return nil
	}
	if line == nil {
		line = &joinLine{topic: m.topic}
		line.place = q.order.PushBack(line)
		if q.lines == nil {
			q.lines = map[string]*joinLine{}
		}
		q.lines[m.topic] = line
	}
	w := &waiter{member: m, queue: q, line: line}
	w.place = line.waiters.PushBack(w)
	q.waiting++
	return w
}

// next takes out who has waited longest in the topic whose turn it is; nil where
// none waits. The topic's next turn comes after those of all others.
func (q *joinQueue) next() *waiter {
	front := q.order.Front()
	if front == nil {
		return nil
	}
	line := front.Value.(*joinLine)
	w := line.waiters.Front().Value.(*waiter)
	q.order.MoveToBack(front)
	q.remove(w)
	return w
}

// remove takes out who waits no longer.
func (q *joinQueue) remove(w *waiter) {
	q.waiting--
	w.line.waiters.Remove(w.place)
	if w.line.waiters.Len() == 0 {
		q.order.Remove(w.line.place)
		delete(q.lines, w.line.topic)
	}
}

func (q *joinQueue) idle() bool { return q.running == 0 && q.waiting == 0 }
