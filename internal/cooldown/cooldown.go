// Package cooldown keeps a storm of clients from taking all of the processors.
//
// Handshakes, first messages and joins are limited: a few have a place at a time, the
// others wait in line. Limits alone do not keep the latency of established clients
// low. As long as the line is not empty every place is in use, Go's scheduler runs
// first what the last goroutine woke, and everything else waits, 10 ms at a time, on
// each of the four steps from a message's arrival to its delivery. So a place is given
// to the next in line only after a cooldown. What that gains is in
// docs/decisions/0001-redesign.md.
package cooldown

import "time"

// share is how many times as long as it was in use a place is left empty: a line takes
// at most a quarter of the time of its places.
const share = 3

// The bounds of a cooldown. Timers are not to be relied on below shortest, and beyond
// longest the line would hardly move where a process was stopped for some time. A use
// shorter than negligible delays nothing.
const (
	negligible = 3 * time.Microsecond
	shortest   = 50 * time.Microsecond
	longest    = 20 * time.Millisecond
)

// After returns how long a place that was in use for so long is left empty while
// others wait for it: 50 us to 20 ms, or 0 after a negligible use.
func After(used time.Duration) time.Duration {
	if used < negligible {
		return 0
	}
	return min(max(share*used, shortest), longest)
}
