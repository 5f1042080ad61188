package intake

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// A party is clients of an intake who want their turn.
type party struct {
	t       *testing.T
	in      *Intake
	closing chan struct{}
	turns   map[string]*Turn
	log     []string // "a in", "b refused: ..."
	gone    map[string]context.CancelFunc
	events  chan func()
}

func newParty(t *testing.T, options Options) *party {
	in, err := New(options)
	require.NoError(t, err)
	return &party{t: t, in: in, closing: make(chan struct{}), turns: map[string]*Turn{}, gone: map[string]context.CancelFunc{}, events: make(chan func(), 100)}
}

// come has clients come one after the other.
func (p *party) come(names ...string) {
	for _, name := range names {
		ctx, cancel := context.WithCancel(context.Background())
		p.gone[name] = cancel
		r := httptest.NewRequest(http.MethodGet, "/", nil).WithContext(ctx)
		go func() {
			turn, err := p.in.Wait(r, p.closing)
			p.events <- func() {
				if err != nil {
					p.log = append(p.log, fmt.Sprintf("%s refused: %v", name, err))
					return
				}
				p.turns[name] = turn
				p.log = append(p.log, name+" in")
			}
		}()
		p.settle()
	}
}

// settle takes what has happened into the log, at one moment in any order.
func (p *party) settle() {
	synctest.Wait()
	for len(p.events) > 0 {
		(<-p.events)()
	}
}

func (p *party) end(names ...string) {
	for _, name := range names {
		p.turns[name].End()
		p.settle()
	}
}

func (p *party) wants(log ...string) {
	p.t.Helper()
	p.settle()
	require.Equal(p.t, strings.Join(log, "\n"), strings.Join(p.log, "\n"))
	p.log = nil
}

func TestTurnsComeInTheOrderOfComing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, Options{MaxHandshakes: 2})
		p.come("a", "b", "c", "d", "e")
		p.wants("a in", "b in")
		require.Equal(t, Stats{Running: 2, Waiting: 3, Waited: 3}, p.in.Stats())
		p.end("b")
		p.wants("c in")
		p.end("b") // a second time frees nothing
		p.wants()
		p.end("a", "c")
		p.wants("d in", "e in")
		p.come("f")
		p.end("e", "d", "f")
		p.wants("f in")
		require.Equal(t, Stats{Waited: 4}, p.in.Stats())
	})
}

func TestWhoGoesAwayLeavesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, Options{MaxHandshakes: 1})
		p.come("a", "b", "c")
		p.gone["b"]()
		p.wants("a in", "b refused: the client has gone away")
		p.end("a")
		p.wants("c in")
		p.end("c")
		require.Equal(t, Stats{Waited: 2}, p.in.Stats())
	})
}

// Its turn comes at the moment in which the client goes away: whichever is seen
// first, the turn is not lost.
func TestATurnThatComesToNobodyGoesToTheNext(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			p := newParty(t, Options{MaxHandshakes: 1})
			p.come("a", "b", "c")
			p.gone["b"]()
			p.turns["a"].End()
			p.settle()
			if turn := p.turns["b"]; turn != nil {
				turn.End()
			}
			p.settle()
			require.NotNil(t, p.turns["c"])
			p.end("c")
			require.Zero(t, p.in.Stats().Running)
		})
	}
}

func TestRefusedWhenTooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, Options{MaxHandshakes: 1, MaxWaiting: 2})
		p.come("a", "b", "c", "d")
		p.wants("a in", "d refused: intake: too many clients are connecting, try again later (limit 2)")
		p.end("a", "b", "c")
		p.come("e")
		p.wants("b in", "c in", "e in")
		p.end("e")
		require.Equal(t, Stats{Waited: 2, Refused: 1}, p.in.Stats())
	})
}

// The turns are held for ever by those who have them, as long as patience lets
// them, so that the last of the line waits in vain.
func TestRefusedAfterHavingWaitedTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, Options{MaxHandshakes: 1, Wait: 25 * time.Millisecond})
		began := time.Now()
		p.come("a", "b", "c", "d")
		time.Sleep(25 * time.Millisecond)
		p.wants("a in", "b in", "c in", "d refused: intake: the server is too busy to let clients in, try again later (limit 25ms)")
		require.Equal(t, 25*time.Millisecond, time.Since(began))
		p.end("a", "b", "c")
		require.Equal(t, Stats{Waited: 3, Refused: 1}, p.in.Stats())
	})
}

// A handshake that waits for something costs the others 10 ms, and no more.
func TestATurnThatLastsTooLongCountsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, Options{MaxHandshakes: 2})
		p.come("a", "b", "c", "d", "e", "f", "g")
		time.Sleep(patience - 1)
		p.wants("a in", "b in")
		time.Sleep(time.Nanosecond)
		p.wants("c in", "d in")
		p.end("a", "b") // which ended by themselves
		p.wants()
		time.Sleep(patience / 2)
		p.end("c")
		p.wants("e in")
		time.Sleep(patience / 2)
		p.wants("f in")
		time.Sleep(patience / 2)
		p.wants("g in")
		p.end("d", "e", "f", "g")
		require.Equal(t, Stats{Waited: 5}, p.in.Stats())

		// While nobody waits, turns last as long as they like; then one ends when
		// somebody comes.
		p.come("h", "i")
		time.Sleep(time.Hour)
		require.Equal(t, 2, p.in.Stats().Running)
		p.come("j")
		p.wants("h in", "i in", "j in")
		p.end("h", "i", "j")
		require.Zero(t, p.in.Stats().Running)
	})
}

func TestAClosingTransportWakesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, Options{MaxHandshakes: 1})
		p.come("a", "b")
		other := *p
		other.closing = make(chan struct{}) // of another transport
		other.come("c")
		close(p.closing)
		p.settle()
		p.wants("a in", "b refused: the server is shutting down")
		p.end("a")
		other.settle()
		require.NotNil(t, other.turns["c"], "it goes on")
		other.end("c")
		require.Equal(t, Stats{Waited: 2}, p.in.Stats())
	})
}

// Time stands still in the bubble as long as one of them can run, so that no turn
// ends because of patience.
func TestNeverMoreThanTheBoundAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, most = 500, 3
		in, err := New(Options{MaxHandshakes: most})
		require.NoError(t, err)
		var inside, peak, let atomic.Int64
		for range clients {
			go func() {
				turn, err := in.Wait(httptest.NewRequest(http.MethodGet, "/", nil), nil)
				if err != nil {
					return
				}
				let.Add(1)
				for n := inside.Add(1); ; {
					if at := peak.Load(); n <= at || peak.CompareAndSwap(at, n) {
						break
					}
				}
				for range 10 {
					runtime.Gosched()
				}
				inside.Add(-1)
				turn.End()
			}()
		}
		synctest.Wait()
		require.EqualValues(t, clients, let.Load())
		require.EqualValues(t, most, peak.Load())
		require.Zero(t, in.Stats().Running+in.Stats().Waiting)
	})
}

func TestOptionsAreCheckedAllAtOnce(t *testing.T) {
	_, err := New(Options{MaxHandshakes: -1, MaxWaiting: -2, Wait: -3, MaxPerAddress: -4, MaxHTTP: -5})
	for _, fault := range []string{"MaxHandshakes: -1", "MaxWaiting: -2", "Wait: -3ns", "MaxPerAddress: -4", "MaxHTTP: -5"} {
		require.ErrorContains(t, err, "intake: "+fault+" is negative")
	}
	in, err := New(Options{})
	require.NoError(t, err)
	require.Equal(t, []any{20_000, 10 * time.Second, 0, 0}, []any{in.options.MaxWaiting, in.options.Wait, in.options.MaxPerAddress, in.options.MaxHTTP})
	require.Positive(t, in.options.MaxHandshakes)
}

// Whoever had to wait lets those go first who can run: they are not newcomers.
func TestWhoWaitedGivesWay(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	const rounds, each = 50, 10
	in, err := New(Options{MaxHandshakes: 1})
	require.NoError(t, err)
	first := 0
	for range rounds {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		blocker, err := in.Wait(r, nil)
		require.NoError(t, err)
		var others atomic.Int64
		seen := make(chan int64)
		go func() {
			turn, err := in.Wait(r, nil)
			if err != nil {
				panic(err)
			}
			seen <- others.Load()
			turn.End()
		}()
		for in.Stats().Waiting == 0 {
			runtime.Gosched()
		}
		blocker.End()
		for range each {
			go others.Add(1)
		}
		first += int(<-seen)
	}
	require.Greater(t, first, rounds*each/2)
}
