package replica

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// pair is two replicas that know each other, in virtual time and without a bus
// between them.
type pair struct {
	eu, us     *Replica
	now        time.Time
	subscribed [2]map[string]bool     // what eu and us are subscribed to
	held       func(data []byte) bool // see newPair
}

// newPair makes a pair. A message to us for which held returns true is held's
// business, and not delivered; nil takes none.
func newPair(b testing.TB, held func(data []byte) bool) *pair {
	p := &pair{held: held, subscribed: [2]map[string]bool{{}, {}}}
	many := func(c *Config) { c.MaxTopicPresences = 1 << 30 }
	p.eu, p.now = makeTestReplica("eu", many)
	p.us, _ = makeTestReplica("us", many)
	p.pass(time.Second)
	require.Len(b, p.us.Peers(), 1)
	return p
}

// pass lets time pass, with all that falls due in it.
func (p *pair) pass(d time.Duration) {
	for end := p.now.Add(d); ; {
		p.exchange()
		next := end
		for _, r := range []*Replica{p.eu, p.us} {
			if at := r.Ready().Deadline; at.Before(next) {
				next = at
			}
		}
		if p.now = next; !p.now.Before(end) {
			return
		}
		p.eu.Tick(p.now)
		p.us.Tick(p.now)
	}
}

// exchange delivers messages until there are none.
func (p *pair) exchange() {
	for replicas, busy := [2]*Replica{p.eu, p.us}, true; busy; {
		busy = false
		for i, from := range replicas {
			for _, op := range from.Ready().Ops {
				busy = true
				switch op.Kind {
				case OpSubscribe:
					p.subscribed[i][op.Dest] = true
					continue
				case OpUnsubscribe:
					delete(p.subscribed[i], op.Dest)
					continue
				}
				for j, to := range replicas {
					if p.subscribed[j][op.Dest] && (to != p.us || p.held == nil || !p.held(op.Data)) {
						to.Receive(p.now, take(bytes.Clone(op.Data)))
					}
				}
			}
		}
	}
}

// presentMeta is the meta of everybody in these benchmarks.
var presentMeta = []byte(`{"color":"red","name":"somebody","status":"available","n":123456}`)

func topicOf(n int) string { return fmt.Sprint("room:", n) }

// fill tracks presences on r, in topics of room each, so many at a time, and has
// the other one told of each batch.
func (p *pair) fill(b *testing.B, r *Replica, presences, room, batch int) {
	for topic := range presences / room {
		name := topicOf(topic)
		require.NoError(b, r.Acquire(p.now, name, false))
		for i := range room {
			if _, err := r.Track(p.now, name, fmt.Sprintf("user %07d", i), presentMeta); err != nil {
				b.Fatal(err)
			}
			switch {
			case i == room-1:
				p.exchange()
			case (i+1)%batch == 0:
				p.pass(r.cfg.FlushInterval)
			}
		}
	}
}

// read makes a list of a topic, and keeps it.
func read(r *Replica, topic string) {
	list := everybody(r.Read(topic).Joined)
	r.Keep(topic, list, len(list))
}

// BenchmarkDown hides the presences of a replica that is down, in topics of 1,000,
// and makes the diffs for those who watch; where nobody does, the rows are not
// looked at. hide-ns/op is what of it is not about making diffs: the replica's state
// changes, and the rows that leave are listed for the diffs.
func BenchmarkDown(b *testing.B) {
	for _, size := range []struct {
		rows    int
		watched bool
	}{{10_000, false}, {100_000, false}, {10_000, true}, {100_000, true}} {
		b.Run(fmt.Sprintf("rows=%d/watched=%v", size.rows, size.watched), func(b *testing.B) {
			const room = 1000
			rows, told := size.rows, 0
			p := newPair(b, nil)
			p.fill(b, p.eu, rows, room, room)
			for topic := range rows / room {
				require.NoError(b, p.us.Acquire(p.now, topicOf(topic), size.watched))
				if size.watched {
					read(p.us, topicOf(topic)) // as a watcher does first
					told = rows
				}
			}
			p.pass(time.Second)
			eu := p.us.byName[0]
			require.Equal(b, rows, eu.entries)
			var hiding time.Duration
			show := func(up bool) {
				began := time.Now()
				p.us.show(eu, up, "")
				if !up {
					hiding += time.Since(began)
				}
				left := 0
				for _, e := range p.us.Ready().Events {
					left += len(everybody(e.Left))
				}
				if up && left != 0 || !up && left != told {
					b.Fatal(left)
				}
			}
			b.ReportAllocs()
			for b.Loop() {
				show(false)
				b.StopTimer()
				show(true)
				b.StartTimer()
			}
			b.ReportMetric(float64(hiding.Nanoseconds())/float64(b.N), "hide-ns/op")
		})
	}
}

// BenchmarkFirstAnswer takes another replica's whole answer about 100,000
// presences, in 100 topics in which there are as many of our own.
func BenchmarkFirstAnswer(b *testing.B) {
	const rows, room = 100_000, 1000
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		var p *pair
		p = newPair(b, func(data []byte) bool {
			if kind(data[3]) != kindReply {
				return false
			}
			b.StartTimer()
			p.us.Receive(p.now, take(data))
			b.StopTimer()
			return true
		})
		p.fill(b, p.eu, rows, room, room)
		p.fill(b, p.us, rows, room, room)
		require.Less(b, p.us.byName[0].entries, rows)
		p.pass(5 * time.Second) // answers have a pace
		require.Equal(b, rows, p.us.byName[0].entries)
		b.StartTimer()
	}
}
