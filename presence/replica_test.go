package presence

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type payloadOnly struct{ Bus }

func (payloadOnly) MaxPayload() int { return 1 << 20 }

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
	seen := map[string]bool{}
	for _, birth := range []uint64{1, 1 << 40, 1<<64 - 1} {
		for _, n := range []uint64{1, 63, 64, 255, 256, 1 << 20, 1 << 40} {
			ref := makeRef(birth, n)
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
