package presencetest

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
)

// A view that differs from its owner's content at the same number, which no
// fault of the network can do, is noticed by the next tip and fetched anew. What
// it held stays visible until then, and watchers are told the difference.
func TestAuditFindsAndRepairsADifference(t *testing.T) {
	c := New(1, "eu", "us")
	c.Advance(2 * time.Second)
	c.Watch("us", "room")
	c.Advance(time.Second)
	c.Hold("eu", "us", "delta")
	c.Track("eu", "room", "alice")
	held := &c.traps[0].letters[0]
	require.Contains(t, string(held.data), `{"v":1}`)
	held.data = bytes.Replace(held.data, []byte(`{"v":1}`), []byte(`{"v":7}`), 1)
	c.Release("eu", "us")
	c.Advance(500 * time.Millisecond)
	require.Equal(t, `us: room alice{"v":7}`, c.Describe("us", "room"))

	c.Hold("eu", "us", "reply")
	c.Advance(600 * time.Millisecond)
	require.Contains(t, c.Describe("us", "room"), `us: room alice{"v":7}`, "until the answer")
	require.Equal(t, presence.Count{Keys: 1, Sessions: 1}, c.Replica("us").Count("room"), "for new readers too")
	c.Release("eu", "us")
	c.Advance(500 * time.Millisecond)
	require.Equal(t, `us: room alice{"v":1}`, c.Describe("us", "room"))
	dump := c.Replica("us").Dump("room")
	require.NoError(t, c.host("us").watches["room"].check(&dump, c.List("us", "room"), 0))
	require.Equal(t, uint64(1), c.Replica("us").Status().Stats.AuditMismatches)
}
