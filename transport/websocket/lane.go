package websocket

// laneID says which of the writers' lanes an outbox waits in.
type laneID uint8

const (
	laneNone    laneID = iota // it does not wait for the writers
	lanePrompt                // something in it need not wait for others
	lanePatient               // all that waits in it are patient frames
)

// A lane is a queue of outboxes, in the order of coming.
type lane struct {
	ready []*outbox // from next on
	next  int
}

// keepReady is the most outboxes that an empty lane keeps room for.
const keepReady = 1 << 14

func (l *lane) len() int { return len(l.ready) - l.next }

func (l *lane) put(o *outbox) {
	if len(l.ready) == cap(l.ready) && l.next > len(l.ready)/2 {
		n := copy(l.ready, l.ready[l.next:])
		clear(l.ready[n:])
		l.ready, l.next = l.ready[:n], 0
	}
	l.ready = append(l.ready, o)
}

// take moves outboxes to mine, as many as there are and as it has room for.
func (l *lane) take(mine []*outbox) int {
	n := copy(mine, l.ready[l.next:])
	clear(l.ready[l.next : l.next+n])
	l.next += n
	if l.next == len(l.ready) {
		l.ready, l.next = l.ready[:0], 0
		if cap(l.ready) > keepReady {
			l.ready = nil
		}
	}
	return n
}
