package channel

import (
	"time"

	"github.com/rollcall-go/rollcall/internal/list"
)

// joinQueue is the joins of one route: those that run and those that wait. Topics
// take turns, and within a topic joins are served in order of arrival, so a storm in
// one room delays a join of another room by one turn. It is pure; admission guards
// it.
type joinQueue struct {
	running int // joins that count against Config.MaxJoinsRunning
	slots   int // that are held, or cool down
	waiting int
	lines   map[string]*joinLine // by topic; none is empty
	turns   list.List[joinLine]  // the next topic first
}

// joinLine is the joins of one topic that wait.
type joinLine struct {
	topic string
	joins list.List[joiner]
	turn  list.Node[joinLine] // in joinQueue.turns
}

// A joiner is a join until it no longer counts against a limit.
type joiner struct {
	member *member
	queue  *joinQueue

	// While it waits.
	late    time.Time // the end of Config.JoinWait
	line    *joinLine
	place   list.Node[joiner] // in line.joins
	arrival list.Node[joiner] // in admission.arrivals

	// While it runs.
	began time.Time
	slot  list.Node[joiner] // in admission.slots, unless its time there is over
}

// topicShare is how many of a limit of waiting joins one topic may take, so that
// a storm in one room leaves places to the others.
func topicShare(limit int) int { return (limit + 1) / 2 }

// wait puts j at the end of its topic's line. It reports false where limit is
// reached, or the topic's share of it.
func (q *joinQueue) wait(j *joiner, limit int) bool {
	topic := j.member.topic
	line := q.lines[topic]
	if q.waiting >= limit || line != nil && line.joins.Len() >= topicShare(limit) {
		return false
	}
	if line == nil {
		if q.lines == nil {
			q.lines = map[string]*joinLine{}
		}
		line = &joinLine{topic: topic}
		q.lines[topic] = line
		q.turns.Push(line, &line.turn)
	}
	j.line = line
	line.joins.Push(j, &j.place)
	q.waiting++
	return true
}

// next removes and returns the first join of the topic whose turn it is, or nil. The
// topic's next turn comes after those of all others.
func (q *joinQueue) next() *joiner {
	line := q.turns.Pop()
	if line == nil {
		return nil
	}
	q.turns.Push(line, &line.turn)
	j := line.joins.Front()
	q.remove(j)
	return j
}

// remove removes a join that no longer waits.
func (q *joinQueue) remove(j *joiner) {
	line := j.line
	j.line = nil
	j.place.Remove()
	q.waiting--
	if line.joins.Len() == 0 {
		line.turn.Remove()
		delete(q.lines, line.topic)
	}
}

// idle reports whether nothing of the route runs, waits or cools down.
func (q *joinQueue) idle() bool { return q.running == 0 && q.waiting == 0 && q.slots == 0 }
