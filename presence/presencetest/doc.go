// Package presencetest runs clusters of presence replicas in one goroutine and
// in virtual time, over a network that loses, repeats, reorders, delays, cuts
// one way, and stops and restarts replicas with their clocks set back; and it
// checks after every step that no replica shows what it must not.
//
// A [Cluster] works on [presence.Replica], the state machine, without any
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
//     heartbeats told of;
//   - S6 folding all diffs given to a watcher over its state equals the list, and
//     what is held;
//   - S7 a topic that is complete holds what every other replica that is up had
//     when interest in it began;
//   - S9 equal numbers have equal content (no audit ever fails);
//   - S10 what is held back is bounded;
//   - S8 a replica's own entries change by its own calls alone.
//
// [Cluster.Heal] ends all faults, and [Cluster.CheckLive] then verifies that
// every replica sees every other one, that every topic that is followed is
// complete, and that all lists are equal; [Cluster.CheckQuiet], that the traffic
// falls to heartbeats and the background comparison.
//
// Nothing here may be used concurrently.
package presencetest
