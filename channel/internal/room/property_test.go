package room

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rollcall-go/rollcall/presence"
)

// A model is a room with everything around it: a tracker, an owner that carries out what
// the machine wants, and clients that compute what phoenix.js does.
type model struct {
	*rapid.T
	config  Config
	machine *Machine
	now     time.Time
	timer   time.Time

	// The tracker. present are the metas that it has told of.
	present  map[string]bool // by key:ref
	complete bool
	watching bool
	told     []presence.Event // on the way to the machine
	next     int

	// What the machine waits for.
	sending  bool
	fetching *Action

	clients []*modelClient
}

type modelClient struct {
	seat  Seat
	name  string
	own   string // what it tracked
	asked bool
	// wantsOwn: the state that it asked for is to have what it tracked.
	wantsOwn bool

	synced       bool
	buffered     []presence.Diff // until the state comes
	shows        map[string]bool
	joined, left map[string]bool // by all diffs ever
	counts       Counts
	counted      bool
}

func (c *modelClient) Seat() *Seat { return &c.seat }

// TestClientsAreExact is the machine's promise under random schedules: no client is sent a
// diff that does not fit exactly what it holds, each that asked is answered, and when
// everything has come to rest all hold what the tracker holds.
func TestClientsAreExact(t *testing.T) {
	for name, config := range map[string]Config{"diffs": {}, "fetched diffs": {Fetches: true}, "counts": {Counts: true}} {
		config.StateTimeout = time.Second
		t.Run(name, func(t *testing.T) { clientsAreExact(t, config) })
	}
}

func clientsAreExact(t *testing.T, config Config) {
	rapid.Check(t, func(t *rapid.T) {
		m := &model{T: t, config: config, now: time.Unix(0, 0), present: map[string]bool{}, complete: rapid.Bool().Draw(t, "complete")}
		m.config.Window = rapid.SampledFrom([]time.Duration{0, 1, 100 * time.Millisecond}).Draw(t, "window")
		m.machine = New(m.config)
		m.step(Input{Kind: WatchWanted})
		t.Repeat(map[string]func(*rapid.T){
			"join":     func(t *rapid.T) { m.join() },
			"settle":   func(t *rapid.T) { m.settle(m.draw(t)) },
			"want":     func(t *rapid.T) { m.want(m.draw(t), false) },
			"track":    func(t *rapid.T) { m.want(m.draw(t), true) },
			"leave":    func(t *rapid.T) { m.leave(m.draw(t)) },
			"change":   func(t *rapid.T) { m.change(t) },
			"complete": func(t *rapid.T) { m.complete = !m.complete; m.told = append(m.told, m.event()) },
			"deliver":  func(t *rapid.T) { m.deliver(rapid.IntRange(0, len(m.told)).Draw(t, "events")) },
			"answer":   func(t *rapid.T) { m.answer(rapid.Bool().Draw(t, "ok")) },
			"wait":     func(t *rapid.T) { m.wait(time.Duration(rapid.IntRange(0, 300).Draw(t, "ms")) * time.Millisecond) },
			"":         func(t *rapid.T) { m.invariants() },
		})
		m.rest()
	})
}

func (m *model) event() presence.Event { return presence.Event{Complete: m.complete} }

func (m *model) draw(t *rapid.T) *modelClient {
	if len(m.clients) == 0 {
		t.Skip("no client")
	}
	return rapid.SampledFrom(m.clients).Draw(t, "client")
}

func (m *model) join() {
	c := &modelClient{name: fmt.Sprint("c", m.next), shows: map[string]bool{}, joined: map[string]bool{}, left: map[string]bool{}}
	m.next++
	m.clients = append(m.clients, c)
	m.step(Input{Kind: Joined, Member: c})
}

func (m *model) settle(c *modelClient) { m.step(Input{Kind: Settled, Member: c}) }

func (m *model) want(c *modelClient, tracks bool) {
	if tracks && c.own == "" {
		c.own = m.track(c.name)
	}
	if !c.asked { // a state that is on its way may be without what it tracked
		c.asked, c.wantsOwn = true, tracks && !m.machine.refreshing
	}
	m.step(Input{Kind: StateWanted, Member: c, Tracks: c.own != ""})
}

func (m *model) leave(c *modelClient) {
	m.clients = slices.DeleteFunc(m.clients, func(o *modelClient) bool { return o == c })
	m.step(Input{Kind: Left, Member: c})
	require.Zero(m, c.seat)
	if c.own != "" && m.present[c.own] {
		m.tell(presence.Diff{Leaves: list(c.own)})
	}
}

func (m *model) track(key string) string {
	m.next++
	value := fmt.Sprint(key, ":", m.next)
	m.tell(presence.Diff{Joins: list(value)})
	return value
}

// change is an event of the tracker: a join, a leave, or an update.
func (m *model) change(t *rapid.T) {
	var old []string
	for value := range m.present {
		if !strings.HasPrefix(value, "c") { // those of clients are theirs
			old = append(old, value)
		}
	}
	slices.Sort(old)
	var d presence.Diff
	switch kind := rapid.IntRange(0, 2).Draw(t, "kind"); {
	case kind > 0 && len(old) > 0:
		value := rapid.SampledFrom(old).Draw(t, "old")
		d.Leaves = list(value)
		if kind == 2 {
			key, _, _ := strings.Cut(value, ":")
			m.next++
			d.Joins = list(fmt.Sprint(key, ":", m.next))
		}
	default:
		m.next++
		d.Joins = list(fmt.Sprint("k", rapid.IntRange(0, 3).Draw(t, "key"), ":", m.next))
	}
	m.tell(d)
}

func list(value string) []presence.Presence { return []presence.Presence{entry(value)} }

func (m *model) tell(d presence.Diff) {
	each(d.Joins, func(value string) { m.present[value] = true })
	each(d.Leaves, func(value string) { delete(m.present, value) })
	if m.watching {
		ev := m.event()
		ev.Diff = d
		m.told = append(m.told, ev)
	}
}

func each(list []presence.Presence, f func(value string)) {
	for _, p := range list {
		for _, meta := range p.Metas {
			f(p.Key + ":" + meta.Ref)
		}
	}
}

// state is what the tracker tells of all that are present.
func (m *model) state() {
	var d presence.Diff
	for _, value := range slices.Sorted(func(yield func(string) bool) {
		for value := range m.present {
			if !yield(value) {
				return
			}
		}
	}) {
		d = d.Merge(presence.Diff{Joins: list(value)})
	}
	ev := m.event()
	ev.State = &presence.List{Presences: d.Joins, Complete: m.complete}
	m.told = append(m.told, ev)
}

func (m *model) deliver(n int) {
	events := slices.Clone(m.told[:n])
	m.told = m.told[n:]
	m.step(Input{Kind: Told, Events: events})
}

func (m *model) answer(ok bool) {
	switch asked := m.fetching; {
	case m.sending:
		m.sending = false
		m.step(Input{Kind: Sent, Took: time.Millisecond})
	case asked == nil:
	case asked.Kind == FetchDiff:
		m.fetching = nil
		m.step(Input{Kind: DiffFetched, Diff: asked.Diff})
	default:
		m.fetching = nil
		m.step(Input{Kind: ListFetched, List: asked.List, OK: ok})
	}
}

func (m *model) wait(d time.Duration) {
	end := m.now.Add(d)
	for !m.timer.IsZero() && !m.timer.After(end) {
		if m.timer.After(m.now) {
			m.now = m.timer
		}
		m.timer = time.Time{}
		m.step(Input{Kind: TimerFired})
	}
	m.now = end
}

func (m *model) step(in Input) {
	for _, a := range m.machine.Step(m.now, in) {
		switch a.Kind {
		case Watch:
			m.watching = true
			m.state()
		case Refresh:
			require.True(m, m.watching)
			m.state()
		case FetchDiff, FetchList:
			require.True(m, m.fetching == nil && !m.sending, "one at a time")
			m.fetching = &a
		case SendDiff, SendCounts:
			require.True(m, m.fetching == nil && !m.sending, "one at a time")
			require.NotEmpty(m, a.To)
			m.sending = true
			for _, c := range a.To {
				m.show(c.(*modelClient), a)
			}
		case SendHeld:
			require.Len(m, a.To, 1)
			m.show(a.To[0].(*modelClient), a)
		case SendState, PushCounts:
			for _, c := range a.To {
				m.give(c.(*modelClient), a)
			}
		case SetTimer:
			m.timer = a.At
		case ClearTimer:
			m.timer = time.Time{}
		default:
			require.Fail(m, "unexpected", "%d", a.Kind)
		}
	}
}

// show is a presence_diff or presence_count that a client gets.
func (m *model) show(c *modelClient, a Action) {
	require.Contains(m, m.clients, c, "it is not there any more")
	if a.Kind == SendCounts {
		require.False(m, c.counted && c.counts == a.Counts, "%s: nothing has changed", c.name)
		c.counts, c.counted = a.Counts, true
		return
	}
	require.False(m, a.Diff.Empty())
	each(a.Diff.Joins, func(value string) {
		require.False(m, c.joined[value], "%s is told twice of %s", c.name, value)
		c.joined[value] = true
	})
	each(a.Diff.Leaves, func(value string) {
		require.False(m, c.left[value], "%s is told twice that %s left", c.name, value)
		c.left[value] = true
	})
	if !c.synced {
		c.buffered = append(c.buffered, a.Diff)
		return
	}
	c.apply(m, a.Diff, true)
}

// give is a presence_state or its counts.
func (m *model) give(c *modelClient, a Action) {
	require.Contains(m, m.clients, c, "it is not there any more")
	require.True(m, c.asked, "%s did not ask", c.name)
	c.asked, c.synced = false, true
	c.counts, c.counted = a.Counts, true
	if m.config.Counts {
		return
	}
	clear(c.shows)
	each(a.List.Presences, func(value string) { c.shows[value] = true })
	require.True(m, !c.wantsOwn || c.shows[c.own], "%s tracked before it asked, and is not in the state", c.name)
	for _, d := range c.buffered {
		c.apply(m, d, false)
	}
	c.buffered = nil
}

func (c *modelClient) apply(m *model, d presence.Diff, exactly bool) {
	each(d.Joins, func(value string) {
		require.False(m, exactly && c.shows[value], "%s: %s joins twice", c.name, value)
		c.shows[value] = true
	})
	each(d.Leaves, func(value string) {
		require.False(m, exactly && !c.shows[value], "%s: %s leaves, and is not there", c.name, value)
		delete(c.shows, value)
	})
}

// invariants are the machine's own.
func (m *model) invariants() {
	ss := &m.machine.seats
	require.Len(m, ss.all, len(m.clients))
	for i, c := range ss.all {
		s := c.Seat()
		require.EqualValues(m, i, s.index)
		require.Equal(m, i < ss.receiving, s.state.receives())
		require.True(m, s.held == nil || s.state == seatNew)
		require.Equal(m, s.state.waits(), slices.Contains(m.machine.waiting, c))
		require.Equal(m, s.state.waits(), c.(*modelClient).asked)
	}
	if len(m.machine.waiting) > m.machine.overdue {
		require.False(m, m.machine.stateDue == 0, "they wait without an end")
	}
}

// rest lets everything come to rest, and compares.
func (m *model) rest() {
	for range 4 {
		for len(m.told) > 0 || m.sending || m.fetching != nil {
			m.deliver(len(m.told))
			m.answer(true)
		}
		m.wait(time.Minute)
	}
	require.Empty(m, m.told)
	require.True(m, m.machine.pending.Empty(), "a change that was not told")
	var counts Counts
	keys := map[string]bool{}
	for value := range m.present {
		key, _, _ := strings.Cut(value, ":")
		keys[key] = true
		counts.Sessions++
	}
	counts.Keys = len(keys)
	for _, c := range m.clients {
		require.False(m, c.asked, "%s is not served", c.name)
		m.settle(c)
		switch {
		case m.config.Counts && c.counted:
			require.Equal(m, counts, c.counts, c.name)
		case m.config.Counts:
		case c.synced:
			require.Equal(m, m.present, c.shows, c.name)
		}
	}
}
