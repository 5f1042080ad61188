package websocket

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/internal/yield"
)

// writersByHand start no goroutines: a test takes their turns.
func writersByHand() *writers {
	w := newWriters(new(sync.WaitGroup), yield.ToOthers)
	w.most = 0
	return w
}

func active(w *writers) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.active
}

// takeTurn is one turn of a writer; nil when nothing waits.
func (w *writers) takeTurn() (entries []func() bool) {
	if w.prompt.len()+w.patient.len() == 0 {
		return nil
	}
	var mine [turn]*outbox
	n, from := w.take(&mine)
	for _, o := range mine[:n] {
		entries = append(entries, func() bool { return o.attempt(from) })
	}
	return entries
}

// What is sent while a room of 1,000 waits, to others and to one of the room, is
// written next: after what is left of one patient turn.
func TestPromptFramesPassPatientOutboxes(t *testing.T) {
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
			room, other := make([]*testOutbox, 1000), newTestOutbox(1<<20, w)
			for i := range room {
				room[i] = newTestOutbox(1<<20, w)
				room[i].send(patient("d"))
			}
			begun := w.takeTurn()
			require.Len(t, begun, patientTurn)
			for i, attempt := range begun {
				if i == patientTurn/2 {
					c.send(room[900])
					c.send(other)
				}
				attempt()
			}
			next := w.takeTurn()
			require.Len(t, next, 2)
			for _, attempt := range next {
				require.True(t, attempt())
			}
			room[900].writing.Wait()
			other.writing.Wait()
			require.Equal(t, []string{c.behind}, room[900].port.batches)
			require.Equal(t, c.alone, strings.Join(other.port.batches, ","))
			for _, o := range []*testOutbox{room[900], other} {
				require.Equal(t, name == "close", o.port.closed != nil)
				o.port.stop()
			}
			for entries := w.takeTurn(); entries != nil; entries = w.takeTurn() {
				for _, attempt := range entries {
					attempt()
				}
			}
			for _, o := range room {
				require.Len(t, o.port.batches, 1)
			}
		})
	}
}

// While the prompt lane is never empty, each fifth turn is a patient one.
func TestPatientOutboxesDoNotStarve(t *testing.T) {
	w := writersByHand()
	busy := newTestOutbox(1<<20, w)
	for range 100 {
		newTestOutbox(1<<20, w).send(patient("d"))
	}
	var turns []int
	for range 20 {
		busy.send(text("x"))
		entries := w.takeTurn()
		turns = append(turns, len(entries))
		for _, attempt := range entries {
			require.True(t, attempt())
		}
	}
	require.Equal(t, []int{1, 1, 1, 1, 16, 1, 1, 1, 1, 16, 1, 1, 1, 1, 16, 1, 1, 1, 1, 16}, turns)
}

// A writer gives way between two patient turns, and at no other time; what is to
// go at once has another writer meanwhile, and so many pause as may write at most.
func TestWritersGiveWayBetweenPatientTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const outboxes = 200
		var group sync.WaitGroup
		w := newWriters(&group, yield.ToOthers)
		w.most = 1
		pauses, pausing := 0, 0
		other := newTestOutbox(1<<20, w)
		w.pause = func() {
			pauses++
			pausing++
			require.Equal(t, 1, pausing)
			newTestOutbox(1<<20, w).send(patient("one more")) // which can wait
			require.Zero(t, active(w))
			other.send(text("x"))
			synctest.Wait()
			require.Len(t, other.port.batches, pauses, "it has not waited for the pause to end")
			require.Zero(t, active(w), "but who wrote it has left the patient ones")
			pausing--
		}
		fill := func(outboxes int, send func(o *testOutbox)) {
			first := newTestOutbox(1<<20, w)
			first.port.after = func() {
				for range outboxes {
					send(newTestOutbox(1<<20, w))
				}
			}
			first.send(text("begin"))
			group.Wait()
			require.Zero(t, w.active+w.pausing+w.prompt.len()+w.patient.len())
		}
		fill(outboxes, func(o *testOutbox) { o.send(text("x")) })
		fill(patientTurn, func(o *testOutbox) { o.send(patient("d")) })
		fill(outboxes, func(o *testOutbox) { o.send(patient("d")); o.send(text("x")) })
		require.Zero(t, pauses, "one patient turn, or turns without work")
		fill(outboxes, func(o *testOutbox) { o.send(patient("d")) })
		require.Positive(t, pauses)
		require.LessOrEqual(t, pauses, 2*outboxes/patientTurn)
	})
}

// What was moved to the prompt lane leaves an entry behind, which is passed over,
// or used for what comes next: there is never a second one.
func TestAStaleEntryIsPassedOverOrUsedAgain(t *testing.T) {
	w := writersByHand()
	o, behind := newTestOutbox(1<<20, w), newTestOutbox(1<<20, w)
	one := func() bool {
		entries := w.takeTurn()
		require.Len(t, entries, 1)
		return entries[0]()
	}
	for range 1000 {
		o.send(patient("1"))
		w.row = 0 // the prompt lane first
		o.send(text("2"))
		require.True(t, one())
	}
	require.Len(t, o.port.batches, 1000)
	require.Equal(t, "1 2", o.port.batches[999])
	require.Equal(t, 1, w.patient.len())
	require.Zero(t, w.prompt.len())
	o.writing.Wait() // nobody has to look at the entry

	behind.send(patient("x"))
	o.send(patient("3"))
	require.Equal(t, 2, w.patient.len(), "it has kept its place")
	entries := w.takeTurn()
	require.True(t, entries[0]())
	require.True(t, entries[1]())
	require.Equal(t, "3", o.port.batches[1000])

	o.send(patient("4"))
	o.send(text("5"))
	require.True(t, one())
	require.False(t, one())
	require.Len(t, o.port.batches, 1002)
	require.Nil(t, w.takeTurn())
}

// What is sent while an outbox is written to decides where it waits next.
func TestAnOutboxIsGivenBackToTheLaneOfWhatWaits(t *testing.T) {
	for _, c := range []struct {
		name string
		send func(o *testOutbox)
		lane laneID
	}{
		{"patient", func(o *testOutbox) { o.send(patient("x")) }, lanePatient},
		{"prompt", func(o *testOutbox) { o.send(text("x")) }, lanePrompt},
		{"prompt, then patient", func(o *testOutbox) { o.send(text("x")); o.send(patient("y")) }, lanePrompt},
		{"patient, then pong", func(o *testOutbox) { o.send(patient("x")); o.sendPong("") }, lanePrompt},
		{"pong, then patient", func(o *testOutbox) { o.sendPong(""); o.send(patient("x")) }, lanePrompt},
		{"nothing", func(o *testOutbox) {}, laneNone},
	} {
		for _, first := range []func(string) *channel.Frame{text, patient} {
			w := writersByHand()
			o := newTestOutbox(1<<20, w)
			o.port.after = func() { c.send(o) }
			o.send(first("begin"))
			require.True(t, w.takeTurn()[0]())
			require.Equal(t, c.lane, o.lane, c.name)
			require.Equal(t, c.lane == lanePrompt, w.prompt.len() == 1, c.name)
			require.Equal(t, c.lane == lanePatient, w.patient.len() == 1, c.name)
		}
	}
}

// Who ends a connection does not wait for the writers to come to it.
func TestAnOutboxThatEndsLeavesTheLanes(t *testing.T) {
	for _, f := range []string{"prompt", "patient"} {
		w := writersByHand()
		o := newTestOutbox(1<<20, w)
		frame := text("x")
		frame.Patient = f == "patient"
		o.send(frame)
		o.end()
		o.end()
		o.writing.Wait()
		o.send(frame)
		entries := w.takeTurn()
		require.Len(t, entries, 1)
		require.False(t, entries[0]())
		require.Zero(t, o.port.tries)
		require.Empty(t, o.port.batches)
	}
}

// A client is not to blame for how long its outbox was in the patient lane.
func TestAgeCountsFromTheEndOfPatience(t *testing.T) {
	for _, size := range []int{1, tryLimit} {
		for _, moved := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := writersByHand()
				o := newTestOutbox(1<<20, w)
				o.port.hold(true)
				o.send(patient(strings.Repeat("x", size)))
				time.Sleep(time.Minute)
				if moved {
					o.send(text("y"))
				}
				for _, attempt := range w.takeTurn() {
					attempt()
				}
				synctest.Wait()
				require.Zero(t, o.port.aborts)
				require.GreaterOrEqual(t, time.Until(o.port.deadline), 10*time.Second)
				require.LessOrEqual(t, time.Until(o.port.deadline), 12500*time.Millisecond)
				o.port.hold(false)
				o.writing.Wait()
				o.port.stop()
			})
		}
	}
}

// Whatever is sent, and however writers take turns, each outbox gets all frames
// once and in the order of Send; one that has ended the first of them. A lane has
// each outbox once at most.
func TestOrderOfAConnectionIsThatOfSend(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := writersByHand()
		outboxes := make([]*testOutbox, rapid.IntRange(1, 4).Draw(t, "outboxes"))
		sent := make([]int, len(outboxes))
		var hands [3][]func() bool // what each of three writers has taken
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
		act = func() {
			i := rapid.IntRange(0, len(outboxes)-1).Draw(t, "outbox")
			h := rapid.IntRange(0, len(hands)-1).Draw(t, "writer")
			switch what := rapid.IntRange(0, 20).Draw(t, "what"); {
			case what < 8:
				f := text(fmt.Sprint(sent[i]))
				f.Patient = what < 5
				if outboxes[i].state == outboxOpen {
					sent[i]++
				}
				outboxes[i].send(f)
			case what == 8:
				outboxes[i].end()
			case len(hands[h]) == 0:
				hands[h] = w.takeTurn()
			case writing < len(hands):
				attempt := hands[h][0]
				hands[h] = hands[h][1:]
				writing++
				attempt()
				writing--
			}
			for _, l := range []*lane{&w.prompt, &w.patient} {
				seen := map[*outbox]bool{}
				for _, o := range l.ready[l.next:] {
					require.False(t, seen[o])
					seen[o] = true
				}
			}
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			act()
		}
		for _, o := range outboxes {
			o.port.after = nil
		}
		for _, attempt := range slices.Concat(hands[:]...) {
			attempt()
		}
		for entries := w.takeTurn(); entries != nil; entries = w.takeTurn() {
			for _, attempt := range entries {
				attempt()
			}
		}
		for i, o := range outboxes {
			got := strings.Fields(strings.Join(o.port.batches, " "))
			for n, f := range got {
				require.Equal(t, fmt.Sprint(n), f)
			}
			if o.state == outboxOpen {
				require.Len(t, got, sent[i])
			}
			require.False(t, o.taken)
			require.Equal(t, laneNone, o.lane)
			o.writing.Wait()
		}
	})
}
