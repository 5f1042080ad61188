package presencetest

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/presence"
)

// Each invariant is given something that breaks it, and says so. What no fault of
// the network can do is done to a message on its way, behind the cluster's back, or
// to what the witness remembers: a replica that shows what its owner never had, and
// an owner that never had what a replica shows, are the same to who judges.
func TestInvariantsNotice(t *testing.T) {
	for _, test := range []struct {
		name, says string
		breaks     func(t *testing.T, c *Cluster) error
	}{
		{"S1_another_value_at_the_same_number", "S1: the view of eu at 3", func(t *testing.T, c *Cluster) error {
			c.alter(t, "delta", `{"v":4}`, `{"v":7}`, func() { c.Update("eu", 0) })
			return c.check()
		}},
		{"S1_an_unsynced_view_that_shows_somebody", "S1: an unsynced view of eu shows 2 entries", func(_ *testing.T, c *Cluster) error {
			dump := c.replica("us").Dump("room")
			dump.Views[0].Synced = false
			return c.checkView(c.host("us"), "room", dump.Views[0], false)
		}},
		{"S1_a_number_that_was_never_given", "S1: the view of eu is at", func(_ *testing.T, c *Cluster) error {
			c.host("eu").process.last = 1
			return c.check()
		}},
		{"S2_an_identity_that_was_there_before", "S2: eu takes epoch", func(_ *testing.T, c *Cluster) error {
			c.random = rand.New(same(7))
			c.Restart("eu", 0)
			c.random = rand.New(same(7))
			c.Restart("eu", 0)
			return c.check()
		}},
		{"S2_a_number_that_was_given_before", "S2: eu gives number 3", func(_ *testing.T, c *Cluster) error {
			c.host("eu").process.last = 3
			c.Track("eu", "room", "dave")
			return c.check()
		}},
		{"S3_a_view_that_goes_back", "S3: the view of eu went back from 9 to 2", func(_ *testing.T, c *Cluster) error {
			us := c.host("us")
			for key := range us.reached {
				us.reached[key] = 9
			}
			return c.check()
		}},
		{"S4_somebody_who_left_is_there_again", "S1: the view of eu at 3", func(t *testing.T, c *Cluster) error {
			// The delta takes bob away in alice's stead.
			c.alter(t, "delta", "\x02\x02\x03\x00\x01\x01\x00", "\x02\x02\x03\x00\x01\x02\x00", func() { c.Untrack("eu", 0) })
			return c.check()
		}},
		{"S5_who_was_never_heard", "S5: it shows epoch", func(_ *testing.T, c *Cluster) error {
			delete(c.host("us").heard, "eu")
			return c.check()
		}},
		{"S5_an_epoch_that_is_over", "S5: it shows epoch", func(_ *testing.T, c *Cluster) error {
			us := c.host("us")
			us.hears(identity{"eu", c.replica("eu").Epoch() + 1}, 1, c.at, c.oblivion())
			return c.check()
		}},
		{"S6_a_join_of_who_is_there", " joined twice with ", func(_ *testing.T, c *Cluster) error {
			c.host("us").watches["room"].fold(presence.Event{Diff: presence.Diff{Joins: c.List("us", "room").Presences}})
			return c.check()
		}},
		{"S6_a_leave_of_who_is_not", "S6: dave left with x and was not there", func(_ *testing.T, c *Cluster) error {
			dave := presence.Presence{Key: "dave", Metas: []presence.Meta{{Ref: "x"}}}
			c.host("us").watches["room"].fold(presence.Event{Diff: presence.Diff{Leaves: []presence.Presence{dave}}})
			return c.check()
		}},
		{"S6_a_join_that_was_not_told", "S6: eu holds dave", func(_ *testing.T, c *Cluster) error {
			watch := c.host("us").watches["room"]
			c.host("us").watches["room"] = newFolded(&presence.List{}) // it sleeps
			c.Track("eu", "room", "dave")
			c.Advance(time.Second)
			c.host("us").watches["room"] = watch
			return c.check()
		}},
		{"S6_a_leave_that_was_not_told", "S6: 2 metas are held, the folded diffs have 3", func(_ *testing.T, c *Cluster) error {
			watch := c.host("us").watches["room"]
			delete(c.host("us").watches, "room")
			c.Untrack("eu", 0)
			c.Advance(time.Second)
			c.host("us").watches["room"] = watch
			return c.check()
		}},
		{"S6_a_list_of_something_else", "the list misses 3 metas", func(_ *testing.T, c *Cluster) error {
			dump := c.replica("us").Dump("room")
			return checkList(&presence.List{}, &dump)
		}},
		{"S7_complete_below_where_a_member_stood", "S7: it is complete, and the view of eu stands at 2; that was at 3", func(_ *testing.T, c *Cluster) error {
			c.host("us").since["room"][c.host("eu").process.birth] = 3
			return c.check()
		}},
		{"S7_complete_without_a_member", "S7: it is complete without eu", func(_ *testing.T, c *Cluster) error {
			dump := c.replica("us").Dump("room")
			dump.Views = nil
			c.host("us").since["room"][c.host("eu").process.birth] = 2
			return c.checkAbsent(c.host("us"), "room", &dump)
		}},
		{"S8_an_entry_that_nobody_ended", "S8: it holds [1] of its own, and was made to hold [1 2]", func(_ *testing.T, c *Cluster) error {
			c.replica("eu").Untrack(c.now(), "room", 2)
			return c.check()
		}},
		{"S8_a_call_that_did_something_else", "S8: eu was made to hold 4 entries in topic room, and holds 3", func(_ *testing.T, c *Cluster) error {
			eu := c.host("eu")
			eu.entries = append(eu.entries, eu.entries[0])
			c.Track("eu", "room", "dave")
			return c.check()
		}},
		{"S9_content_that_differs_at_the_same_number", "S9: us found 1 contents that differ", func(t *testing.T, c *Cluster) error {
			c.alter(t, "delta", `{"v":4}`, `{"v":7}`, func() { c.Update("eu", 0) })
			c.Advance(1500 * time.Millisecond) // a tip
			return c.check()
		}},
		{"S10_a_message_that_is_too_large", "S10: ", func(_ *testing.T, c *Cluster) error {
			c.setMaxPayload(20)
			c.Advance(time.Second)
			return c.check()
		}},
		{"S10_a_subscription_that_nobody_needs", "S10: it is subscribed, and does not follow it", func(_ *testing.T, c *Cluster) error {
			c.Track("eu", "another", "dave")
			c.subscribe(c.host("us"), bus.TopicDest("another"))
			return c.check()
		}},
		{"S10_what_is_held_back_without_end", "S10: the view of eu holds 5 deltas back", func(_ *testing.T, c *Cluster) error {
			dump := c.replica("us").Dump("room")
			dump.Views[0].Held = 5
			return c.checkView(c.host("us"), "room", dump.Views[0], true)
		}},
		{"L1_what_was_lost_and_not_noticed_yet", "L1: it has [1 2] of eu, which has [1 2 3]", func(_ *testing.T, c *Cluster) error {
			c.lose("eu", "us", "delta", 1)
			c.Track("eu", "room", "dave")
			return c.checkLive()
		}},
		{"L1_a_mirror_that_knows_a_topic_too_few", "L1: the mirror lists [room]", func(_ *testing.T, c *Cluster) error {
			c.mirror("us")
			c.Advance(2 * time.Second)
			c.lose("eu", "us", "delta", 1)
			c.Track("eu", "another", "dave")
			us := c.host("us")
			us.since["another"] = map[uint64]uint64{}
			return c.checkMirror(us)
		}},
		{"L2_who_is_not_seen", "L2: us does not see eu", func(_ *testing.T, c *Cluster) error {
			c.Cut("eu", "us", true)
			c.Advance(15 * time.Second)
			return c.checkLive()
		}},
		{"L3_who_was_killed_a_moment_ago", "L3: us still shows eu", func(_ *testing.T, c *Cluster) error {
			c.Kill("eu")
			return c.checkLive()
		}},
		{"L4_a_question_without_an_answer_yet", "L4: it is not complete", func(_ *testing.T, c *Cluster) error {
			c.hold("eu", "us", "reply")
			c.Track("eu", "another", "dave")
			c.Watch("us", "another")
			c.Advance(time.Second)
			return c.checkLive()
		}},
		{"L5_who_came_back_and_is_not_heard_yet", "L5: ", func(*testing.T, *Cluster) error {
			c := New(1, "eu", "us", "twin=eu")
			c.Advance(500 * time.Millisecond)
			return c.checkLive()
		}},
		{"L6_tips_of_a_change_just_now", "L6: nothing happens, and this was sent: map[tip:2]", func(_ *testing.T, c *Cluster) error {
			c.Track("eu", "room", "dave")
			c.Advance(500 * time.Millisecond)
			return c.checkQuiet()
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := New(1, "eu", "us")
			c.Advance(2 * time.Second)
			c.Watch("us", "room")
			c.Track("eu", "room", "alice")
			c.Track("eu", "room", "bob")
			c.Track("us", "room", "carol")
			c.Advance(20 * time.Second)
			require.NoError(t, c.checkLive(), "all is well")
			require.NoError(t, c.checkQuiet(), "all is well")
			for _, h := range c.hosts {
				h.touched = true
			}
			require.ErrorContains(t, test.breaks(t, c), test.says)
		})
	}
}

// alter has what do makes eu say, in messages of a kind, arrive at us with old
// replaced.
func (c *Cluster) alter(t *testing.T, kind, old, new string, do func()) {
	t.Helper()
	c.hold("eu", "us", kind)
	do()
	altered := 0
	for i := range c.traps[0].letters {
		l := &c.traps[0].letters[i]
		l.data = slices.Clone(l.data)
		altered += bytes.Count(l.data, []byte(old))
		l.data = bytes.Replace(l.data, []byte(old), []byte(new), 1)
	}
	require.Equal(t, 1, altered, "there is one place")
	c.release("eu", "us")
	c.Advance(10 * time.Millisecond)
}

// same is a source of the same number ever again.
type same uint64

func (s same) Uint64() uint64 { return uint64(s) }
