package presence

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

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
