package crdt

import (
	"fmt"
	"testing"
)

// BenchmarkApply merges a delta of 20 changes (10 updates) into views of
// several sizes: the cost must be that of the changes.
func BenchmarkApply(b *testing.B) {
	for _, rows := range []int{10_000, 100_000, 500_000} {
		b.Run(fmt.Sprintf("rows=%d", rows), func(b *testing.B) {
			o := NewOwner[string, int](0, 1024)
			for n := 1; n <= rows; n++ {
				o.Add(uint64(n), "key", n)
			}
			all, _ := o.Flush()
			var v view
			v.Apply(all)
			n := uint64(rows)
			dots := make([]uint64, 0, rows)
			for e := range o.All() {
				dots = append(dots, e.Dot)
			}
			next := 0
			deltas := make([]delta, 0, 1024)
			b.ReportAllocs()
			b.ResetTimer()
			for i := 0; i < b.N; i++ {
				if i%cap(deltas) == 0 {
					b.StopTimer()
					deltas = deltas[:0]
					for range cap(deltas) {
						for range 10 {
							// A stride that is prime to every size spreads the updates.
							next = (next + 7919) % rows
							n++
							o.Replace(n, dots[next], int(n))
							dots[next] = n
						}
						d, _ := o.Flush()
						deltas = append(deltas, d)
					}
					b.StartTimer()
				}
				if _, outcome := v.Apply(deltas[i%cap(deltas)]); outcome != Applied {
					b.Fatal(outcome)
				}
			}
		})
	}
}

// BenchmarkSnapshot merges a snapshot of 100,000 rows into an empty view.
func BenchmarkSnapshot(b *testing.B) {
	o := NewOwner[string, int](0, 1024)
	for n := 1; n <= 100_000; n++ {
		o.Add(uint64(n), "key", n)
	}
	o.Flush()
	snapshot := o.Since(0, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		var v view
		v.Apply(snapshot)
	}
}
