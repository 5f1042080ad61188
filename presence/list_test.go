package presence

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

func presenceOf(key string, refs ...string) Presence {
	p := Presence{Key: key}
	for _, ref := range refs {
		p.Metas = append(p.Metas, Meta{Ref: ref, Data: json.RawMessage(`{"of":"` + ref + `"}`)})
	}
	return p
}

func TestApplyKeepsOrderAndPlaces(t *testing.T) {
	l := &List{Topic: "t", Complete: true, Presences: []Presence{presenceOf("a", "1"), presenceOf("b", "2", "3", "4"), presenceOf("d", "5")}}
	updated := presenceOf("b", "6", "7")
	updated.Metas[0].PrevRef = "3" // in its place
	updated.Metas[1].PrevRef = "9" // of which l knows nothing
	for _, encoded := range []bool{false, true} {
		if encoded {
			l.JSON()
		}
		next := l.Apply(Diff{
			Joins:  []Presence{presenceOf("0", "8"), updated, presenceOf("c", "10"), presenceOf("e", "11")},
			Leaves: []Presence{presenceOf("b", "2", "3"), presenceOf("c", "12"), presenceOf("d", "5"), presenceOf("z", "13")},
		})
		want := updated
		want.Metas = []Meta{updated.Metas[0], l.Presences[1].Metas[2], updated.Metas[1]}
		require.Equal(t, []Presence{presenceOf("0", "8"), presenceOf("a", "1"), want, presenceOf("c", "10"), presenceOf("e", "11")}, next.Presences)
		require.True(t, next.Complete)
		require.Equal(t, encoded, next.encoded.Load() != nil)
		require.Len(t, l.Presences, 3, "the old one stays as it is")
		require.Len(t, l.Presences[1].Metas, 3)
		require.Same(t, l, l.Apply(Diff{}))
	}
}

// What is put together from pieces is what would have been encoded at once.
func TestAListFromPiecesIsEncodedAsAWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	l := &List{Topic: "t"}
	present := map[string]Presence{}
	for i := range 2000 {
		var d Diff
		for range r.IntN(4) {
			key := fmt.Sprintf("k<%d", r.IntN(30))
			old, there := present[key]
			if there && indexKey(d.Leaves, key) < 0 && indexKey(d.Joins, key) < 0 {
				d.Leaves = append(d.Leaves, old)
				delete(present, key)
			}
			if r.IntN(3) > 0 && indexKey(d.Joins, key) < 0 {
				p := presenceOf(key, fmt.Sprint(i))
				d.Joins = append(d.Joins, p)
				present[key] = p
			}
		}
		// As a replica gives them: sorted by key.
		l = l.Apply(Diff{}.Merge(Diff{Joins: sortedByKey(d.Joins), Leaves: sortedByKey(d.Leaves)}))
		if r.IntN(3) == 0 {
			l.JSON()
		}
		whole := &List{Presences: l.Presences}
		require.Equal(t, string(whole.JSON()), string(l.JSON()))
		require.Equal(t, whole.encoded.Load().ends, l.encoded.Load().ends)
		require.Len(t, l.Presences, len(present))
		for _, p := range l.Presences {
			require.Equal(t, present[p.Key], p)
		}
	}
}

func indexKey(list []Presence, key string) int {
	for i, p := range list {
		if p.Key == key {
			return i
		}
	}
	return -1
}

func sortedByKey(list []Presence) []Presence {
	c := byKey{}
	for _, p := range list {
		c[p.Key] = p.Metas
	}
	return c.presences()
}

func TestJSONIsSharedWhileNothingChanges(t *testing.T) {
	l := &List{Topic: "t", Presences: []Presence{presenceOf("a", "1")}}
	other := l.withComplete(true)
	require.NotSame(t, l, other)
	require.False(t, l.Complete)
	first := l.JSON()
	require.Same(t, &first[0], &l.JSON()[0])
	require.Same(t, &first[0], &l.withComplete(true).JSON()[0])
	require.Equal(t, `{"a":{"metas":[{"phx_ref":"1","of":"1"}]}}`, string(first))
}

// A list that is made from the one before it equals one that is made anew, whatever
// happened in between, here and on another replica.
func TestAListMadeFromTheOneBeforeEqualsOneMadeAnew(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	names := []string{"eu", "us"}
	replicas := make([]*replica.Replica, len(names))
	dots := make([][]uint64, len(names))
	pass := func(d time.Duration) {
		now = now.Add(d)
		for _, r := range replicas {
			r.Tick(now)
		}
		for busy := true; busy; {
			busy = false
			for i, from := range replicas {
				for _, op := range from.Ready().Ops {
					if op.Kind != replica.OpPublish {
						continue
					}
					busy = true
					for j, to := range replicas {
						if j != i || replica.Kind(op.Data) == "heartbeat" {
							to.Receive(now, replica.Decode(op.Data, replica.NewestVersion))
						}
					}
				}
			}
		}
	}
	for i, name := range names {
		cfg := replica.Defaults()
		cfg.Name, cfg.MaxPayload = name, func() int { return 1 << 20 }
		replicas[i] = replica.New(cfg, now, func() time.Time { return now }, random.Uint64)
		require.NoError(t, replicas[i].Acquire(now, "room", false))
	}
	for range 20 {
		pass(100 * time.Millisecond)
	}
	us := replicas[1]
	crowded := 0 // keys of several metas that were seen
	for n := range 3000 {
		i := random.IntN(len(replicas))
		meta := func() []byte { return fmt.Appendf(nil, `{"v":%d}`, n) }
		switch at := random.IntN(100); {
		case at >= len(dots[i]):
			dot, err := replicas[i].Track(now, "room", fmt.Sprint("user ", random.IntN(60)), meta())
			require.NoError(t, err)
			dots[i] = append(dots[i], dot)
		case random.IntN(3) == 0:
			data := meta()
			if random.IntN(3) == 0 {
				data = hide(data)
			}
			dots[i][at], _ = replicas[i].Update(now, "room", dots[i][at], data)
		default:
			replicas[i].Untrack(now, "room", dots[i][at])
			dots[i] = append(dots[i][:at], dots[i][at+1:]...)
		}
		if random.IntN(4) > 0 {
			pass(20 * time.Millisecond)
		}
		if random.IntN(4) > 0 {
			continue
		}
		list := readList(us, "room")
		if random.IntN(3) == 0 {
			list.JSON()
		}
		us.Keep("room", nil, 0)
		anew := readList(us, "room")
		require.Len(t, list.Presences, len(anew.Presences))
		for i, p := range list.Presences {
			require.Equal(t, anew.Presences[i], p)
		}
		require.Equal(t, string(anew.JSON()), string(list.JSON()))
		if len(list.Presences) > 0 {
			us.Keep("room", list, len(list.Presences))
		}
		for _, p := range list.Presences {
			if len(p.Metas) > 2 {
				crowded++
			}
		}
	}
	require.NotZero(t, crowded)
}
