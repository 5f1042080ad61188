package load

import (
	"fmt"
	"math/bits"
	"math/rand/v2"
	"sync/atomic"
	"time"
)

// seen is the set of users that a client sees: a bit for each user from 0. It is
// owned by the client's reader.
type seen struct {
	set   []uint64
	count int
}

func newSeen(users int) *seen { return &seen{set: make([]uint64, (users+63)/64)} }

func (s *seen) put(user int, there bool) {
	if user/64 >= len(s.set) {
		return
	}
	word, bit := &s.set[user/64], uint64(1)<<(user%64)
	s.count -= bits.OnesCount64(*word)
	*word &^= bit
	if there {
		*word |= bit
	}
	s.count += bits.OnesCount64(*word)
}

func (s *seen) clear() {
	clear(s.set)
	s.count = 0
}

// apply applies a presence message. Users have one meta each, so a user that both
// leaves and joins in one diff is present.
func (s *seen) apply(state bool, c *change) {
	if state {
		s.clear()
	}
	for _, p := range c.leaves {
		s.put(p.user, false)
	}
	for _, p := range c.joins {
		s.put(p.user, true)
	}
}

// presenceOf parses m if it is a presence message. Otherwise c is nil.
func presenceOf(parser *sharedParser, m frame) (c *change, state bool, err error) {
	switch string(m.event) {
	case "presence_state":
		state = true
	case "presence_diff":
	default:
		return nil, false, nil
	}
	if c, err = parser.parse(state, m.payload); err != nil {
		err = fmt.Errorf("%s: %w", m.event, err)
	}
	return c, state, err
}

// scattered returns n times at a rate, each at a random offset in its slot, so that
// they do not align with a period of the server. They are the same in every run.
func scattered(began time.Time, n int, rate float64) []time.Time {
	random := rand.New(rand.NewPCG(1, 2))
	all := make([]time.Time, n)
	for i := range all {
		all[i] = began.Add(time.Duration((float64(i) + random.Float64()) / rate * float64(time.Second)))
	}
	return all
}

// moments holds the scheduled times of numbered joins and leaves, and the delays
// until clients saw them.
type moments struct {
	origin       time.Time
	joins        []atomic.Int64 // of join n, ns since origin; 0: not measured
	leaves       []atomic.Int64 // of the leave that ends join n
	joined, left Histogram
}

func newMoments(n int) *moments {
	// A second ago, so that no time is 0.
	return &moments{origin: time.Now().Add(-time.Second), joins: make([]atomic.Int64, n), leaves: make([]atomic.Int64, n)}
}

func (t *moments) joinsAt(n int64, at time.Time)  { t.joins[n].Store(int64(at.Sub(t.origin))) }
func (t *moments) leavesAt(n int64, at time.Time) { t.leaves[n].Store(int64(at.Sub(t.origin))) }

// saw records that a client has received a diff.
func (t *moments) saw(c *change) {
	now := time.Since(t.origin)
	record := func(all []present, moments []atomic.Int64, h *Histogram) {
		for _, p := range all {
			if p.n >= int64(len(moments)) {
				continue
			}
			if at := moments[p.n].Load(); at != 0 {
				h.Record(now - time.Duration(at))
			}
		}
	}
	record(c.joins, t.joins, &t.joined)
	record(c.leaves, t.leaves, &t.left)
}
