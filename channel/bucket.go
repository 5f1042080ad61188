package channel

import "time"

// A bucket bounds how often something may happen: so many times a second, and
// so many at once after a pause. The zero bucket is full.
type bucket struct {
	tokens   float64
	refilled time.Time // zero: never yet
}

// take takes one, if there is one.
func (b *bucket) take(now time.Time, rate float64, burst int) bool {
	if b.refilled.IsZero() {
		b.tokens = float64(burst)
	} else {
		b.tokens = min(b.tokens+now.Sub(b.refilled).Seconds()*rate, float64(burst))
	}
	b.refilled = now
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}
