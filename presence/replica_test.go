package presence

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/bus"
)

type payloadOnly struct{ bus.Bus }

func (payloadOnly) MaxPayload() int  { return 1 << 20 }
func (payloadOnly) Settings() string { return "" }

func newTestReplica(name string) (*Replica, time.Time) {
	return startTestReplica(Config{Name: name})
}

func startTestReplica(cfg Config) (*Replica, time.Time) {
	cfg.Bus = payloadOnly{}
	r, now := makeTestReplica(cfg)
	r.Ready()
	return r, now
}

// makeTestReplica leaves what the replica wants done at its start to the caller.
func makeTestReplica(cfg Config) (*Replica, time.Time) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	random := rand.New(rand.NewPCG(1, 2))
	return NewReplica(cfg, now, func() time.Time { return now }, random.Uint64), now
}

func TestEpochsRiseWithTheClockAndAboveTheFloor(t *testing.T) {
	wall := time.UnixMilli(1_700_000_000_000)
	e := newEpoch(wall, 1<<22+5, 0)
	require.Equal(t, uint64(1_700_000_000_000)<<22|5, e)
	require.Greater(t, newEpoch(wall.Add(time.Millisecond), 0, 0), e)
	above := newEpoch(wall.Add(-time.Hour), 9, e)
	require.Greater(t, above, e)
	require.Equal(t, uint64(9), above&(1<<22-1), "with random bits of its own")
}

func TestRefsAreShortAndTellEntriesApart(t *testing.T) {
	var refs refWriter
	seen := map[string]bool{}
	for _, birth := range []uint64{0, 1, 1 << 40, 1<<64 - 1} {
		for _, n := range []uint64{1, 63, 64, 255, 256, 1 << 20, 1 << 40} {
			ref := makeRef(birth, n)
			require.Equal(t, ref, refs.ref(birth, n))
			require.LessOrEqual(t, len(ref), 20)
			require.False(t, seen[ref])
			seen[ref] = true
		}
	}
}

// Our own entries and their refs outlive a fresh epoch.
func TestANackOfASilentSuccessorLeadsToAFreshEpoch(t *testing.T) {
	r, now := newTestReplica("us-1")
	require.NoError(t, r.Acquire(now, "room", false))
	dot, err := r.Track(now, "room", "me", []byte(`{}`))
	require.NoError(t, err)
	r.Ready()
	before := r.Epoch()
	r.receive(message{kind: kindNack, name: "eu-1", epoch: 1, max: before + 1<<30, silent: 2000})
	require.Equal(t, before, r.Epoch(), "the other may live: wait")
	r.receive(message{kind: kindNack, name: "eu-1", epoch: 1, max: before + 1<<30, silent: 11_000})
	require.Greater(t, r.Epoch(), before+1<<30)
	meta, held := r.Entry("room", dot)
	require.True(t, held)
	require.Equal(t, makeRef(before, dot), meta.Ref)

	after := r.Epoch()
	r.receive(message{kind: kindNack, name: "eu-1", epoch: 1, max: after + 1<<30, silent: 1 << 63})
	require.Greater(t, r.Epoch(), after+1<<30, "as long as can be")
}

func TestAReplicaOfOtherVersionsIsAdmittedAndReported(t *testing.T) {
	for what, reads := range map[string][2]uint64{"too new": {wireVersion + 1, wireVersion + 2}, "too old": {0, wireOldest - 1}, "": {1, wireVersion + 1}} {
		r, _ := newTestReplica("us-1")
		r.receive(message{kind: kindHeartbeat, name: "eu-1", epoch: 5, birth: 5, beat: 1, fingerprint: 1, oldest: reads[0], newest: reads[1]})
		reported := ""
		for _, n := range r.Ready().Notices {
			if strings.HasPrefix(n.What, "too ") {
				reported, _, _ = strings.Cut(n.What, ":")
			}
		}
		require.Equal(t, what, reported)
		require.True(t, r.Members()[0].Up)
	}
}

// Our own heartbeat was on its way when the connection broke: it does not mean that
// we are connected.
func TestALateEchoIsNoConnection(t *testing.T) {
	r, now := newTestReplica("us-1")
	r.BusDown(now)
	require.True(t, r.Status().Isolated)
	r.receive(message{kind: kindHeartbeat, name: "us-1", epoch: r.Epoch(), beat: 1})
	require.True(t, r.Status().Isolated)
	r.BusUp(now)
	r.receive(message{kind: kindHeartbeat, name: "us-1", epoch: r.Epoch(), beat: 2})
	require.False(t, r.Status().Isolated)
}

// A mirror is one as long as somebody holds it, and a release too many is none.
func TestAMirrorEndsWithItsLastUser(t *testing.T) {
	r, now := newTestReplica("us-1")
	r.AcquireAll(now)
	r.AcquireAll(now)
	r.ReleaseAll(now)
	now = now.Add(time.Hour)
	r.Tick(now)
	require.True(t, r.Status().Mirror)
	r.ReleaseAll(now)
	r.ReleaseAll(now)
	r.AcquireAll(now)
	now = now.Add(time.Hour)
	r.Tick(now)
	require.True(t, r.Status().Mirror)
	r.ReleaseAll(now)
	r.ReleaseAll(now.Add(time.Second))
	now = now.Add(time.Hour)
	r.Tick(now)
	require.False(t, r.Status().Mirror)
}

func TestAReplicaThatIsConfiguredDifferentlyIsAdmittedAndReported(t *testing.T) {
	for fingerprint, reports := range map[uint64]int{1: 0, 2: 1} {
		r, _ := newTestReplica("us-1")
		r.receive(message{kind: kindHeartbeat, name: "eu-1", epoch: 5, birth: 5, beat: 1, fingerprint: fingerprint})
		reported := 0
		for _, n := range r.Ready().Notices {
			if strings.HasPrefix(n.What, "configured differently") {
				reported++
			}
		}
		require.Equal(t, reports, reported)
		require.True(t, r.Members()[0].Up)
	}
}

func TestMergedDiffsAreTheNetDifference(t *testing.T) {
	p := func(key string, refs ...string) Presence {
		p := Presence{Key: key}
		for _, ref := range refs {
			p.Metas = append(p.Metas, Meta{Ref: ref, Data: []byte(`{}`)})
		}
		return p
	}
	join := Diff{Joins: []Presence{p("a", "1"), p("b", "2")}}
	update := Diff{Joins: []Presence{p("a", "3")}, Leaves: []Presence{p("a", "1")}}
	leave := Diff{Leaves: []Presence{p("b", "2")}}
	require.Equal(t, Diff{Joins: []Presence{p("a", "3")}}, join.Merge(update).Merge(leave))
	require.Equal(t, Diff{Joins: []Presence{p("a", "1"), p("b", "2")}}, join, "what was merged stays as it was")
	require.Equal(t, update, Diff{}.Merge(update))
	require.Equal(t, Diff{Joins: []Presence{p("a", "3")}, Leaves: []Presence{p("a", "1"), p("b", "2")}}, update.Merge(leave))
	require.True(t, leave.Merge(Diff{Joins: []Presence{p("b", "2")}}).Empty(), "hidden and shown again")
}

func TestDiffsAndListsEncodeAsPhoenixDoes(t *testing.T) {
	l := &List{Presences: []Presence{
		{Key: `a"<`, Metas: []Meta{{Ref: "r1", Data: []byte(`{}`)}, {Ref: "r3", PrevRef: "r2", Data: []byte(`{"x":1}`)}}},
		{Key: "__proto__", Metas: []Meta{{Ref: "r4", Data: []byte(`{"y":[]}`)}}},
	}}
	require.JSONEq(t, `{"a\"<":{"metas":[{"phx_ref":"r1"},{"phx_ref":"r3","phx_ref_prev":"r2","x":1}]},"__proto__":{"metas":[{"phx_ref":"r4","y":[]}]}}`, string(l.JSON()))
	require.Equal(t, `{"joins":{},"leaves":{}}`, string(Diff{}.JSON()))
}

// The wall clock only names epochs: a step of an hour, either way, changes
// nothing while a replica runs.
func TestAStepOfTheWallClockChangesNothing(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	wall := now
	random := rand.New(rand.NewPCG(1, 2))
	r := NewReplica(Config{Name: "us", Bus: payloadOnly{}}, now, func() time.Time { return wall }, random.Uint64)
	epoch := r.Epoch()
	require.NoError(t, r.Acquire(now, "room", true))
	beat := uint64(0)
	for _, step := range []time.Duration{time.Hour, -2 * time.Hour, 24 * time.Hour, 0} {
		wall = now.Add(step)
		for range 15 {
			beat++
			now = now.Add(time.Second)
			wall = wall.Add(time.Second)
			r.Tick(now)
			r.receive(message{kind: kindHeartbeat, name: "us", epoch: epoch, birth: epoch, beat: beat})
			r.receive(message{kind: kindHeartbeat, name: "eu", epoch: 5, birth: 5, beat: beat, fingerprint: 1, oldest: 1, newest: 2})
			for _, n := range r.Ready().Notices {
				require.Equal(t, "up", n.What)
			}
		}
		require.True(t, r.Members()[0].Up)
		require.Equal(t, epoch, r.Epoch())
		require.False(t, r.Status().Isolated)
	}
}

// A name that is restarted ten thousand times costs what one costs.
func TestRestartsLeaveNothingBehind(t *testing.T) {
	r, now := newTestReplica("us")
	require.NoError(t, r.Acquire(now, "room", true))
	for i := range uint64(10_000) {
		r.receive(message{kind: kindHeartbeat, name: "eu", epoch: i + 1, birth: i + 1, beat: 1})
		r.receive(message{kind: kindDelta, name: "eu", epoch: i + 1, birth: i + 1, parts: []topicPart{{
			topic: "room", delta: delta{To: 1, Adds: []entry{{Dot: 1, Origin: 1, Key: "alice", Value: value{meta: []byte(`{}`)}}}},
		}}})
		r.Ready()
		now = now.Add(100 * time.Millisecond)
		r.Tick(now)
		r.Ready()
	}
	require.Len(t, r.members, 1)
	require.Len(t, r.graves, 1)
	require.Len(t, r.topics, 1)
	require.Len(t, r.topics["room"].views, 1)
	require.Less(t, len(r.timers.heap), 1000)
}

// What leaves or joins with a member is told as it was then, whatever its view does
// before watchers are told.
func TestAMembersTurnIsToldAsItWasThen(t *testing.T) {
	for _, down := range []bool{true, false} {
		r, now := newTestReplica("us")
		require.NoError(t, r.Acquire(now, "room", true))
		r.receive(beatOf("eu", 5, 1))
		var adds []entry
		for n := uint64(1); n <= 100; n++ {
			adds = append(adds, entry{Dot: n, Origin: n, Key: "user", Value: value{meta: []byte(`{}`)}})
		}
		room, eu := r.topics["room"], r.members["eu"]
		r.receiveDelta(room, eu, delta{To: 100, Adds: adds}, false, room.views[0].nonce)
		r.Ready()
		if !down {
			r.show(eu, false, "")
			r.Ready()
		}
		require.Equal(t, Count{Keys: map[bool]int{true: 1}[down], Sessions: map[bool]int{true: 100}[down]}, without(r.Count("room")))

		r.show(eu, !down, "")
		r.receiveDelta(room, eu, delta{From: 100, Base: 100, To: 103, Rems: []uint64{1, 2, 64}}, true, 0)
		events := r.Ready().Events
		require.Len(t, events, 1)
		diff, left := events[0].Diff, 100
		told := diff.Leaves
		if !down {
			told, left = diff.Joins, 97
		}
		require.Len(t, told, 1)
		require.Len(t, told[0].Metas, left)
		refs := map[string]bool{}
		for _, m := range told[0].Metas {
			refs[m.Ref] = true
		}
		require.Len(t, refs, left)
		for _, dot := range []uint64{1, 2, 64} {
			require.Equal(t, down, refs[makeRef(eu.birth, dot)])
		}
		require.Len(t, r.List("room").Presences, map[bool]int{false: 1}[down])
	}
}

func without(c Count) Count {
	c.Complete = false
	return c
}
