package presencetest

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/internal/replica"
)

// A view that differs from its owner's content at the same number, which no
// fault of the network can do, is noticed by the next tip and fetched anew. What
// it held stays visible until then, and watchers are told the difference.
func TestAuditFindsAndRepairsADifference(t *testing.T) {
	c := New(1, "eu", "us")
	c.Advance(2 * time.Second)
	c.Watch("us", "room")
	c.Advance(time.Second)
	c.hold("eu", "us", "delta")
	c.Track("eu", "room", "alice")
	held := &c.traps[0].letters[0]
	require.Contains(t, string(held.data), `{"v":1}`)
	held.data = bytes.Replace(held.data, []byte(`{"v":1}`), []byte(`{"v":7}`), 1)
	c.release("eu", "us")
	c.Advance(500 * time.Millisecond)
	require.Equal(t, `us: room alice{"v":7}`, c.Describe("us", "room"))

	c.hold("eu", "us", "reply")
	c.Advance(600 * time.Millisecond)
	require.Contains(t, c.Describe("us", "room"), `us: room alice{"v":7}`, "until the answer")
	require.Equal(t, replica.Count{Keys: 1, Sessions: 1}, c.replica("us").Count("room"), "for new readers too")
	c.release("eu", "us")
	c.Advance(500 * time.Millisecond)
	require.Equal(t, `us: room alice{"v":1}`, c.Describe("us", "room"))
	dump := c.replica("us").Dump("room")
	require.NoError(t, c.host("us").watches["room"].check(&dump, c.List("us", "room"), 0))
	require.Equal(t, uint64(1), c.replica("us").Status().Stats.AuditMismatches)
}

// The owner falls silent for good while what differs is fetched anew: what was shown
// has left with it, and does not leave once more with a late answer.
func TestAuditOfAMemberThatGoesDown(t *testing.T) {
	c := New(1, "eu", "us")
	c.Advance(2 * time.Second)
	c.Watch("us", "room")
	c.Advance(time.Second)
	c.alter(t, "delta", `{"v":1}`, `{"v":7}`, func() { c.Track("eu", "room", "alice") })
	c.hold("eu", "us", "reply")
	c.Advance(2 * time.Second)
	require.Equal(t, uint64(1), c.replica("us").Status().Stats.AuditMismatches)
	c.Kill("eu")
	c.Advance(5 * time.Second)
	require.Equal(t, "us: room nobody", c.Describe("us", "room"))
	require.NotZero(t, c.release("eu", "us"))
	c.Advance(time.Second)
	require.Equal(t, "us: room nobody", c.Describe("us", "room"))
	require.NoError(t, c.host("us").watches["room"].fault)
}

// Only what differs leaves and joins again.
func TestAuditLeavesTheRestAsItIs(t *testing.T) {
	c := New(1, "eu", "us")
	c.Advance(2 * time.Second)
	c.Watch("us", "room")
	c.Track("eu", "room", "bob")
	c.Advance(8 * time.Second)
	var told []string
	c.OnEvent("us", func(e presence.Event) { told = append(told, describe(e)) })
	c.alter(t, "delta", `{"v":2}`, `{"v":7}`, func() { c.Track("eu", "room", "alice") })
	c.Advance(2 * time.Second)
	require.Equal(t, []string{`+alice{"v":7}`, `(incomplete)`, `-alice{"v":7} (incomplete)`, `+alice{"v":2}`}, told)
}
