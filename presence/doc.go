// Package presence tracks who is present where in a cluster: topic by topic, each
// replica knows who is there, and in what state. It needs a bus between replicas,
// and brings no HTTP, no WebSocket and no NATS server.
//
//	bus, err := natsbus.New(conn, natsbus.Config{}) // or membus.New().Bus() in one process
//	tracker, err := presence.Start(ctx, presence.Config{Name: "eu-1", Bus: bus})
//	session := tracker.NewSession()
//	ref, err := session.Track("room:lobby", "alice", map[string]any{"mood": "fine"})
//	list, err := tracker.List(ctx, "room:lobby")
//	watch, err := tracker.Watch("room:lobby", func(e presence.Event) { ... })
//	...
//	err = tracker.Close(ctx) // our presences leave everywhere at once
//
// # Terms
//
// A topic is any UTF-8 string of 1 to 255 bytes. A key names what is present in it:
// mostly a user id. A [Session] holds presences: a joined channel, or any lease that
// a program opens; when it ends, its presences end. A [Meta] is the state of one
// presence: a small JSON object. Each of its values has a ref (phx_ref) that is
// unique in the cluster. A replica is one running [Tracker]: a name and an epoch; a
// restart is a new epoch of the same name. A [Diff] is what changed in a topic. A
// [Hidden] presence is not shown to clients: an observer, a bot.
//
// # What a list promises
//
// A replica's own changes are in its lists at once, those of other replicas one
// message later: some milliseconds. A lost message delays a change until the loss is
// repaired, within a second or so; it never makes a presence leave. A replica that
// was killed is gone within three seconds when the network sees it die, else after
// Config.DownPeriod; one that stops gracefully is gone at once. A replica that is cut
// off itself shows the others as it last saw them, for up to Config.IsolatedPeriod.
//
// A list is complete when every replica that is up has told what it has in the topic.
// It is incomplete just after the first use of the topic, and just after the start.
// On each side of a network cut, lists are complete without the other side.
//
// A replica follows only the topics that are used on it, and forgets one
// Config.Linger after its last use. [Tracker.WatchAll] makes it a mirror, which
// follows all topics of the cluster, and costs as much memory as all of them.
//
// # Concurrency
//
// All methods of Tracker, Session and Watch may be called concurrently. The handler
// of a watch is called one call at a time, in order, beside those of other watches;
// a slow one delays its own events only: see [Tracker.Watch]. Lists, metas and diffs
// are shared and must not be changed.
//
// # Limits and trust
//
// Every limit is a field of [Config] and an error of its own. What waits for the bus
// is bounded (32 MiB), and so is what waits for a watch. Answers to replicas that are
// behind keep to Config.RepairRate. Every publisher on the bus is trusted: a forged
// heartbeat evicts a replica, a forged leave hides it. No message changes a replica's
// own presences.
//
// Names must be unique. Of two live processes of one name the one that started later
// is heard. The other is fenced: its log and its Status say so, and it comes back
// under a fresh epoch when the later one is gone.
//
// Replicas of two successive versions of the wire format form one cluster, and are
// upgraded one after the other. A message that needs a later version than this
// replica reads is counted (Stats.Outdated) and logged.
//
// # Shutdown
//
// Tracker.Close ends all sessions, tells the other replicas, and returns when no
// goroutine of the tracker runs. The bus is the caller's: close it afterwards,
// flushed.
package presence
