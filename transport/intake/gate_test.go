package intake

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/internal/cooldown"
)

// A party is clients of an intake that want their turn.
type party struct {
	t       *testing.T
	in      *Intake
	closing chan struct{}
	turns   map[string]*Turn
	log     []string // "a in", "b refused: ..."
	gone    map[string]context.CancelFunc
	events  chan func()
}

func newParty(t *testing.T, cfg Config) *party {
	in, err := New(cfg)
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

// end ends turns one after the other, each with its cooldown.
func (p *party) end(names ...string) {
	for _, name := range names {
		turn := p.turns[name]
		used := time.Since(turn.since)
		turn.End()
		p.settle()
		time.Sleep(cooldown.After(used))
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
		p := newParty(t, Config{MaxHandshakes: 2})
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

func TestAClientThatGoesAwayLeavesTheLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, Config{MaxHandshakes: 1})
		p.come("a", "b", "c")
		p.gone["b"]()
		p.wants("a in", "b refused: the client has gone away")
		p.end("a")
		p.wants("c in")
		p.end("c")
		require.Equal(t, Stats{Waited: 2}, p.in.Stats())
	})
}

// A turn comes at the moment in which its client goes away: whichever is seen first,
// the turn is not lost.
func TestATurnThatComesToNobodyGoesToTheNext(t *testing.T) {
	for range 200 {
		synctest.Test(t, func(t *testing.T) {
			p := newParty(t, Config{MaxHandshakes: 1})
			p.come("a", "b", "c")
			const lasted = time.Millisecond
			time.Sleep(lasted)
			time.AfterFunc(cooldown.After(lasted), p.gone["b"])
			p.end("a")
			if turn := p.turns["b"]; turn != nil {
				p.end("b")
			}
			require.NotNil(t, p.turns["c"])
			p.end("c")
			require.Zero(t, p.in.Stats().Running)
		})
	}
}

// While others wait, a turn that has ended is given to the next after a cooldown of
// three times as long as it lasted.
func TestATurnCoolsDownWhileOthersWait(t *testing.T) {
	for lasted, cools := range map[time.Duration]time.Duration{
		10 * time.Microsecond: 50 * time.Microsecond,
		time.Millisecond:      3 * time.Millisecond,
		9 * time.Millisecond:  20 * time.Millisecond,
	} {
		synctest.Test(t, func(t *testing.T) {
			p := newParty(t, Config{MaxHandshakes: 2})
			p.come("a", "b", "c", "d")
			p.wants("a in", "b in")
			time.Sleep(lasted)
			p.turns["a"].End()
			p.turns["b"].End()
			p.come("e") // it does not take the place of one that cools down
			require.Equal(t, Stats{Waiting: 3, Waited: 3}, p.in.Stats())
			time.Sleep(cools - 1)
			p.wants()
			time.Sleep(time.Nanosecond)
			p.settle()
			require.ElementsMatch(t, []string{"c in", "d in"}, p.log)
			p.log = nil
			p.end("c", "d")
			p.wants("e in")
			p.end("e")
		})
	}
}

func TestATurnDoesNotCoolDownWhereNothingWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, Config{MaxHandshakes: 1})
		began := time.Now()
		for _, name := range []string{"a", "b", "c"} {
			p.come(name)
			p.wants(name + " in")
			p.turns[name].End()
		}
		require.Zero(t, time.Since(began))
		require.Equal(t, Stats{}, p.in.Stats())
	})
}

func TestRefusedWhenTooManyWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, Config{MaxHandshakes: 1, MaxWaiting: 2})
		p.come("a", "b", "c", "d")
		p.wants("a in", "d refused: intake: too many clients are connecting, try again later (limit 2)")
		p.end("a", "b", "c")
		p.come("e")
		p.wants("b in", "c in", "e in")
		p.end("e")
		require.Equal(t, Stats{Waited: 2, Refused: 1}, p.in.Stats())
	})
}

// Each turn lasts until it is given on after 10 ms, so the last of the line waits too
// long.
func TestRefusedAfterHavingWaitedTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, Config{MaxHandshakes: 1, Wait: 25 * time.Millisecond})
		began := time.Now()
		p.come("a", "b", "c", "d")
		time.Sleep(25 * time.Millisecond)
		p.wants("a in", "b in", "c in", "d refused: intake: the server is too busy to let clients in, try again later (limit 25ms)")
		require.Equal(t, 25*time.Millisecond, time.Since(began))
		p.end("a", "b", "c")
		require.Equal(t, Stats{Waited: 3, Refused: 1}, p.in.Stats())
	})
}

// A handshake that waits for something else costs the others 10 ms, and no cooldown.
func TestATurnThatLastsTooLongIsGivenOnAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, Config{MaxHandshakes: 2})
		p.come("a", "b", "c", "d", "e", "f", "g")
		time.Sleep(maxTurn - 1)
		p.wants("a in", "b in")
		time.Sleep(time.Nanosecond)
		p.wants("c in", "d in")
		p.turns["a"].End() // it has ended by itself
		p.turns["b"].End()
		p.wants()
		time.Sleep(time.Millisecond)
		p.end("c") // its place cools down meanwhile
		p.wants("e in")
		time.Sleep(maxTurn)
		p.wants("f in", "g in")
		p.end("d", "e", "f", "g")
		require.Equal(t, Stats{Waited: 5}, p.in.Stats())

		// While nothing waits, turns last as long as they like; then one ends when
		// a client comes.
		p.come("h", "i")
		time.Sleep(time.Hour)
		require.Equal(t, 2, p.in.Stats().Running)
		p.come("j")
		p.wants("h in", "i in", "j in")
		p.end("h", "i", "j")
		require.Zero(t, p.in.Stats().Running)
	})
}

func TestAClosingTransportEndsTheWaitOfItsClients(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newParty(t, Config{MaxHandshakes: 1})
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

func TestNeverMoreThanTheBoundAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const clients, most = 500, 3
		in, err := New(Config{MaxHandshakes: most})
		require.NoError(t, err)
		var inside, peak, let atomic.Int64
		var group sync.WaitGroup
		for range clients {
			group.Go(func() {
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
				time.Sleep(maxTurn / 10)
				inside.Add(-1)
				turn.End()
			})
		}
		group.Wait()
		require.EqualValues(t, clients, let.Load())
		require.EqualValues(t, most, peak.Load())
		require.Zero(t, in.Stats().Running+in.Stats().Waiting)
	})
}

func TestOptionsAreCheckedAllAtOnce(t *testing.T) {
	_, err := New(Config{MaxHandshakes: -1, MaxWaiting: -2, Wait: -3, MaxPerAddress: -4, MaxHTTP: -5})
	for _, fault := range []string{"MaxHandshakes: -1", "MaxWaiting: -2", "Wait: -3ns", "MaxPerAddress: -4", "MaxHTTP: -5"} {
		require.ErrorContains(t, err, "intake: "+fault+" is negative")
	}
	in, err := New(Config{})
	require.NoError(t, err)
	require.Equal(t, []any{20_000, 10 * time.Second, 0, 0}, []any{in.config.MaxWaiting, in.config.Wait, in.config.MaxPerAddress, in.config.MaxHTTP})
	require.Positive(t, in.config.MaxHandshakes)
}
