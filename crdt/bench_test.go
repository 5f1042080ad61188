package crdt

import (
	"fmt"
	"testing"
)

// deltaSource is an owner of some rows whose deltas replace rows all over them.
type deltaSource struct {
	owner *Owner[string, int]
	dots  []uint64
	n     uint64
	next  int
}

func newDeltaSource(rows int) (s *deltaSource, all delta) {
	s = &deltaSource{owner: NewOwner[string, int](0, 1024), n: uint64(rows)}
	for n := 1; n <= rows; n++ {
		s.owner.Add(uint64(n), "key", n)
		s.dots = append(s.dots, uint64(n))
	}
	all, _ = s.owner.Flush()
	return s, all
}

// delta has a number of changes, of which two make an update.
func (s *deltaSource) delta(changes int) delta {
	for range changes / 2 {
		// A stride that is prime to every size spreads the updates.
		s.next = (s.next + 7919) % len(s.dots)
		s.n++
		s.owner.Replace(s.n, s.dots[s.next], int(s.n))
		s.dots[s.next] = s.n
	}
	d, _ := s.owner.Flush()
	return d
}

// BenchmarkApply merges a delta into views of several sizes: the cost must be that
// of the changes.
func BenchmarkApply(b *testing.B) {
	for _, size := range []struct{ changes, rows int }{
		{20, 10_000}, {20, 100_000}, {20, 500_000},
		{100, 20_000}, {100, 50_000}, {100, 200_000},
	} {
		b.Run(fmt.Sprintf("changes=%d/rows=%d", size.changes, size.rows), func(b *testing.B) {
			source, all := newDeltaSource(size.rows)
			var v view
			v.Apply(all)
			var deltas []delta
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i == len(deltas) {
					b.StopTimer()
					deltas, i = deltas[:0], 0
					for range 1024 {
						deltas = append(deltas, source.delta(size.changes))
					}
					b.StartTimer()
				}
				if _, outcome := v.Apply(deltas[i]); outcome != Applied {
					b.Fatal(outcome)
				}
			}
		})
	}
}

// distinct is the snapshot of an owner of some rows, each under a key of its own.
func distinct(rows int) delta {
	o := NewOwner[string, int](0, 1024)
	for n := 1; n <= rows; n++ {
		o.Add(uint64(n), fmt.Sprintf("user %07d", n), n)
	}
	o.Flush()
	return o.Since(0, uint64(rows))
}

// BenchmarkSnapshot merges a snapshot of 100,000 rows into an empty view.
func BenchmarkSnapshot(b *testing.B) {
	snapshot := distinct(100_000)
	b.ReportAllocs()
	for b.Loop() {
		var v view
		v.Apply(snapshot)
	}
}

// BenchmarkMergeMaps merges the 100,000 rows of one replica into a map that
// holds 100,000 of another, indexed by key.
func BenchmarkMergeMaps(b *testing.B) {
	snapshot := distinct(100_000)
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		var m Map[string, string, int]
		m.Apply("eu", snapshot)
		b.StartTimer()
		m.Apply("us", snapshot)
	}
}

// BenchmarkDrop forgets a replica and its rows.
func BenchmarkDrop(b *testing.B) {
	for _, rows := range []int{10_000, 100_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			snapshot := distinct(rows)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				var m Map[string, string, int]
				m.Apply("eu", snapshot)
				b.StartTimer()
				if gone := m.Drop("eu"); len(gone.Removed) != rows {
					b.Fatal(len(gone.Removed))
				}
			}
		})
	}
}
