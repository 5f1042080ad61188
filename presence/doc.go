// Package presence answers one question for every replica of a cluster: who is
// here, topic by topic, and in what state? A program that only wants that
// imports this package and a bus, and gets no HTTP, no WebSocket and no NATS
// server.
//
//	bus, err := natsbus.New(conn) // or membus.New().Bus() in one process
//	tracker, err := presence.Start(ctx, presence.Config{Name: "eu-1", Bus: bus})
//	session := tracker.NewSession()
//	ref, err := session.Track("room:lobby", "alice", map[string]any{"mood": "fine"})
//	list, err := tracker.List(ctx, "room:lobby")
//	watch, err := tracker.Watch("room:lobby", func(e presence.Event) { ... })
//	...
//	err = tracker.Close(ctx) // the others see our presences leave at once
//
// # Terms
//
// A topic is any UTF-8 string of 1 to 255 bytes. A key says who is there: a user
// id within the topic. A [Session] holds presences: a joined channel, or any
// lease a program opens; when it ends, its presences end, and nobody else can
// change them. A [Meta] is what a session says of itself: a small JSON object.
// Each value of it has a ref of its own (phx_ref), unique in the cluster. A
// replica is one running [Tracker]: a name and an epoch; a restart is a new epoch
// of the same name. A [Diff] is what changed in a topic for those who watch it. A
// presence can be [Hidden] from clients: an observer, a bot.
//
// # What a list promises
//
// One's own writes are in it at once. A change on another replica is in it one
// message later: some milliseconds. A lost message delays a change (by up to a
// second or so, until the loss is noticed and repaired); it never makes anybody
// leave. A replica that was killed is gone within three seconds when the network
// sees it die, else after Config.DownPeriod; one that stops gracefully is gone at
// once. While this replica is cut off itself it shows the others as it last saw
// them, up to Config.IsolatedPeriod.
//
// A list is complete when every replica that is up has told us what it has in
// the topic. It is not complete just after this replica became interested in
// the topic, or just after it started, when it cannot know yet who is there.
// Completeness is about replicas that are up: across a cut, each side is
// complete without the other.
//
// # How it works
//
// The unit of replication is the topic, and a replica follows only the topics
// that are used on it. What one replica has in a topic is an observed-remove map
// with a single writer (package crdt), so that a receiver's whole knowledge of
// it is a number, and what is there. The messages:
//
//	delta      what changed in a topic between two numbers; at once in a quiet
//	           topic, else every FlushInterval
//	tip        where a topic stands, 1 s and 5 s after its last delta: a lost
//	           last delta is noticed
//	heartbeat  every BeatPeriod, numbered: nothing else admits a replica, and a
//	           missing number means that more may be missing
//	sync       a question: for each of some topics, the number that we hold
//	reply      what the asked one has beyond that: a log repair, a dot-set
//	           repair or a snapshot
//	probe      is anybody there? Asked when heartbeats stay out; alive answers
//	nack       the sender of a heartbeat is told that a later incarnation of
//	           its name exists
//	leave      a graceful stop
//
// A view (what we hold of one member in one topic) that starts asks under a
// fresh nonce and takes no other answer, so that a late one to an earlier
// question cannot complete it. Views that stay empty are dropped; what is
// remembered of them is one watermark a member, and a later delta or answer
// starts a view only where the watermark proves that nothing can have been
// missed. Now and then a part of all topics is compared with one member, which
// finds what everything else missed. A higher epoch of a name ends the one before:
// what that had leaves at once, and what the new one has joins with its first
// answer. These are two diffs, since the answer takes its time; whoever collects
// diffs makes one of them with [Diff.Merge], in which nothing is left of a value
// that is in both: a process that goes on under a fresh epoch keeps its refs.
// [Replica] is this machine: pure, driven by
// calls, messages and the time. The Tracker around it owns two goroutines: one
// lets the time pass, one writes to the bus; and others while watches have events.
//
// # Mirrors
//
// [Tracker.WatchAll] makes a replica a mirror, which follows every topic: for
// dashboards, and for programs that want every replica to know everything, as the
// trackers of others do. It subscribes to the whole class of topics on the bus, so
// that it hears of topics that it did not know; and it asks each replica for all
// that it has. Two messages are for that:
//
//	syncall    a question: what have you in these slices of all topics (64, by a
//	           hash of their names), beyond this number?
//	page       the answer, in as many messages as it takes, which count only
//	           together: topics as in a reply, "and the rest: nothing"
//
// A large answer is several pages, and each is asked for when the one before has
// come, so that a mirror is given no more at a time than it can take. Until a
// slice was answered, what it holds is unsynced: nothing is taken for granted that
// another replica has not told since it was admitted. From then on a mirror is as
// any replica in each topic, and compares a slice with one member each beat. It
// costs the others its answers, and nothing else.
//
// # Concurrency
//
// All methods of Tracker, Session and Watch may be called concurrently. The handler
// of a watch is called one call at a time, in order, beside those of other watches;
// a slow one delays its own events only: see [Tracker.Watch].
//
// # Limits and trust
//
// Every limit is a field of [Config] and an error of its own. A mirror that has no
// room for more topics is never complete, and says so. Memory for what a message
// tells is made as it is read, and a message that says it has more than 1 MiB when
// it is decompressed is refused before: none is sent. Whoever
// may publish on the bus's subjects is trusted: a forged heartbeat evicts, a
// forged leave hides. No message changes a replica's own entries.
//
// An answer that does not fit Bus.MaxPayload, or 1 MiB before compression, goes in
// chunks, which count only when all of them have come. Changes that do not fit go in
// several deltas, each of which counts.
//
// Answers keep to Config.RepairRate, so that repairs leave room for what happens
// now; when many ask for the same, as they do after an outage of everybody, most
// of them get one answer together.
//
// # Versions
//
// Messages are written in the lowest version of the wire format that knows them,
// and in a later one only while every replica that is up can read it, which
// heartbeats tell: replicas of two successive versions form one cluster, and are
// upgraded one after the other. A message that needs a later version than this
// replica reads is counted (Stats.Outdated) and reported, with what to do.
//
// Names must be unique. Of two live processes of one name the one that started
// later is heard; the other is fenced: it says so in its log and its Status, and
// comes back under a fresh epoch when the later one is gone.
//
// # Figures
//
// The medians of "make bench" as saved in testdata/bench/bench.txt, on a virtual x86-64
// machine of two cores (Xeon, 2.5 GHz) that did nothing else; one run of the two tables.
// The name of the benchmark comes first. Those of package crdt are in its documentation.
//
//	Track                track and untrack, one caller: 3.5 us, 6 allocations; ever
//	                     more, in topics of 100: 3.4 us, 6 allocations
//	JoinSeenElsewhere    on another replica over NATS, in a quiet topic: 124 us
//	Peek                 a list of 1,000: 40 ns; after an update, with that: 41 us, 50 KB
//	                     in 18 allocations; encoded as well: 98 us, 115 KB in 21
//	                     allocations
//	ReadWhileWriting     with a writer at full speed, in a room of 10 / 1,000 / 10,000:
//	                     Peek 0.06 / 0.09 / 0.16 us, Count 2.6 / 2.1 / 1.9 us
//	FirstAnswer          another replica's answer about 100,000 presences, decoded and
//	                     merged beside 100,000 of our own: 42 ms
//	Down                 a replica with 1e4 / 1e5 presences down: 0.005 / 0.04 ms where
//	                     nobody watches; where somebody does, 0.04 / 0.3 ms until they
//	                     are hidden, and 2.1 / 18 ms with the diffs that tell so
//
// The writer beside the reader: with no reader it makes 0.4 to 0.5 million updates a
// second, with a reader of another topic, who takes a core, nearly as many; with one
// who reads the same topic as fast as he can, 0.09 million, and 4,000 in a room of
// 10,000, since a list is made anew for each change that is read.
//
// Memory, in bytes a presence of 12 bytes of key and 65 of meta, NATS subjects apart:
//
//	                              100,000 presences       1,000,000 presences
//	in topics of                    4    100   10,000       4    100   10,000
//	another replica's, in all     226    193      157     234    192      157
//	  beyond its key and meta     149    116       80     157    115       80
//	our own, beyond key and       184    108       81     200    107       81
//	  meta, without its session
//
// Churn: 1,000,000 presences on three replicas, a NATS server each, in 10,000 topics
// of 100 that all replicas watch, everything in one process on the two cores. A join
// comes with a leave. 160 to 220 bytes are sent and 490 to 660 received by all three
// for a change, with NATS's protocol and all else that replicas say.
//
//	joins a second                     p50       p99    until both others show it
//	1,000                              0.8 ms    2.1 ms
//	3,000                              0.8 ms    3.9 ms
//	3,600, one outstanding             0.2 ms    0.8 ms
//	11,200, 64 outstanding             3.6 ms    28 ms
//
// Beyond what the cores can do, messages are lost, and everything is compared again:
// where other work took most of them, at 3,000 joins a second p99 was 10 s.
//
// # Shutdown
//
// Tracker.Close ends all sessions, says goodbye, and returns when no goroutine
// of the tracker runs. The bus is the caller's: close it afterwards, flushed.
package presence
