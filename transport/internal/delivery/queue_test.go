package delivery

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/bus"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A slowHandler writes down what it is told, and waits in each call, once blocked,
// until it is released.
type slowHandler struct {
	*Queue
	gate chan struct{} // open when closed

	mu  sync.Mutex
	log []string
}

// start returns a handler that is open, or blocked in its first call, which was the
// message "0".
func start(t *testing.T, limit int, blocked bool) *slowHandler {
	t.Helper()
	l := &slowHandler{gate: make(chan struct{})}
	if !blocked {
		close(l.gate)
	}
	add := func(s string) {
		<-l.gate
		l.mu.Lock()
		defer l.mu.Unlock()
		l.log = append(l.log, s)
	}
	l.Queue = Start(limit, true, bus.Handler{
		Message: func(data []byte) { add(string(data)) },
		Event:   func(event bus.Event, dest string) { add(strings.TrimSuffix("!"+string(event)+" "+dest, " ")) },
	})
	t.Cleanup(func() { l.Close(); l.Wait() })
	if blocked {
		require.True(t, l.Message([]byte("0")))
		synctest.Wait()
		waiting, _, _ := l.Counts()
		require.Zero(t, waiting, "it was taken")
	}
	return l
}

// told returns what the handler was told since the last call, once all is quiet.
func (l *slowHandler) told() []string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	log := l.log
	l.log = nil
	return log
}

func (l *slowHandler) waitingItems() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.items.Len()
}

func TestEverythingIsToldInTheOrderItCame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, DefaultLimit, true)
		require.True(t, l.Message([]byte("1")))
		require.True(t, l.Unreachable("x"))
		l.Missed()
		require.True(t, l.Message(nil))
		l.Link(false)
		require.True(t, l.Message([]byte("2")))
		close(l.gate)
		require.Equal(t, []string{"0", "1", "!unreachable x", "!lost", "", "!down", "2"}, l.told())
	})
}

func TestAQueueThatStartsDownDeliversDownFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		q := Start(DefaultLimit, false, bus.Handler{
			Message: func(data []byte) { told = append(told, string(data)) },
			Event:   func(event bus.Event, _ string) { told = append(told, string(event)) },
		})
		q.Message([]byte("1"))
		synctest.Wait()
		q.Close()
		q.Wait()
		require.Equal(t, []string{"down", "1"}, told)
	})
}

func TestTheLimitIsInBytesAndWhatDoesNotFitIsLostOnceInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, 3*(Overhead+1), true)
		require.True(t, l.Message([]byte("1")))
		require.True(t, l.Unreachable("2"))
		require.False(t, l.Message([]byte("33")), "one byte too many")
		require.True(t, l.Message([]byte("4")), "it fits, behind the mark")
		require.False(t, l.Message(nil))
		require.False(t, l.Unreachable("5"))
		l.Missed()
		waiting, dropped, told := l.Counts()
		require.Equal(t, 3*(Overhead+1), waiting)
		require.EqualValues(t, 3, dropped)
		require.Zero(t, told)
		close(l.gate)
		require.Equal(t, []string{"0", "1", "!unreachable 2", "!lost", "4"}, l.told())
		waiting, dropped, told = l.Counts()
		require.Zero(t, waiting)
		require.EqualValues(t, 3, dropped)
		require.EqualValues(t, 1, told)
		require.True(t, l.Message([]byte("6")), "there is room again")
		l.Missed()
		require.Equal(t, []string{"6", "!lost"}, l.told(), "and another lost")
	})
}

func TestAHandlerIsToldTheOutcomeOfChangesOfTheLink(t *testing.T) {
	many := make([]bool, 2000)
	for i := range many {
		many[i] = i%2 == 1
	}
	tests := []struct {
		name       string
		knowsDown  bool
		changes    []bool
		want       []string
		wantedLost uint64
	}{
		{"down", false, []bool{false}, []string{"!down"}, 0},
		{"down and up", false, []bool{false, true}, []string{"!down", "!up", "!lost"}, 1},
		{"many times, in the end up", false, many, []string{"!down", "!up", "!lost"}, 1},
		{"many times, in the end down", false, append(many[:len(many):len(many)], false), []string{"!down"}, 0},
		{"up, which it knows", false, []bool{true}, nil, 0},
		{"knows down: up", true, []bool{true}, []string{"!up", "!lost"}, 1},
		{"knows down: up and down", true, []bool{true, false}, nil, 0},
		{"knows down: up, down and up", true, []bool{true, false, true}, []string{"!up", "!lost"}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := start(t, DefaultLimit, false)
				if tt.knowsDown {
					l.Link(false)
					require.Equal(t, []string{"!down"}, l.told())
				}
				l.gate = make(chan struct{})
				l.Message([]byte("0"))
				synctest.Wait()
				for _, up := range tt.changes {
					l.Link(up)
					require.Equal(t, 1, l.waitingItems(), "bounded")
				}
				close(l.gate)
				require.Equal(t, append([]string{"0"}, tt.want...), l.told())
				_, _, told := l.Counts()
				require.Equal(t, tt.wantedLost, told)
			})
		})
	}
}

func TestCloseDropsWhatWaitsAndWaitWaitsForTheRunningCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := start(t, DefaultLimit, true)
		l.Message([]byte("1"))
		l.Link(false)
		l.Close()
		l.Close()
		ended := make(chan struct{})
		go func() { l.Wait(); close(ended) }()
		synctest.Wait()
		select {
		case <-ended:
			t.Fatal("Wait did not wait")
		default:
		}
		l.Message([]byte("2"))
		l.Unreachable("x")
		l.Missed()
		l.Link(true)
		require.Zero(t, l.waitingItems(), "a closed queue keeps nothing")
		close(l.gate)
		<-ended
		require.Equal(t, []string{"0"}, l.told())
	})
}

func TestCloseBetweenTheEventsOfOneMarkEndsThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var q *Queue
		var told []bus.Event
		made := make(chan struct{})
		q = Start(DefaultLimit, true, bus.Handler{
			Message: func([]byte) { <-made },
			Event: func(event bus.Event, _ string) {
				told = append(told, event)
				q.Close()
			},
		})
		q.Message(nil)
		q.Link(false)
		q.Link(true)
		close(made)
		q.Wait()
		require.Equal(t, []bus.Event{bus.Down}, told)
	})
}

func TestTheOrderHoldsWhileSendersAndTheHandlerRace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const senders, messages = 8, 500
		l := start(t, DefaultLimit, false)
		var wg sync.WaitGroup
		for s := range senders {
			wg.Go(func() {
				for m := range messages {
					l.Message(fmt.Appendf(nil, "%d %d", s, m))
				}
			})
		}
		wg.Wait()
		var next [senders]int
		for _, line := range l.told() {
			var s, m int
			_, err := fmt.Sscanf(line, "%d %d", &s, &m)
			require.NoError(t, err)
			require.Equal(t, next[s], m, "sender %d", s)
			next[s]++
		}
		for s := range senders {
			require.Equal(t, messages, next[s])
		}
		l.Queue.mu.Lock()
		defer l.Queue.mu.Unlock()
		require.Zero(t, l.bytes)
	})
}

func TestEventsAreIgnoredWithoutAFunctionForThem(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		q := Start(DefaultLimit, false, bus.Handler{Message: func(data []byte) { told = append(told, string(data)) }})
		q.Unreachable("x")
		q.Missed()
		q.Message([]byte("1"))
		synctest.Wait()
		q.Close()
		q.Wait()
		require.Equal(t, []string{"1"}, told)
	})
}
