package channeltest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/channel"
)

// Timeout is how long an Await waits, unless Within says otherwise. In a bubble
// it is virtual.
const Timeout = 5 * time.Second

// inbox holds what came, until the test takes it.
type inbox struct {
	// static after newInbox
	t        testing.TB
	endpoint *channel.Endpoint

	mu       sync.Mutex
	changed  chan struct{} // closed at the next change
	messages []message
	taken    []message // the latest
}

// maxTaken is how many of the messages that were taken are told of in a failure.
const maxTaken = 10

func newInbox(t testing.TB, e *channel.Endpoint) *inbox {
	return &inbox{t: t, endpoint: e, changed: make(chan struct{})}
}

// change does something with mu held, and wakes who waits.
func (in *inbox) change(f func()) {
	in.mu.Lock()
	defer in.mu.Unlock()
	f()
	close(in.changed)
	in.changed = make(chan struct{})
}

func (in *inbox) put(m message) { in.change(func() { in.messages = append(in.messages, m) }) }

// take awaits the first message that is wanted, and takes it out.
func (in *inbox) take(timeout time.Duration, w wanted) (taken message) {
	in.t.Helper()
	in.await(timeout, w.String(), func() bool {
		i := slices.IndexFunc(in.messages, w.is)
		if i < 0 {
			return false
		}
		taken = in.messages[i]
		in.messages = slices.Delete(in.messages, i, i+1)
		in.taken = append(in.taken[max(0, len(in.taken)+1-maxTaken):], taken)
		return true
	})
	return taken
}

// await waits until there is what done, which is called with mu held, looks for.
func (in *inbox) await(timeout time.Duration, what string, done func() bool) {
	in.t.Helper()
	late := time.NewTimer(timeout)
	defer late.Stop()
	for {
		ok, changed := in.look(done)
		if ok {
			return
		}
		select {
		case <-changed:
		case <-late.C:
			in.t.Fatalf("channeltest: no %s within %v%s", what, timeout, in.describe())
		}
	}
}

// look calls done with mu held, also where it does not return.
func (in *inbox) look(done func() bool) (ok bool, changed <-chan struct{}) {
	in.mu.Lock()
	defer in.mu.Unlock()
	return done(), in.changed
}

// refute fails if a message is not wanted, when all that was caused has come.
func (in *inbox) refute(timeout time.Duration, w wanted) {
	in.t.Helper()
	quiet(in.t, in.endpoint, timeout)
	in.mu.Lock()
	defer in.mu.Unlock()
	if i := slices.IndexFunc(in.messages, w.is); i >= 0 {
		in.t.Fatalf("channeltest: %s was not to come, and did:\n\t%s", w, in.messages[i])
	}
}

// describe is what there is, and what there was.
func (in *inbox) describe() string {
	in.mu.Lock()
	defer in.mu.Unlock()
	var text strings.Builder
	text.WriteString("; there is:")
	for _, m := range in.messages {
		fmt.Fprintf(&text, "\n\t%s", m)
	}
	if len(in.messages) == 0 {
		text.WriteString(" nothing")
	}
	if len(in.taken) > 0 {
		text.WriteString("\ntaken before:")
	}
	for _, m := range in.taken {
		fmt.Fprintf(&text, "\n\t%s", m)
	}
	return text.String()
}
