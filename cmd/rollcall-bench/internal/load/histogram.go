package load

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// Values keep subBits bits after the leading one, so a bucket's width is at most
// 1/128 of its lower bound. Values below 2^(subBits+1) ns are exact.
const (
	subBits    = 7
	subBuckets = 1 << subBits
	// maxExponent bounds values: 2^42 ns is 73 minutes.
	maxExponent = 42
	buckets     = (maxExponent - subBits + 1) * subBuckets
)

// Histogram counts durations in buckets whose width grows with the value. The zero
// value is empty. Its methods may be called concurrently; a read may miss
// concurrent calls of Record.
type Histogram struct {
	counts [buckets]atomic.Uint64
}

// Record counts d. A negative d counts as 0, and one of more than 73 minutes as the
// largest value.
func (h *Histogram) Record(d time.Duration) { h.counts[bucketOf(d)].Add(1) }

func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	if v < subBuckets {
		return int(v)
	}
	exponent := bits.Len64(v) - 1
	if exponent >= maxExponent {
		return buckets - 1
	}
	shift := exponent - subBits
	return (shift+1)*subBuckets + int(v>>shift) - subBuckets
}

// upperBound returns the largest duration of a bucket.
func upperBound(bucket int) time.Duration {
	if bucket < subBuckets {
		return time.Duration(bucket)
	}
	shift := bucket/subBuckets - 1
	return time.Duration(uint64(bucket%subBuckets+subBuckets+1)<<shift - 1)
}

// Count returns the number of recorded durations.
func (h *Histogram) Count() uint64 {
	var n uint64
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// Percentile returns the p-th percentile, for p from 0 to 100, at most 0.8% too
// high. It returns 0 if nothing was recorded.
func (h *Histogram) Percentile(p float64) time.Duration {
	total := h.Count()
	if total == 0 {
		return 0
	}
	rank := max(1, uint64(math.Ceil(float64(total)*p/100)))
	var n uint64
	for i := range h.counts {
		if n += h.counts[i].Load(); n >= rank {
			return upperBound(i)
		}
	}
	return upperBound(buckets - 1)
}
