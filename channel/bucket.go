package channel

import (
	"math"
	"time"
)

// A rate is how often something may happen: so many times a second, and so many
// at once after a pause.
type rate struct {
	each  time.Duration // the time in which one more becomes possible
	burst time.Duration // as many of those as may be taken at once
}

// newRate makes the rate of positive figures. One above a billion a second is
// none: each takes no time.
func newRate(perSecond float64, burst int) rate {
	// Some 30 years, so that sums do not overflow.
	const most = float64(1 << 60)
	each := min(float64(time.Second)/perSecond, most)
	return rate{each: time.Duration(each), burst: time.Duration(min(math.Trunc(each)*float64(burst), most))}
}

// A bucket bounds how often something happens, by a [rate]: a token bucket, kept
// as the one time at which it will be full (known as the generic cell rate
// algorithm), for every connection has some. Times count from an origin that its
// owner chooses. The zero bucket is full.
type bucket struct{ full time.Duration }

// take takes n, or all that a full bucket holds if that is less; it takes nothing
// and returns false while fewer are there.
func (b *bucket) take(now time.Duration, r rate, n int) bool {
	full := max(b.full, now) + min(time.Duration(n)*r.each, r.burst)
	if full-now > r.burst {
		return false
	}
	b.full = full
	return true
}
