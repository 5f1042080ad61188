package presencetest

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
)

// After an outage of everybody but one, all ask that one for the same.
func TestManyWhoAskForTheSameAreAnsweredTogether(t *testing.T) {
	names := []string{"eu"}
	for i := range 40 {
		names = append(names, fmt.Sprintf("r%02d", i))
	}
	c := New(1, names...)
	c.Advance(2 * time.Second)
	for _, name := range names[1:] {
		c.Watch(name, "room")
	}
	for i := range 50 {
		c.Track("eu", "room", fmt.Sprintf("u%d", i))
	}
	c.Advance(3 * time.Second)
	for _, name := range names[1:] {
		c.Outage(name)
	}
	c.Update("eu", 0)
	for _, name := range names[1:] {
		c.Reconnect(name)
	}
	before := c.Replica("eu").Status().Stats
	c.Advance(2 * time.Second)
	require.NoError(t, c.Check())
	for _, name := range names[1:] {
		require.Equal(t, c.List("eu", "room").JSON(), c.List(name, "room").JSON(), name)
	}
	after := c.Replica("eu").Status().Stats
	answers := after.Unchanged + after.LogRepairs + after.DotSets + after.Snapshots -
		before.Unchanged - before.LogRepairs - before.DotSets - before.Snapshots
	require.Greater(t, after.Joint, before.Joint)
	require.LessOrEqual(t, answers, uint64(30), "40 asked")
	require.NoError(t, c.CheckLive())
}

// A replica that has much to tell does it at the rate that it is allowed, and
// everybody gets it in the end.
func TestRepairsKeepToTheirRate(t *testing.T) {
	c := Setup{Config: presence.Config{RepairRate: 64 << 10}, MaxPayload: 8 << 10}.Start("eu", "us")
	c.Advance(2 * time.Second)
	for topic := range 100 {
		for i := range 50 {
			c.Track("eu", fmt.Sprintf("t%d", topic), fmt.Sprintf("u%d", i))
		}
	}
	c.Advance(10 * time.Second)
	for topic := range 100 {
		c.Watch("us", fmt.Sprintf("t%d", topic))
	}
	c.Advance(500 * time.Millisecond)
	known := c.Replica("us").Status().Replicas[0].Presences
	require.NotZero(t, known)
	require.Less(t, known, 2500, "5,000 presences are more than 64 KiB")
	c.Advance(10 * time.Second)
	require.Equal(t, 5000, c.Replica("us").Status().Replicas[0].Presences)
	require.NoError(t, c.Check())
	require.NoError(t, c.CheckLive())
}

// With its second tip an empty topic is forgotten, but not before its last change
// was told: the program's call can come before the timer that is due.
func TestALeaveJustWhenTheSecondTipIsDueIsTold(t *testing.T) {
	c := New(1)
	r := presence.NewReplica(presence.Config{Name: "eu", Bus: noBus{c: c}}, c.now(), c.now, c.random.Uint64)
	require.NoError(t, r.Acquire(c.now(), "room", false))
	dot, err := r.Track(c.now(), "room", "alice", []byte(`{}`))
	require.NoError(t, err)
	r.Ready()
	tracked := c.now()
	for range 4 {
		c.Advance(time.Second)
		r.Tick(c.now())
		r.Ready()
	}
	require.True(t, r.Untrack(tracked.Add(5*time.Second), "room", dot))
	var sent []string
	for _, op := range r.Ready().Ops {
		sent = append(sent, presence.DescribeMessage(op.Data))
	}
	require.Contains(t, sent, "delta")
}
