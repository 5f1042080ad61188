// Package presencetest runs clusters of presence replicas in one goroutine and
// in virtual time, over a network that loses, repeats, reorders, delays, cuts
// one way, and stops and restarts replicas with their clocks set back; and it
// checks after every step that no replica shows what it must not.
//
// A [Cluster] works on [replica.Replica], the state machine, without any
// goroutine or timer: a thousand faults take milliseconds, and a run is repeated
// exactly by its seed.
//
//	c := presencetest.New(1, "eu", "us")
//	c.Watch("us", "room")
//	c.Track("eu", "room", "alice")
//	c.Advance(time.Second)
//	c.List("us", "room")
//
// # Invariants
//
// [Cluster.Check] verifies, for every replica and topic:
//
//   - S1 every synced view equals its owner's history at exactly its number;
//   - S2 no two processes ever have the same name and epoch, and none gives a
//     number twice: (name, epoch, topic, number) means one content, which every
//     view of it is compared with;
//   - S3 what one replica shows of (owner, epoch, topic) never goes back;
//   - S4 a removed dot never reappears (it follows from S1 and S3);
//   - S5 nothing is visible of a replica but of the highest epoch that its own
//     heartbeats told of, and nothing once that one has left;
//   - S6 folding all diffs given to a watcher over its state equals the list, and
//     what is held;
//   - S7 a topic that is complete holds what every other replica that is up had
//     when interest in it began;
//   - S9 equal numbers have equal content (no audit ever fails);
//   - S10 what is held back is bounded, every message is as small as the bus wants
//     it, and nothing is heard or held of topics that are not followed;
//   - S8 a replica's own entries change by its own calls alone.
//
// [Cluster.Heal] ends all faults. [Cluster.CheckGone] then verifies that nobody
// shows a replica that does not run (L3); [Cluster.CheckLive], that every replica
// sees every other one (L2), of two of one name the later one, while the other is
// fenced (L5), that every topic that is followed is complete (L4), and that all
// lists are equal (L1); [Cluster.CheckQuiet], that the traffic falls to heartbeats
// and the background comparison (L6).
//
// # Schedules and scripts
//
// [Schedule] makes up a story of random commands and carries it out, with the
// invariants checked after every single one. The commands are those of
// [RunScript]: a story that fails is returned as a script, cut down to what it
// takes. What may happen: messages are lost, repeated, delayed, overtake each
// other, are kept for a minute and a half; connections are cut one way, lost and
// regained with and without word of it; consumers are too slow; replicas stop and
// go on, die, leave, come back with their clocks set back or ahead, and two run
// under one name; topics are left and followed again, and messages are so small
// that answers go in chunks.
//
// # Testing a program
//
// A program that decides by who is present is tested like the replicas are. What
// decides is given [Cluster.List], or the events of [Cluster.OnEvent]; what it says
// of itself goes in with [Cluster.TrackMeta] and [Cluster.UpdateMeta]. [Script] is
// RunScript with commands of the program's own, so that a story of votes, leaders
// or games can be told with all of the faults above, and read. A script begins as
// commands with "----" under them; go test -args -rewrite records what happens, and
// from then on that is what must happen:
//
//	run
//	start eu us
//	eu vote room alice 3
//	cut us eu
//	wait 15s
//	us result room
//	----
//
// Nothing here may be used concurrently.
package presencetest
