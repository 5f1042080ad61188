package channel

import "time"

// joinQueue is the joins of one route: those that run, and those that wait. Topics
// take turns, and of one topic who came first is first: a storm in one room costs
// a join of another room one turn. It is pure; admission guards it.
type joinQueue struct {
	route   *Route
	running int
	fresh   int // of those that run
	waiting int
	lines   map[string]*joinLine // by topic; none is empty
	order   chain[joinLine]      // whose turn is when
}

// joinLine is the joins of one topic that wait.
type joinLine struct {
	topic   string
	waiters chain[joiner]
	place   link[joinLine] // in joinQueue.order
}

// joiner is a join until it counts no longer. It has all that waiting needs, so
// that nothing is allocated where admission's lock is held (but what a map of
// lines grows by). It costs some 250 bytes, and the join itself some 800.
type joiner struct {
	member *member // while it waits, and until it is released
	queue  *joinQueue
	state  freshState
	among  link[joiner] // while it waits in arrivals, then to be released, then in a freshness

	late  time.Time // when it has waited too long
	line  *joinLine // where it waits
	place link[joiner]
	own   joinLine // is the line of its topic where there was none, also when it has left it

	since time.Time // when it became fresh, or settled

	expects bool // it waits for a heavy state
}

// freshState is why a join that runs counts as fresh.
type freshState uint8

const (
	notFresh  freshState = iota
	givesWay             // it has not begun
	isFresh              // since then
	isSettled            // since then it waits for nothing but its heavy state
)

func newJoiner(m *member) *joiner {
	j := &joiner{member: m}
	j.among.of, j.place.of, j.own.place.of = j, j, &j.own
	return j
}

// hurries tells whether j, which had to wait for its turn, has waited for longer
// than a fifth of the wait after which it would have been refused.
func (j *joiner) hurries(now time.Time, wait time.Duration) bool {
	return j.late.Sub(now) < wait-wait/5
}

// topicShare is how many of a limit of waiting joins one topic may take, so that
// a storm in one room leaves places to the others.
func topicShare(limit int) int { return (limit + 1) / 2 }

// wait puts j at the end of its topic's line. It is false where limit is reached,
// or the topic's share of it.
func (q *joinQueue) wait(j *joiner, limit int) bool {
	topic := j.member.topic
	line := q.lines[topic]
	if q.waiting >= limit || line != nil && line.waiters.n >= topicShare(limit) {
		return false
	}
	j.queue = q
	if line == nil {
		line = &j.own
		line.topic = topic
		q.order.push(&line.place)
		if q.lines == nil {
			q.lines = map[string]*joinLine{}
		}
		q.lines[topic] = line
	}
	j.line = line
	line.waiters.push(&j.place)
	q.waiting++
	return true
}

// may tells whether one more join may run: of most, few of them fresh.
func (q *joinQueue) may(most, few int) bool { return q.running < most && q.fresh < few }

// next takes out who has waited longest in the topic whose turn it is; nil where
// none waits. The topic's next turn comes after those of all others.
func (q *joinQueue) next() *joiner {
	line := q.order.shift()
	if line == nil {
		return nil
	}
	q.order.push(&line.place)
	j := line.waiters.front()
	q.remove(j)
	return j
}

// remove takes out who waits no longer.
func (q *joinQueue) remove(j *joiner) {
	line := j.line
	j.line = nil
	q.waiting--
	line.waiters.remove(&j.place)
	if line.waiters.n == 0 {
		q.order.remove(&line.place)
		delete(q.lines, line.topic)
	}
}

func (q *joinQueue) idle() bool { return q.running == 0 && q.waiting == 0 }
