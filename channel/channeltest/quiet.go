package channeltest

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rollcall-go/rollcall/channel"
)

// quiet returns when all that was caused so far has happened: in a bubble when
// everything in it waits, else when the endpoint is idle.
func quiet(t testing.TB, e *channel.Endpoint, limit time.Duration) {
	t.Helper()
	if waited, err := wait(); err != nil {
		t.Fatalf("channeltest: %v", err)
	} else if waited {
		return
	}
	deadline := time.Now().Add(limit)
	for pause := time.Microsecond; ; pause = min(2*pause, time.Millisecond) {
		before := e.Stats()
		if before.Busy == 0 && toldOfPresences(e) && e.Stats() == before {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("channeltest: not idle within %v: %d callbacks have not returned", limit, e.Stats().Busy)
		}
		time.Sleep(pause) // something runs, which most often takes microseconds
	}
}

// wait is synctest.Wait; waited is false outside of a bubble, where that panics.
func wait() (waited bool, err error) {
	defer func() {
		v := recover()
		if v != nil && fmt.Sprint(v) != "goroutine is not in a bubble" {
			err = fmt.Errorf("wait: %v", v)
		}
	}()
	synctest.Wait()
	return true, nil
}

// toldOfPresences reports whether the tracker, if there is one, has told its watchers
// of all changes so far.
func toldOfPresences(e *channel.Endpoint) bool {
	tracker := e.Presence()
	return tracker == nil || tracker.Status().Undelivered == 0
}
