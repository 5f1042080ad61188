package replica

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// newTestReplica starts a replica with the default settings but for what set does.
func newTestReplica(name string, set ...func(*Config)) (*Replica, time.Time) {
	r, now := makeTestReplica(name, set...)
	r.Ready()
	return r, now
}

// makeTestReplica leaves what the replica wants done at its start to the caller.
func makeTestReplica(name string, set ...func(*Config)) (*Replica, time.Time) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	random := rand.New(rand.NewPCG(1, 2))
	return New(testConfig(name, set...), now, func() time.Time { return now }, random.Uint64), now
}

func testConfig(name string, set ...func(*Config)) Config {
	cfg := Defaults()
	cfg.Name, cfg.MaxPayload = name, func() int { return 1 << 20 }
	for _, set := range set {
		set(&cfg)
	}
	return cfg
}

// take returns what a message that is due to arrive says.
func take(data []byte) Message { return Decode(data, NewestVersion) }

// somebody is a presence as these tests see it.
type somebody struct {
	key   string
	metas []Meta
}

func everybody(rows []Row) []somebody {
	return Group(rows, func(m Meta) Meta { return m }, func(key string, metas []Meta) somebody { return somebody{key, metas} })
}

// list returns who is in a topic.
func list(r *Replica, topic string) []somebody {
	if t := r.topics[topic]; t != nil {
		return everybody(r.rows(t))
	}
	return nil
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
	for what, reads := range map[string][2]uint64{"too new": {NewestVersion + 1, NewestVersion + 2}, "too old": {0, OldestVersion - 1}, "": {1, NewestVersion + 1}} {
		r, _ := newTestReplica("us-1")
		r.receive(message{kind: kindHeartbeat, name: "eu-1", epoch: 5, birth: 5, beat: 1, fingerprint: 1, oldest: reads[0], newest: reads[1]})
		reported := ""
		for _, n := range r.Ready().Notices {
			if strings.HasPrefix(n.What, "too ") {
				reported, _, _ = strings.Cut(n.What, ":")
			}
		}
		require.Equal(t, what, reported)
		require.True(t, r.Peers()[0].Up)
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
		require.True(t, r.Peers()[0].Up)
	}
}

// The wall clock only names epochs: a step of an hour, either way, changes
// nothing while a replica runs.
func TestAStepOfTheWallClockChangesNothing(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	wall := now
	random := rand.New(rand.NewPCG(1, 2))
	r := New(testConfig("us"), now, func() time.Time { return wall }, random.Uint64)
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
		require.True(t, r.Peers()[0].Up)
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
	require.Len(t, r.peers, 1)
	require.Len(t, r.tombstones, 1)
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
		room, eu := r.topics["room"], r.peers["eu"]
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
		told, left := everybody(events[0].Left), 100
		if !down {
			told, left = everybody(events[0].Joined), 97
		}
		require.Len(t, told, 1)
		require.Len(t, told[0].metas, left)
		refs := map[string]bool{}
		for _, m := range told[0].metas {
			refs[m.Ref] = true
		}
		require.Len(t, refs, left)
		for _, dot := range []uint64{1, 2, 64} {
			require.Equal(t, down, refs[makeRef(eu.birth, dot)])
		}
		require.Len(t, list(r, "room"), map[bool]int{false: 1}[down])
	}
}

func without(c Count) Count {
	c.Complete = false
	return c
}
