package bustest

import (
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/transport/membus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A probe is the test that a check runs in: what goes wrong is recorded. Its methods may
// be called concurrently.
type probe struct {
	testing.TB

	mu       sync.Mutex
	cleanups []func()
	failed   bool
}

func (p *probe) Cleanup(f func()) { p.cleanups = append(p.cleanups, f) }
func (p *probe) Helper()          {}

func (p *probe) Errorf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failed = true
}

func (p *probe) Fatal(args ...any) { p.Fatalf("%v", args) }

func (p *probe) Fatalf(format string, args ...any) {
	p.Errorf(format, args...)
	runtime.Goexit()
}

// fails reports whether a check fails on a faulty bus. It runs in virtual time.
func fails(t *testing.T, c check, f fault) bool {
	p := &probe{TB: t}
	synctest.Test(t, func(t *testing.T) {
		ended := make(chan struct{})
		var over []func()
		go func() {
			defer close(ended)
			defer func() {
				for _, cleanup := range slices.Backward(p.cleanups) {
					cleanup()
				}
			}()
			c.on(p, func(_ testing.TB, o Options) Network {
				net := membus.New()
				if o.QueueBytes > 0 {
					net = membus.New(membus.QueueBytes(o.QueueBytes))
				}
				return Network{
					Bus: func() bus.Bus {
						b := &faulty{
							Bus: net.Bus(), fault: f, over: make(chan struct{}),
							conns: map[bus.Lane]*faultyConn{}, remembered: map[string]bool{}, turn: make(chan struct{}, 1),
						}
						over = append(over, func() {
							close(b.over)
							for _, conn := range b.opened {
								conn.Close()
							}
						})
						return b
					},
					Disconnect: func(b bus.Bus) { b.(*faulty).Bus.(*membus.Bus).Disconnect() },
					Reconnect:  func(b bus.Bus) { b.(*faulty).Bus.(*membus.Bus).Reconnect() },
				}
			})
		}()
		<-ended
		for _, f := range over {
			f()
		}
	})
	return p.failed
}

// A check that cannot fail is no check.
func TestEveryCheckFailsOnABusThatBreaksItsPromise(t *testing.T) {
	broken := map[string]bool{}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			i := slices.IndexFunc(checks, func(c check) bool { return c.name == f.check })
			require.GreaterOrEqual(t, i, 0, "there is no check %q", f.check)
			require.True(t, fails(t, checks[i], f), "%q passes", f.check)
		})
		broken[f.check] = true
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) {
			require.True(t, broken[c.name], "no fault breaks it")
			require.False(t, fails(t, c, fault{}), "it fails on a bus without a fault")
		})
	}
}
