package websocket

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	gorilla "github.com/gorilla/websocket"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// writersByHand start no goroutines: a test takes the turns of each writer.
func writersByHand() *writers {
	w := newWriters(new(sync.WaitGroup))
	w.most, w.mostLow = 0, 1
	return w
}

// A hand is a writer whose turns a test takes.
type hand struct {
	w   *writers
	low bool // its last turn was one at the low priority
}

// take takes a turn and returns its outboxes, which are still to be written to.
func (h *hand) take() []*outbox {
	var mine [turn]*outbox
	n, low := h.w.take(&mine, h.low)
	h.low = low
	if n == 0 { // a writer would end, but this one is used again
		h.w.mu.Lock()
		h.w.active++
		h.w.mu.Unlock()
	}
	return slices.Clone(mine[:n])
}

// finish takes turns until nothing waits.
func (h *hand) finish() {
	for turn := h.take(); len(turn) > 0; turn = h.take() {
		for _, o := range turn {
			o.attempt()
		}
	}
}

// While a room of 1,000 waits, what else is sent to one of its connections or to
// another one is written next, after the rest of one turn at the low priority.
func TestNormalFramesPassLowPriorityOutboxes(t *testing.T) {
	for name, c := range map[string]struct {
		send          func(o *testOutbox)
		alone, behind string
	}{
		"frame": {func(o *testOutbox) { o.send(text("x")) }, "x", "d x"},
		"pong":  {func(o *testOutbox) { o.sendPong("x") }, "pong:x", "pong:x d"},
		"close": {func(o *testOutbox) { o.close(1012, "") }, "", "d"},
	} {
		t.Run(name, func(t *testing.T) {
			w := writersByHand()
			h := &hand{w: w}
			room, other := make([]*testOutbox, 1000), newTestOutbox(1<<20, w)
			for i := range room {
				room[i] = newTestOutbox(1<<20, w)
				room[i].send(lowPriority("d"))
			}
			begun := h.take()
			require.Len(t, begun, lowTurn)
			for i, o := range begun {
				if i == lowTurn/2 {
					c.send(room[900])
					c.send(other)
				}
				o.attempt()
			}
			next := h.take()
			require.Len(t, next, 2)
			require.Same(t, &room[900].outbox, next[0])
			require.Same(t, &other.outbox, next[1])
			for _, o := range next {
				o.attempt()
			}
			room[900].writing.Wait()
			other.writing.Wait()
			require.Equal(t, []string{c.behind}, room[900].port.batches)
			require.Equal(t, c.alone, strings.Join(other.port.batches, ","))
			for _, o := range []*testOutbox{room[900], other} {
				require.Equal(t, name == "close", o.port.closed != nil)
				o.port.stop()
			}
			h.finish()
			for _, o := range room {
				require.Len(t, o.port.batches, 1)
			}
		})
	}
}

// While outboxes always wait at the normal priority, each fifth turn is a low one.
func TestLowPriorityOutboxesDoNotStarve(t *testing.T) {
	w := writersByHand()
	h := &hand{w: w}
	busy := newTestOutbox(1<<20, w)
	for range 100 {
		newTestOutbox(1<<20, w).send(lowPriority("d"))
	}
	var turns []int
	for range 15 {
		busy.send(text("x"))
		mine := h.take()
		turns = append(turns, len(mine))
		for _, o := range mine {
			o.attempt()
		}
	}
	require.Equal(t, []int{1, 1, 1, 1, lowTurn, 1, 1, 1, 1, lowTurn, 1, 1, 1, 1, lowTurn}, turns)
}

func TestAtMostHalfOfTheWritersWriteAtTheLowPriority(t *testing.T) {
	w := writersByHand()
	w.mostLow = 2
	for range 100 {
		newTestOutbox(1<<20, w).send(lowPriority("d"))
	}
	var hands [4]hand
	for i := range hands {
		hands[i].w = w
	}
	require.Len(t, hands[0].take(), lowTurn)
	require.Len(t, hands[1].take(), lowTurn)
	require.Empty(t, hands[2].take())
	newTestOutbox(1<<20, w).send(text("x"))
	require.Len(t, hands[2].take(), 1)
	require.Empty(t, hands[3].take())
	require.Len(t, hands[1].take(), lowTurn, "its turn is over, and the next begins")
	require.Empty(t, hands[3].take())
}

// What is sent while an outbox is written to decides where it waits next.
func TestAnOutboxWaitsAtThePriorityOfWhatItHolds(t *testing.T) {
	for _, c := range []struct {
		name  string
		send  func(o *testOutbox)
		waits priority
	}{
		{"low", func(o *testOutbox) { o.send(lowPriority("x")) }, priorityLow},
		{"normal", func(o *testOutbox) { o.send(text("x")) }, priorityNormal},
		{"normal, then low", func(o *testOutbox) { o.send(text("x")); o.send(lowPriority("y")) }, priorityNormal},
		{"low, then normal", func(o *testOutbox) { o.send(lowPriority("x")); o.send(text("y")) }, priorityNormal},
		{"low, then pong", func(o *testOutbox) { o.send(lowPriority("x")); o.sendPong("") }, priorityNormal},
		{"pong, then low", func(o *testOutbox) { o.sendPong(""); o.send(lowPriority("x")) }, priorityNormal},
		{"low, then close", func(o *testOutbox) { o.send(lowPriority("x")); o.close(1012, "") }, priorityNormal},
		{"nothing", func(o *testOutbox) {}, priorityNone},
	} {
		for _, first := range []func(string) *wire.Frame{text, lowPriority} {
			w := writersByHand()
			h := &hand{w: w}
			o := newTestOutbox(1<<20, w)
			o.port.after = func() { c.send(o) }
			o.send(first("begin"))
			h.take()[0].attempt()
			requireWaits(t, o, c.waits, c.name)
			o.end()

			o = newTestOutbox(1<<20, w) // the same after it waits
			c.send(o)
			requireWaits(t, o, c.waits, c.name)
			o.end()
		}
	}
}

func requireWaits(t require.TestingT, o *testOutbox, want priority, name string) {
	require.Equal(t, want, o.waits, name)
	require.Equal(t, want == priorityNormal, o.place.In(&o.writers.normal), name)
	require.Equal(t, want == priorityLow, o.place.In(&o.writers.low), name)
}

// What is left of a batch waits at the low priority whatever it is, but before other
// outboxes, so that batches are finished before others are begun. Later frames of its
// connection cannot pass it; a close moves it to the normal priority.
func TestWhatIsLeftOfABatchIsFinishedFirst(t *testing.T) {
	w := writersByHand()
	h := &hand{w: w}
	large, other := newTestOutbox(1<<20, w), newTestOutbox(1<<20, w)
	large.port.parts = 3
	large.send(text("large"))
	other.send(lowPriority("d"))
	h.take()[0].attempt()
	requireWaits(t, large, priorityLow, "a part was written")
	large.send(text("later"))
	requireWaits(t, large, priorityLow, "a later frame does not change that")
	require.NotNil(t, large.begun)

	mine := h.take()
	require.Len(t, mine, 2)
	require.Same(t, &large.outbox, mine[0])
	require.Same(t, &other.outbox, mine[1])
	for _, o := range mine {
		o.attempt()
	}
	requireWaits(t, large, priorityLow, "another part was written")
	require.Equal(t, []string{"d"}, other.port.batches)

	large.close(1012, "")
	requireWaits(t, large, priorityNormal, "it is closing")
	h.finish()
	large.writing.Wait()
	require.Equal(t, []string{"large", "later"}, large.port.batches)
	require.Equal(t, 1012, large.port.closed.code)
	large.port.stop()
}

// An outbox that ends leaves nothing behind, wherever it is: the goroutine that ends it
// does not wait for the writers to come to it.
func TestAnOutboxThatEndsLeavesNothing(t *testing.T) {
	for _, c := range []struct {
		name  string
		bring func(o *testOutbox, h *hand) (later func()) // later: what happens after the end
	}{
		{"waiting at the normal priority", func(o *testOutbox, h *hand) func() {
			o.send(text("x"))
			return nil
		}},
		{"waiting at the low priority", func(o *testOutbox, h *hand) func() {
			o.send(lowPriority("x"))
			return nil
		}},
		{"waiting with the rest of a batch", func(o *testOutbox, h *hand) func() {
			o.port.parts = 1
			o.send(text("x"))
			h.take()[0].attempt()
			o.send(text("y"))
			return nil
		}},
		{"closing with the rest of a batch", func(o *testOutbox, h *hand) func() {
			o.port.parts = 1
			o.send(text("x"))
			h.take()[0].attempt()
			o.close(1012, "")
			return nil
		}},
		{"taken by a writer", func(o *testOutbox, h *hand) func() {
			o.send(text("x"))
			return h.take()[0].attempt
		}},
		{"taken by a writer with the rest of a batch", func(o *testOutbox, h *hand) func() {
			o.port.parts = 1
			o.send(text("x"))
			h.take()[0].attempt()
			o.send(text("y"))
			return h.take()[0].attempt
		}},
		{"written to in part", func(o *testOutbox, h *hand) func() {
			o.send(text("x"))
			h.take()
			o.unlist()
			b := o.first()
			return func() { o.goOn(b) }
		}},
		{"waiting for its socket", func(o *testOutbox, h *hand) func() {
			o.port.hold(true)
			o.send(text("x"))
			h.take()[0].attempt()
			synctest.Wait()
			require.Equal(t, 1, o.port.waits)
			o.send(text("y"))
			return o.port.cut
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := writersByHand()
				o := newTestOutbox(1<<20, w)
				later := c.bring(o, &hand{w: w})
				o.end()
				o.end()
				if later != nil {
					later()
				}
				o.writing.Wait()
				require.Empty(t, o.port.batches)
				require.Nil(t, o.port.closed)
				for range 2 {
					require.False(t, o.taken)
					require.Nil(t, o.queue)
					require.Nil(t, o.begun)
					requireWaits(t, o, priorityNone, c.name)
					require.Zero(t, w.normal.Len()+w.low.Len())
					o.send(text("late"))
					o.sendPong("late")
				}
				o.port.stop()
			})
		})
	}
}

// A client is not to blame for how long its outbox waited at the low priority.
func TestAgeCountsFromTheEndOfWaitingAtTheLowPriority(t *testing.T) {
	for _, moved := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := writersByHand()
			o := newTestOutbox(1<<20, w)
			o.port.hold(true)
			o.send(lowPriority("x"))
			time.Sleep(time.Minute)
			if moved {
				o.send(text("y"))
			}
			(&hand{w: w}).take()[0].attempt()
			synctest.Wait()
			require.Equal(t, 1, o.port.waits)
			require.Zero(t, o.port.aborts)
			require.GreaterOrEqual(t, time.Until(o.port.deadline), 10*time.Second)
			require.LessOrEqual(t, time.Until(o.port.deadline), 12500*time.Millisecond)
			o.port.hold(false)
			synctest.Wait()
			(&hand{w: w}).finish()
			o.port.stop()
		})
	}
}

// Of a large batch, too, the waiting at the low priority does not count, and all of the
// waiting for the socket does.
func TestAgeOfALargeBatchIsTheTimeThatItsClientTakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := writersByHand()
		h := &hand{w: w}
		o := newTestOutbox(1<<20, w)
		o.port.parts = 1
		o.send(text("large"))
		h.take()[0].attempt()
		for client := time.Duration(0); client < 9*time.Second; client += 3 * time.Second {
			time.Sleep(time.Minute) // it waits for the writers
			o.port.hold(true)
			h.take()[0].attempt()
			synctest.Wait()
			require.GreaterOrEqual(t, time.Until(o.port.deadline), 10*time.Second-client)
			require.LessOrEqual(t, time.Until(o.port.deadline), 12500*time.Millisecond-client)
			time.Sleep(3 * time.Second) // it waits for the client
			o.port.hold(false)
			synctest.Wait()
			requireWaits(t, o, priorityLow, "what is left")
		}
		o.port.hold(true)
		h.take()[0].attempt()
		o.writing.Wait() // the client takes no more
		require.EqualValues(t, 1, o.slow.Load())
		require.Equal(t, 1, o.port.aborts)
		require.Nil(t, o.begun)
		o.port.stop()
	})
}

// Whatever is sent, and however writers take turns, each outbox gets all frames once
// and in the order of Send; an outbox that has ended gets the first of them.
func TestOrderOfAConnectionIsThatOfSend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := writersByHand()
		outboxes := make([]*testOutbox, rapid.IntRange(1, 4).Draw(t, "outboxes"))
		sent := make([]int, len(outboxes))
		var hands [3]struct {
			hand
			mine []*outbox // taken and not yet written to
		}
		var act func()
		writing := 0
		for i := range outboxes {
			outboxes[i] = newTestOutbox(1<<20, w)
			outboxes[i].port.after = func() { // others act while one writes
				for range rapid.IntRange(0, 2).Draw(t, "meanwhile") {
					act()
				}
			}
		}
		for i := range hands {
			hands[i].w = w
		}
		act = func() {
			i := rapid.IntRange(0, len(outboxes)-1).Draw(t, "outbox")
			h := &hands[rapid.IntRange(0, len(hands)-1).Draw(t, "writer")]
			switch what := rapid.IntRange(0, 20).Draw(t, "what"); {
			case what < 8:
				f := text(fmt.Sprint(sent[i]))
				f.LowPriority = what < 5
				if outboxes[i].state == outboxOpen {
					sent[i]++
				}
				outboxes[i].send(f)
			case what == 8:
				outboxes[i].end()
			case what == 9:
				outboxes[i].port.parts++
			case len(h.mine) == 0:
				h.mine = h.take()
			case writing < len(hands):
				o := h.mine[0]
				h.mine = h.mine[1:]
				writing++
				o.attempt()
				writing--
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			act()
		}
		for _, o := range outboxes {
			o.port.after = nil
		}
		for i := range hands {
			for _, o := range hands[i].mine {
				o.attempt()
			}
			hands[i].mine = nil
		}
		for i := range hands { // the first turn of each ends its last one at the low priority
			hands[i].finish()
		}
		for i, o := range outboxes {
			o.writing.Wait()
			got := strings.Fields(strings.Join(o.port.batches, " "))
			for n, f := range got {
				require.Equal(t, fmt.Sprint(n), f)
			}
			if o.state == outboxOpen {
				require.Len(t, got, sent[i])
			}
			require.False(t, o.taken)
			require.Nil(t, o.begun)
			requireWaits(t, o, priorityNone, "at the end")
		}
		require.Zero(t, w.normal.Len()+w.low.Len())
	})
}

// Whatever it lies on, a connection is written to by the writers, at its priority, and
// at once. Where nothing is written at once, the writers are of no use.
func TestEveryKindOfConnectionWaitsForTheWriters(t *testing.T) {
	eachKind(t, func(t *testing.T, k kind) {
		if !k.parks() {
			return
		}
		fakes := make(chan *fakeConn, 20)
		transport, server := k.serve(t, Config{}, func(context.Context, wire.ConnectInfo) (channelConn, error) {
			s := newFake()
			fakes <- s
			return s, nil
		})
		w := writersByHand()
		transport.writers = w
		h := &hand{w: w}
		clients, conns := make([]*gorilla.Conn, cap(fakes)), make([]*conn, cap(fakes))
		for i := range clients {
			clients[i] = dial(t, server, nil)
			conns[i] = awaitLink(t, <-fakes).(*conn)
			conns[i].Send(lowPriority("d"))
		}
		for _, o := range h.take() {
			o.attempt()
		}
		requireText(t, clients[lowTurn-1], "d")
		conns[19].Send(text("x"))
		next := h.take()
		require.Equal(t, []*outbox{&conns[19].out}, next)
		next[0].attempt()
		requireText(t, clients[19], "d")
		requireText(t, clients[19], "x")
		for _, c := range conns {
			c.Close(wire.CloseGoingAway, "")
		}
		h.finish()
		for _, client := range clients {
			requireClosed(t, client, wire.CloseGoingAway, "")
			client.Close()
		}
	})
}
