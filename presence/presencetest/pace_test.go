package presencetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/presence/internal/replica"
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
	before := c.replica("eu").Status().Stats
	c.Advance(2 * time.Second)
	require.NoError(t, c.check())
	for _, name := range names[1:] {
		require.Equal(t, c.List("eu", "room").JSON(), c.List(name, "room").JSON(), name)
	}
	after := c.replica("eu").Status().Stats
	answers := after.Unchanged + after.LogRepairs + after.DotSets + after.Snapshots -
		before.Unchanged - before.LogRepairs - before.DotSets - before.Snapshots
	require.Greater(t, after.Joint, before.Joint)
	require.LessOrEqual(t, answers, uint64(30), "40 asked")
	require.NoError(t, c.checkLive())
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
	known := c.replica("us").Status().Peers[0].Presences
	require.NotZero(t, known)
	require.Less(t, known, 2500, "5,000 presences are more than 64 KiB")
	c.Advance(3 * time.Second)
	require.Equal(t, 5000, c.replica("us").Status().Peers[0].Presences, "as soon as the rate allows")
	require.NoError(t, c.check())
	require.NoError(t, c.checkLive())
}

// With its second tip an empty topic is forgotten, but not before its last change
// was told: the program's call can come before the timer that is due.
func TestALeaveJustWhenTheSecondTipIsDueIsTold(t *testing.T) {
	c := New(1)
	r := replica.New(c.config(presence.Config{}, "eu", ""), c.now(), c.now, c.random.Uint64)
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
		sent = append(sent, replica.Kind(op.Data))
	}
	require.Contains(t, sent, "delta")
}

// Those who become interested in the same at one time are answered together, too.
func TestManyNewcomersAreAnsweredTogether(t *testing.T) {
	names := []string{"eu"}
	for i := range 40 {
		names = append(names, fmt.Sprintf("r%02d", i))
	}
	c := New(1, names...)
	c.hold("r01", "eu", "heartbeat")
	c.Restart("r01", time.Second) // eu does not know this one: it is answered alone
	c.Advance(2 * time.Second)
	c.Track("eu", "room", "alice")
	c.Advance(10 * time.Second)
	before := c.replica("eu").Status().Stats
	for _, name := range names[1:] {
		c.Watch(name, "room")
	}
	c.Advance(200 * time.Millisecond) // before anybody asks for the second time
	for _, name := range names[1:] {
		require.Equal(t, name+`: room alice{"v":1}`, c.Describe(name, "room"))
	}
	after := c.replica("eu").Status().Stats
	require.Greater(t, after.Joint, before.Joint)
	require.LessOrEqual(t, after.Snapshots-before.Snapshots, uint64(5), "40 asked")
	require.NoError(t, c.check())
}

// A large answer about everything comes in pages, and each is asked for when the one
// before has come.
func TestAMirrorAsksForTheNextPage(t *testing.T) {
	c := New(1, "eu", "us")
	c.Advance(2 * time.Second)
	big := []byte(`{"big":"` + strings.Repeat("x", 64<<10) + `"}`)
	for i := range 40 {
		c.TrackMeta("eu", fmt.Sprint("room", i), "alice", big)
	}
	c.Advance(10 * time.Second)
	c.kinds = map[string]int{}
	c.mirror("us")
	c.Advance(400 * time.Millisecond)
	topics, complete := c.replica("us").Topics()
	require.True(t, complete)
	require.Len(t, topics, 40)
	require.GreaterOrEqual(t, c.kinds["syncall"], 3, "2.5 MiB, a MiB at a time")
	require.NoError(t, c.check())
}

// Word of the network that nobody is there comes late, after the member was heard:
// it does not begin the time after which such words count.
func TestLateWordThatNobodyIsThereIsNone(t *testing.T) {
	c := New(1, "eu", "us")
	c.Advance(2 * time.Second)
	c.Watch("us", "room")
	c.Track("eu", "room", "alice")
	c.Advance(3 * time.Second)
	var address string
	for dest, hosts := range c.subs {
		if strings.HasPrefix(dest, "r:") && hosts[0].name == "eu" {
			address = dest
		}
	}
	require.NotEmpty(t, address)
	for c.replica("us").Status().Peers[0].Silent > time.Millisecond {
		c.Advance(time.Millisecond)
	}
	c.replica("us").Unreachable(c.now(), address)
	c.collect(c.host("us"))
	c.hide("eu", true)
	c.Advance(2 * time.Second)
	require.Equal(t, `us: room alice{"v":1}`, c.Describe("us", "room"), "probed from 1.2 s on")
	c.hide("eu", false)
	c.Advance(2 * time.Second)
	require.Equal(t, `us: room alice{"v":1}`, c.Describe("us", "room"))
}
