package load

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

// A value has subBits significant bits after its first, so that a bucket is at
// most 1/128 wide of its lower bound. Values below 2^(subBits+1) ns are exact.
const (
	subBits    = 7
	subBuckets = 1 << subBits
	// maxExponent bounds values: 2^42 ns is 73 minutes.
	maxExponent = 42
	buckets     = (maxExponent - subBits + 1) * subBuckets
)

// Histogram counts durations in buckets whose width grows with the value. Its
// zero value is empty. Record may be called concurrently with everything else;
// what is read meanwhile may miss what is just recorded.
type Histogram struct {
	counts [buckets]atomic.Uint64
}

// Record counts d. A negative d is counted as 0, one of more than an hour as the
// largest there is.
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

// upperBound is the largest duration of a bucket.
func upperBound(bucket int) time.Duration {
	if bucket < subBuckets {
		return time.Duration(bucket)
	}
	shift := bucket/subBuckets - 1
	return time.Duration(uint64(bucket%subBuckets+subBuckets+1)<<shift - 1)
}

// Count is how many were recorded.
func (h *Histogram) Count() uint64 {
	var n uint64
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// Percentile is a duration that p percent (0 to 100) of those recorded do not
// exceed, at most 0.8% above the smallest such one. It is 0 for none.
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
