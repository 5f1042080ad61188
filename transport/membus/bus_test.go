package membus

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/internal/lane"
)

var _ presence.Bus = (*Bus)(nil)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A recorder is a lane's user: it writes down what it is told. Between block
// and unblock its callbacks wait.
type recorder struct {
	mu   sync.Mutex
	log  []string
	gate chan struct{} // nil: open
}

func (r *recorder) add(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if gate := r.gate; gate != nil {
		r.mu.Unlock()
		<-gate
		r.mu.Lock()
	}
	r.log = append(r.log, s)
}

func (r *recorder) block() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.gate = make(chan struct{})
}

func (r *recorder) unblock() {
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.gate)
	r.gate = nil
}

func (r *recorder) receive(data []byte)      { r.add(string(data)) }
func (r *recorder) event(event, dest string) { r.add(strings.TrimSuffix("!"+event+" "+dest, " ")) }

// told returns what it was told since the last call, once all is quiet.
func (r *recorder) told() []string {
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	log := r.log
	r.log = nil
	return log
}

func open(t *testing.T, b *Bus, name byte, dests ...string) *recorder {
	t.Helper()
	r := new(recorder)
	stop, err := b.Listen(name, r.receive, r.event)
	require.NoError(t, err)
	t.Cleanup(stop)
	for _, dest := range dests {
		require.NoError(t, b.Subscribe(name, dest))
	}
	return r
}

func publish(t *testing.T, b *Bus, name byte, dest string, messages ...string) {
	t.Helper()
	for _, m := range messages {
		require.NoError(t, b.Publish(name, dest, []byte(m)))
	}
}

func TestMessagesReachSubscribersOfTheLaneAndThePublisherItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := New()
		a, b, c := net.Bus(), net.Bus(), net.Bus()
		ra, rb := open(t, a, 'p', "x", "y"), open(t, b, 'p', "x")
		other, rc := open(t, b, 'c', "x"), open(t, c, 'p', "z")
		publish(t, a, 'p', "x", "1")
		publish(t, c, 'p', "y", "2")
		publish(t, a, 'p', "x", "3")
		require.Equal(t, []string{"1", "2", "3"}, ra.told(), "echo, and one order across destinations")
		require.Equal(t, []string{"1", "3"}, rb.told())
		require.Empty(t, other.told(), "another lane")
		require.Empty(t, rc.told())
	})
}

func TestNothingInADestinationIsAWildcard(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := New()
		a, b := net.Bus(), net.Bus()
		r := open(t, a, 'p', "t:*", "t:>", "*", ">")
		publish(t, b, 'p', "t:x", "no")
		publish(t, b, 'p', "t:*", "yes")
		require.Equal(t, []string{"yes"}, r.told())
	})
}

func TestAllOfAClassIsReceivedUntilItIsNotWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := New()
		a, b := net.Bus(), net.Bus()
		r, other := open(t, a, 'p'), open(t, a, 'c')
		require.NoError(t, a.SubscribeAll('p', "t"))
		require.NoError(t, a.SubscribeAll('p', "t"), "a second time")
		publish(t, b, 'p', "t:x", "1")
		publish(t, b, 'p', "t:", "2")
		publish(t, b, 'p', "r:x", "another class")
		publish(t, b, 'p', "t", "no class")
		publish(t, b, 'c', "t:x", "another lane")
		require.Equal(t, []string{"1", "2"}, r.told())
		require.Empty(t, other.told())
		require.NoError(t, a.UnsubscribeAll('p', "t"))
		require.NoError(t, a.UnsubscribeAll('p', "t"), "a second time")
		publish(t, b, 'p', "t:x", "late")
		require.Empty(t, r.told())
		require.Empty(t, a.lanes['p'].dests)
		require.ErrorIs(t, a.SubscribeAll('q', "t"), ErrLaneClosed)
		require.ErrorIs(t, a.SubscribeAll('p', ""), ErrDest)
		require.ErrorIs(t, a.UnsubscribeAll('p', ""), ErrDest)
		require.Empty(t, a.Settings())
	})
}

func TestSubscribeAndUnsubscribeAreIdempotent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := New()
		a := net.Bus()
		r := open(t, a, 'p', "x", "x")
		publish(t, a, 'p', "x", "once")
		require.Equal(t, []string{"once"}, r.told())
		require.NoError(t, a.Unsubscribe('p', "x"))
		require.NoError(t, a.Unsubscribe('p', "x"))
		require.NoError(t, a.Unsubscribe('q', "x"), "a lane that is not open")
		publish(t, a, 'p', "x", "gone")
		require.Empty(t, r.told())
		require.Empty(t, a.lanes['p'].dests)
	})
}

func TestEveryReceiverOwnsItsData(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := New()
		a, b := net.Bus(), net.Bus()
		var got [][]byte
		var mu sync.Mutex
		scribble := func(data []byte) {
			mu.Lock()
			defer mu.Unlock()
			got = append(got, bytes.Clone(data))
			clear(data)
		}
		for _, bus := range []*Bus{a, b} {
			stop, err := bus.Listen('p', scribble, func(string, string) {})
			require.NoError(t, err)
			defer stop()
			require.NoError(t, bus.Subscribe('p', "x"))
		}
		data := []byte("abc")
		require.NoError(t, a.Publish('p', "x", data))
		copy(data, "zzz")
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
		require.Equal(t, [][]byte{[]byte("abc"), []byte("abc")}, got)
	})
}

func TestRequestWithoutSubscriberIsUnreachableInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := New()
		a, b := net.Bus(), net.Bus()
		ra, rb := open(t, a, 'p', "a"), open(t, b, 'p', "b")
		publish(t, a, 'p', "a", "1")
		require.NoError(t, a.Request('p', "b", []byte("hello")))
		require.NoError(t, a.Request('p', "nobody", []byte("hello")))
		require.NoError(t, a.Request('c', "b", []byte("other lane, not open here")))
		publish(t, a, 'p', "a", "2")
		b.Disconnect()
		require.NoError(t, a.Request('p', "b", nil))
		require.NoError(t, a.Request('p', "a", []byte("to myself")))
		require.Equal(t, []string{"1", "!unreachable nobody", "2", "!unreachable b", "to myself"}, ra.told())
		require.Equal(t, []string{"hello", "!down"}, rb.told())
	})
}

func TestOverflowDropsTheNewAndTellsLostOnceInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := New(QueueBytes(3 * (lane.Overhead + 1)))
		a, b := net.Bus(), net.Bus()
		r, free := open(t, b, 'p', "x", "y"), open(t, b, 'c', "x")
		r.block()
		publish(t, a, 'p', "x", "0") // is taken from the queue, and blocks
		synctest.Wait()
		publish(t, a, 'p', "x", "1", "2", "3", "4", "5")
		publish(t, a, 'p', "y", "6")
		publish(t, a, 'c', "x", "c")
		require.Equal(t, []string{"c"}, free.told(), "the other lane goes on")
		r.unblock()
		require.Equal(t, []string{"0", "1", "2", "3", "!lost"}, r.told())
		publish(t, a, 'p', "x", "7")
		require.Equal(t, []string{"7"}, r.told())
	})
}

func TestAnUnreachableThatDoesNotFitIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := New(QueueBytes(1))
		a := net.Bus()
		r := open(t, a, 'p')
		require.NoError(t, a.Request('p', "nobody", nil))
		require.Equal(t, []string{"!lost"}, r.told())
	})
}

func TestDisconnectAndReconnect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := New()
		a, b := net.Bus(), net.Bus()
		ra, rb := open(t, a, 'p', "x"), open(t, b, 'p', "x")
		a.Disconnect()
		a.Disconnect()
		require.ErrorIs(t, a.Publish('p', "x", []byte("no")), ErrDown)
		require.ErrorIs(t, a.Request('p', "x", []byte("no")), ErrDown)
		publish(t, b, 'p', "x", "missed")
		require.NoError(t, a.Subscribe('p', "y"), "while down")
		late := open(t, a, 'c')
		require.Equal(t, []string{"!down"}, late.told())
		a.Reconnect()
		a.Reconnect()
		publish(t, b, 'p', "y", "back")
		require.Equal(t, []string{"!down", "!up", "!lost", "back"}, ra.told())
		require.Equal(t, []string{"missed"}, rb.told(), "b was never down")
		require.Equal(t, []string{"!up", "!lost"}, late.told())
	})
}

func TestASlowLaneIsToldTheOutcomeOfManyReconnects(t *testing.T) {
	tests := []struct {
		name   string
		change func(*Bus)
		want   []string
	}{
		{"ends up", func(b *Bus) {
			for range 1000 {
				b.Disconnect()
				b.Reconnect()
			}
		}, []string{"m", "!down", "!up", "!lost"}},
		{"ends down", func(b *Bus) {
			b.Disconnect()
			b.Reconnect()
			b.Disconnect()
		}, []string{"m", "!down"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := New().Bus()
				r := open(t, a, 'p', "x")
				r.block()
				publish(t, a, 'p', "x", "m")
				synctest.Wait()
				tt.change(a)
				r.unblock()
				require.Equal(t, tt.want, r.told())
			})
		})
	}
}

func TestStopWaitsForTheRunningCallAndNoneFollows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := New()
		a := net.Bus()
		running, release := make(chan struct{}), make(chan struct{})
		var calls int
		stop, err := a.Listen('p', func([]byte) {
			calls++
			close(running)
			<-release
		}, func(string, string) { t.Error("event") })
		require.NoError(t, err)
		require.NoError(t, a.Subscribe('p', "x"))
		publish(t, a, 'p', "x", "1", "2")
		require.NoError(t, a.Request('p', "nobody", nil))
		<-running
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		synctest.Wait()
		select {
		case <-stopped:
			t.Fatal("stop did not wait")
		default:
		}
		close(release)
		<-stopped
		stop() // again
		require.Equal(t, 1, calls)
		require.Empty(t, net.lanes['p'])
		require.ErrorIs(t, a.Subscribe('p', "x"), ErrLaneClosed)

		r := open(t, a, 'p')
		publish(t, a, 'p', "x", "3")
		require.Empty(t, r.told(), "a reopened lane starts without subscriptions")
	})
}

func TestWrongCallsAreErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := New(MaxPayload(4)).Bus()
		open(t, a, 'p')
		_, err := a.Listen('p', func([]byte) {}, func(string, string) {})
		require.ErrorIs(t, err, ErrLaneOpen)
		_, err = a.Listen('q', nil, func(string, string) {})
		require.ErrorIs(t, err, ErrNilCallback)
		require.ErrorIs(t, a.Subscribe('q', "x"), ErrLaneClosed)
		require.Equal(t, 4, a.MaxPayload())
		require.NoError(t, a.Publish('p', "x", []byte("1234")))
		require.ErrorIs(t, a.Publish('p', "x", []byte("12345")), ErrPayload)
		for _, dest := range []string{"", "\xff", strings.Repeat("x", MaxDest+1)} {
			require.ErrorIs(t, a.Subscribe('p', dest), ErrDest)
			require.ErrorIs(t, a.Unsubscribe('p', dest), ErrDest)
			require.ErrorIs(t, a.Publish('p', dest, nil), ErrDest)
			require.ErrorIs(t, a.Request('p', dest, nil), ErrDest)
		}
	})
}

func TestConcurrentSendersKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const senders, messages = 8, 500
		net := New()
		r := open(t, net.Bus(), 'p', "x", "y")
		var wg sync.WaitGroup
		for s := range senders {
			bus := net.Bus()
			wg.Go(func() {
				for m := range messages {
					if err := bus.Publish('p', string("xy"[m%2]), fmt.Appendf(nil, "%d %d", s, m)); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		var next [senders]int
		for _, line := range r.told() {
			var s, m int
			_, err := fmt.Sscanf(line, "%d %d", &s, &m)
			require.NoError(t, err)
			require.Equal(t, next[s], m, "sender %d", s)
			next[s]++
		}
		for s := range senders {
			require.Equal(t, messages, next[s])
		}
	})
}
