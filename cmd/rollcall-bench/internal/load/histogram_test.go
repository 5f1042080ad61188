package load

import (
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestHistogramBucketHoldsItsValuesWithinOnePart128(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := time.Duration(rapid.Int64Range(0, 1<<maxExponent-1).Draw(t, "d"))
		b := bucketOf(d)
		upper := upperBound(b)
		require.GreaterOrEqual(t, upper, d)
		require.LessOrEqual(t, float64(upper-d), float64(d)/subBuckets)
		require.Equal(t, b, bucketOf(upper), "the bound is in the bucket")
		if b < buckets-1 {
			require.Equal(t, b+1, bucketOf(upper+1), "and the last of it")
		}
	})
}

func TestHistogramClampsValuesOutOfRange(t *testing.T) {
	var h Histogram
	h.Record(-time.Second)
	require.Equal(t, time.Duration(0), h.Percentile(100))
	h.Record(1 << 62)
	require.Equal(t, time.Duration(1<<maxExponent-1), h.Percentile(100))
}

func TestHistogramPercentilesAreThoseOfTheSortedValues(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var h Histogram
	require.Zero(t, h.Percentile(50), "of none")
	var values []time.Duration
	for range 10_000 {
		d := time.Duration(random.ExpFloat64() * float64(time.Millisecond))
		values = append(values, d)
		h.Record(d)
	}
	slices.Sort(values)
	for _, test := range []struct {
		p    float64
		rank int
	}{{0, 1}, {50, 5000}, {90, 9000}, {99, 9900}, {99.9, 9990}, {100, 10_000}} {
		exact := values[test.rank-1]
		got := h.Percentile(test.p)
		require.GreaterOrEqual(t, got, exact, "p%v", test.p)
		require.LessOrEqual(t, float64(got), float64(exact)*(1+1.0/subBuckets), "p%v", test.p)
	}
}

func TestHistogramCountsConcurrentRecords(t *testing.T) {
	var h Histogram
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i := range 1000 {
				h.Record(time.Duration(i % 3))
			}
		})
	}
	all.Wait()
	require.EqualValues(t, 4000, h.Count())
}
