package yield

import (
	"runtime"
	"time"
)

const (
	// tolerance is what a turn may take to come before it is said to be late: a
	// processor that is free gives it within a microsecond. With 50, 150 and 400 us
	// connecting and joining, 5,000 at once, took 22, 12 and 8% more CPU time than
	// without any pause, and a quiet room beside 10,000 who come back had p99 of 10,
	// 16 and 20 ms.
	tolerance = 100 * time.Microsecond
	// longest bounds the pause. A goroutine may have to wait longer than this for
	// what has nothing to do with others: a stopped process.
	longest = 20 * time.Millisecond
)

// ToOthers goes behind the goroutines that can run (Go sees to it that nobody waits
// for ever: once in a while it is called sooner). If that takes longer than 100 us
// they are many, and it leaves the processors to them for as long again, 20 ms at
// most: so it halves, at worst, what the caller gets done.
//
// Call it without locks. On a processor that is free it takes some 200 ns. In a
// synctest bubble it never pauses: there, no time passes while anything can run.
func ToOthers() {
	began := time.Now()
	runtime.Gosched()
	if d := pause(time.Since(began)); d > 0 {
		time.Sleep(d)
	}
}

// pause is how long to leave the processors to others, when it took so long to get
// one.
func pause(took time.Duration) time.Duration {
	if took <= tolerance {
		return 0
	}
	return min(took, longest)
}
