package bustest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/bus"
)

// waitLimit bounds every wait for something that must happen.
const waitLimit = 20 * time.Second

// Options are what a check needs of its network.
type Options struct {
	// QueueBytes is the limit of the queue of each Conn, in bytes; a bus may count a
	// constant for each message. Zero: the bus's default, which must be at least 1 MiB.
	QueueBytes int
}

// A Network is what one check runs on.
type Network struct {
	// Bus attaches one more bus, whose link is up. It closes the bus with the test.
	Bus func() bus.Bus

	// Disconnect takes the link of one bus down and Reconnect brings it up again. Neither
	// needs to wait for that. If Disconnect is nil, the checks of links are skipped.
	Disconnect, Reconnect func(bus.Bus)
}

// Run checks each promise of package bus as a subtest of t. It calls start for a network
// for each of them.
func Run(t *testing.T, start func(t testing.TB, o Options) Network) {
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.on(t, start) })
	}
}

// A check is one promise.
type check struct {
	name string
	run  func(r *rig)
	Options
}

var checks = []check{
	{name: "a message reaches the subscribers on its lane and its sender", run: messagesReachSubscribers},
	{name: "messages of one sender arrive in order across destinations", run: orderHolds},
	{name: "no character of a destination is a wildcard", run: nothingIsAWildcard},
	{name: "data belongs to its receiver", run: dataBelongsToItsReceiver},
	{name: "subscribing and unsubscribing are idempotent", run: subscribingIsIdempotent},
	{name: "a class is received as a whole until it is unsubscribed", run: classesAreReceived},
	{name: "a class and a destination in it are independent", run: classesAreIndependent},
	{name: "a request without a subscriber is unreachable", run: requestsAreUnreachable},
	{name: "callbacks are called one at a time", run: callbacksAreSerial},
	{name: "Close waits for the running callback and none follows", run: closeWaits},
	{name: "a closed lane has no subscriptions and can be opened again", run: closedLanesForget},
	{name: "a lane is open once at a time", run: lanesAreOpenOnce},
	{name: "Close leaves no goroutine behind", run: closeEndsGoroutines},
	{name: "destinations have 1 to 600 bytes of UTF-8", run: destinationsAreChecked},
	{name: "messages have at most MaxPayload bytes", run: payloadsAreChecked},
	{name: "buses of a network agree on their settings", run: settingsAgree},
	{name: "an overflow is reported as lost and delays no other lane", run: overflowsAreLost, Options: Options{QueueBytes: 16 << 10}},
	{name: "a broken link is reported and nothing is sent late", run: brokenLinksAreReported},
}

// on runs the check on a network of its own.
func (c check) on(t testing.TB, start func(t testing.TB, o Options) Network) {
	running := goleak.IgnoreCurrent()
	t.Cleanup(func() { // the last
		if err := goleak.Find(running); err != nil {
			t.Errorf("goroutines are left: %v", err)
		}
	})
	c.run(&rig{t: t, net: start(t, c.Options)})
}

// A rig is what a check works with.
type rig struct {
	t     testing.TB
	net   Network
	marks int // destinations used by settle
	all   []*listener
}

// must fails the check on an error.
func (r *rig) must(err error, what string) {
	r.t.Helper()
	if err != nil {
		r.t.Fatalf("%s: unexpected error: %v", what, err)
	}
}

// mustBe fails the check unless err is target.
func (r *rig) mustBe(target, err error, what string) {
	r.t.Helper()
	if !errors.Is(err, target) {
		r.t.Fatalf("%s: error is %v, not %q", what, err, target)
	}
}

// check fails the check unless ok.
func (r *rig) check(ok bool, format string, args ...any) {
	r.t.Helper()
	if !ok {
		r.t.Fatalf(format, args...)
	}
}

// equal fails the check unless got is want.
func (r *rig) equal(want, got []string, what string) {
	r.t.Helper()
	if !slices.Equal(want, got) {
		r.t.Fatalf("%s: delivered are %s, not %s", what, list(got), list(want))
	}
}

// list prints what was recorded, shortened.
func list(entries []string) string { return fmt.Sprintf("%.1000s", fmt.Sprintf("%.100q", entries)) }
