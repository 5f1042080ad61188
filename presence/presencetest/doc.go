// Package presencetest tests programs that rely on package presence. It runs a cluster
// of replicas in one goroutine and in virtual time, over a network that loses, repeats,
// reorders and delays messages and cuts one way; replicas stop, go on, die, leave, and
// come back with their clocks set back. A thousand faults take milliseconds, and a run
// is repeated exactly by its seed.
//
//	c := presencetest.New(1, "eu", "us")
//	c.Watch("us", "room")
//	c.Track("eu", "room", "alice")
//	c.Cut("eu", "us", true)
//	c.Advance(15 * time.Second)
//	c.List("us", "room") // empty: eu was silent for DownPeriod
//
// A [Cluster] runs the state machine that a presence.Tracker has inside, without the
// tracker's goroutines, timers and bus. What decides in the program is given
// [Cluster.List], or the events of [Cluster.OnEvent]; what the program tracks goes in
// with [Cluster.TrackMeta] and [Cluster.UpdateMeta].
//
// # Scripts
//
// A [Script] tells a story with commands of the program's own beside those of
// [RunScript], which has more faults than the methods of Cluster. A script begins as
// commands with "----" under them. "go test -args -rewrite" records what happens, and
// from then on that must happen:
//
//	run
//	start eu us
//	eu vote room alice 3
//	cut us eu
//	wait 15s
//	us result room
//	----
//
// After each command the invariants of the replication protocol are checked; a
// violation is a fault of package presence, and fails the test.
//
// Nothing here may be used concurrently.
package presencetest
