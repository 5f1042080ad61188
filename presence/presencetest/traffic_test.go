package presencetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A mirror asks for what it has to know; nobody sends anything else for it, and
// when nothing happens it costs one question a beat.
func TestAMirrorCostsTheOthersItsAnswersOnly(t *testing.T) {
	sent := func(mirror bool) map[string]int {
		c := New(1, "eu", "us", "ap")
		c.Advance(2 * time.Second)
		if mirror {
			c.mirror("ap")
		}
		c.Advance(2 * time.Second)
		c.kinds = map[string]int{}
		c.Watch("us", "room0")
		for i := range 30 {
			c.Track("eu", fmt.Sprint("room", i%10), fmt.Sprint("user", i))
			c.Advance(100 * time.Millisecond)
		}
		c.Advance(10 * time.Second)
		require.NoError(t, c.checkLive())
		return c.kinds
	}
	without, with := sent(false), sent(true)
	for _, kind := range []string{"delta", "tip"} {
		require.Equal(t, without[kind], with[kind], kind)
	}
	require.LessOrEqual(t, with["sync"]+with["reply"], without["sync"]+without["reply"])
	require.InDelta(t, 13, with["syncall"], 2, "one a beat")
	require.Equal(t, with["syncall"], with["page"])
}
