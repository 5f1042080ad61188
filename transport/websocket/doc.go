// Package websocket connects clients to package channel over WebSocket: the
// handshake, the framing, the bounds and the end of a connection. What the
// frames mean is package channel's business.
//
//	transport, err := websocket.New(endpoint, handler, websocket.Options{})
//	mux.Handle("/socket/websocket", transport)
//
// phoenix.js is then given "/socket"; it appends "/websocket" and "?vsn=2.0.0".
// A pattern with variables ("/ws/{user}/websocket") adds them to the params that
// the handler's Connect gets.
//
// # Handshake
//
// A refused handshake gets one answer: 400 for what is no WebSocket handshake,
// with a reason that names the header; 503 when there are too many connections,
// or the server shuts down, or too many connect at once; 429 when too many are of
// its address; and 403, empty, for an origin, a subprotocol, a
// protocol version or a client that is not let in. [channel.Handler]'s Connect
// may choose another answer with a [channel.ConnectError]. Every refusal, and
// every end below that the client is to blame for, is told to the endpoint as a
// [channel.Rejection], for its log and its metrics.
//
// Which pages may connect is Options.CheckOrigin; the default lets in the pages
// of the host that the request names, and programs that are no browsers. Behind
// a proxy that rewrites the Host header, list the origins with [Origins].
//
// phoenix.js can carry an auth token in Sec-WebSocket-Protocol, where it does not
// show in the logs of proxies. It is taken out and given to Connect as
// Info.AuthToken. Who is known by a cookie is found by Options.Session, and given
// as Info.Session.
//
// A storm of clients is let in a few at a time, in the order in which they came, so
// that the clients who are in notice little of it. How many that are, how long the
// others wait, and how many connections an address may have is said by
// Options.Intake; see package transport/intake.
//
// # Messages in
//
// A connection that waits for input is parked: one goroutine of the transport
// waits for all of them, with a poll (epoll) of its own. What arrives is handled
// by one of a few goroutines that are kept for that, which call the session, with
// one message of a connection at a time. Over TLS, where bytes on the socket need
// not be a message, a connection has a goroutine of its own instead; on systems
// other than Linux, and where a poll cannot be had, one of those few waits for
// each.
//
// A connection that has not been heard yet is a newcomer. Of those that are parked
// only a few are read at a time, two for each processor, in the order in which they
// were heard, and each gives way first (package internal/yield): so thousands that
// come in the same second, and join, cost the others little. A newcomer's turn ends
// when the rest of what it sends would have to be waited for. All others are read at
// once.
//
// As long as every processor finds goroutines that can run, Go's scheduler looks at
// the network every 10 ms only. So whoever gives way here, a newcomer's reader, a
// writer of patient frames or of much, looks for input of those that are parked, 3,000
// times a second at most.
//
// Messages are bounded by Options.MaxFrame (1009), and
// text must be UTF-8 (1007). A ping is answered with a pong; of several that
// wait for their answer, the last is answered. A client that sends nothing for
// Options.IdleTimeout is closed with 1002. Any byte counts: one that sends a byte
// a second is bounded by MaxFrame and MaxConnections only.
//
// Reading is paced by handling: while a message is handled, nothing more of the
// connection is read, and TCP makes the client wait. What handling does not wait
// for (a channel's mailbox takes a message at once) is bounded by
// [channel.Config].MessageRate, which counts pings and pongs too: 1013. A message
// may take twice MaxFrame on the wire (1009), for parts without content could go
// on for ever. From such a close on, what the client goes on to send is dropped,
// 2 MB a second of it at most.
//
// # Messages out
//
// Sending never waits. What is sent is queued in the connection's outbox, and
// all that waits goes out in one write (up to 64 KiB of small frames; larger
// frames are written by themselves, uncopied, and the states of large rooms in
// pieces, see [channel.Gatherer]: not where Options.Compress is set). The frame of a
// broadcast is framed, and compressed, once for all connections.
//
// All outboxes share a few writers, one for each 1,024 outboxes that wait and at
// most one for each processor, which write what a socket takes at once. An outbox whose socket is full gets a goroutine of
// its own until nothing waits; so does every outbox with something to write
// where writing without waiting is impossible: over TLS, with Options.Compress,
// and on systems other than Unix.
//
// What tells a room who has come and gone ([channel.Frame].Patient) gives way to all
// the rest: an outbox in which nothing else waits is written to after those in which
// something does. The first other frame of its connection, a pong or a close ends
// that, and all that waits goes out with it, in the order of Send. While there is
// always something that is not patient, one turn in five is for what is; what that
// takes is not counted to Options.OutboxAge. And between two turns of 16 patient
// outboxes a writer gives way to all other goroutines (package internal/yield), while
// another is ready for what comes meanwhile. A message in another room so waits for
// 16 writes, of 10 us each, and not for the 10,000 of a presence_diff to a large one.
// Outboxes that have writers of their own (TLS, Options.Compress, not Unix) write as
// things come.
//
// Who writes more than 32 KiB at once, as the state of a large room, gives way before
// it, whatever it is. (Of 10,000 who join one room at once, some hundreds were
// "overloaded" without that, in each run of an hour in which none was with it.)
//
// A client that does not read fast enough costs others nothing and is closed:
// with 1013 ("try again later") when more than Options.OutboxBytes would wait,
// and by cutting the connection, which it sees as 1006, when a write has been
// stuck for Options.OutboxAge, since no close frame could reach it then. 1013,
// because the cause is passing and lies with this one client: clients come back
// after it, as they do after any code but 1000, and unlike 1012 it does not look
// like a deploy. [Stats] counts both as slow.
//
// # Close codes
//
//	1001, 1011, 1012   as package channel asks
//	1002               silent for too long, or a violation of RFC 6455
//	1007, 1009         text that is not UTF-8, a message above MaxFrame
//	1011               also: a panic; the connection ends, no other is disturbed
//	1012               Transport.Close
//	1013               too slow, or too many messages
//
// 1000 is never chosen here: some clients stay away after it. A client's own
// close is answered with the code it gave.
//
// # What a connection costs
//
// Idle: some 700 bytes of state with net's, and in the kernel, besides the
// socket, a second entry in an epoll. There is no goroutine, buffer, timer or
// gorilla's Conn while nothing is read or written: what reads takes them when
// input is there and gives them back when all of it is dealt with, and what writes
// likewise. The goroutine and the memory that net/http used for the handshake are
// released before the first message.
//
// Live bytes of one idle connection of rollcall serve, alone in its topic, with
// one presence (heap profile of 5,000 on linux/amd64, rounded):
//
//	360  here: state, outbox, wire, place, a place in two tables
//	360  net: descriptor, both addresses, and the address of the request
//	370  channel.Conn
//	680  the channel: entry, member, subscription, the application's value
//	600  its room, which all channels of a topic share
//	720  presence: session, entry, topic, watch; but for the first two the
//	     topic's
//	150  the bus's two subscriptions to the topic (membus: the replica is alone)
//	300  what is too small to be listed, and room in tables
//
// That is 3.5 KB. With NATS (--cluster-listen) the bus's part is 1,240: 4.6 KB;
// with --buckets too it is 3.7 KB. What is resident is more, by what the garbage
// collector leaves until its next cycle, which comes when the heap has doubled
// (GOGC=100): 7.5 to 9.2 KiB, and 10.4 to 11.6 with NATS. Where there are 1,000 and not
// 5,000, each has 2 to 4 KiB more, its share of what a process touches once.
//
// To connect, join, be told who is present and be present oneself takes 26 KB in
// 259 allocations (BenchmarkConnectAndJoin of cmd/rollcall, its client included),
// and some twelve system calls of the server, waiting apart: accept4, getsockname,
// setsockopt, three of epoll_ctl, two or three reads, a write that answers the
// handshake and one or two for the rest. Shares of its CPU time (profile of 9,000
// connections in 7 s, two busy cores):
//
//	19%  net/http: reading the request, its buffers, two of its goroutines
//	 9%  gorilla's answer to the handshake, most of it the write
//	10%  the rest of the handshake here: headers and params for Connect, which
//	     is the application's, and the connection
//	 3%  accept
//	13%  reading the join: system calls, frame, JSON, and what it leads to until
//	     there is mail for the channel
//	17%  the channel: Join, reply, state, Track
//	 7%  presence and the diff to oneself
//	 3%  writing
//	15%  the garbage collector, in the background
//	 5%  the scheduler
//
// Across these, 17% are system calls, 13% are allocations and 7% are stacks that
// grow, nearly all of them net/http's.
//
// # What was tried
//
//   - A goroutine for each write, started by the send that finds none, and
//     gorilla's prepared messages for frames that are not compressed (9
//     allocations and 5.9 KB each): together a fifth to two fifths more CPU for a
//     delivery than shared writers and headers made here. They were not measured
//     apart.
//
//   - Other writers. One topic of 1,000 subscribers, payload 128 bytes; server
//     CPU, in microseconds a delivery, with 1, 8 and 32 publishes outstanding
//     (rollcall-bench fanout, best of two runs side by side on 2 busy cores, so
//     compare within the table only):
//
//     a writer more for each     8 outboxes   8.6  2.5  1.2
//     64                                      9.2  3.1  1.2
//     256                                     9.1  2.7  1.1
//     1,000                                   8.7  2.0  0.9
//     never one more                          8.4  1.9  0.9
//     outboxes a turn (64)       1            9.8  2.7  1.3
//     4                                       9.3  2.9  1.0
//     64                                      8.8  2.6  0.8
//     256                                     8.9  2.5  1.1
//
//     One writer has more gather in the outboxes it has not come to. It is no
//     slower for that, even at the 99th percentile, but more than some 1,000
//     outboxes would have to wait too long.
//
//   - One queue for all outboxes, whatever waits in them. A quiet room beside one of
//     10,000 in which 100 a second leave and 100 join (rollcall-bench presence
//     --clients 10000 --churn-rate 100, each once, on 2 busy cores), in ms:
//
//     quiet room, churn      p50   p99  max; the churn   p50  p99  CPU s
//     one queue             29.8   255  312              285  579    5.4
//     patient ones behind    4.5    25   41              304  604    6.1
//
//     It costs the room itself something, and more the less of the cores is left:
//     where other programs kept them busy (load 9), the quiet room's 99th percentile
//     was 122 and 93, and the churn's median 240 and 445.
//
//   - Input noticed by the scheduler alone. In the same churn, and while the 10,000
//     join (two idle cores, two runs each):
//
//     quiet room                     churn p50   p99   joining p50   p99
//     every 10 ms, where all is busy      1.06    17           4.7    37
//     where one gives way, too            0.97     7           1.4    13
//     the same of an idle server          0.90     7           0.9     5
//
//   - RawConn.Write instead of Control, which readies the descriptor for waiting:
//     a tenth more for a delivery that is not batched. Then write instead of
//     sendto, through the scheduler instead of past it: 5% and 3%.
//     (Of a delivery that is not batched some two thirds are now the kernel's
//     sendto; a tenth is the way from the broadcast to the outbox and a tenth that
//     from there to the kernel.)
//
//   - A goroutine for each connection that waits for input: 490 bytes and 2 KiB of
//     stack, which counts twice, for the garbage collector lets the heap grow by
//     what stacks take too: 3.3 KiB more of resident memory. Where it handles
//     messages as well, its stack stays at 8 KiB for good.
//
//   - A lower GOGC: with 50 instead of 100, 1.6 KiB less were resident (10.1 of
//     11.7), and connecting and joining took some 5% more CPU. It is left to the
//     operator.
//
//   - gorilla's Conn for each connection, 550 bytes with its buffer's reader and
//     its handlers. It knows nothing between two messages, so those who read share
//     a few (see framer); the one that the handshake makes is thrown away.
//
//   - NATS for a replica that can have no others: 1.1 KB for a topic, and 60 of
//     350 allocations with their part of the CPU time.
//
//   - A new goroutine for each channel that has mail: its stack grew from 2 to 8
//     KiB in each join, an eighth of the CPU time. Now some wait, with their stacks.
//     Where net/http's goroutine grows, the handshake itself is too deep: 3.7 KB of
//     frames, of which 1.1 are net/http's, before anything is called that they do not
//     know.
//
//   - Keep-alives of TCP: four system calls for each connection, and two packets
//     every 15 s. IdleTimeout finds the same clients sooner.
//
//   - Giving back what net/http allocates for a connection, 8 KiB of buffers above
//     all, a quarter of all that connecting and joining allocates: what is
//     hijacked never returns to its pools.
//
// A client that sends pings holds on to a goroutine and the buffers from its ping
// to its next message, and so does one over TLS always.
//
// # Shutdown
//
// Every goroutine is waited for: what writes for a connection by who reads for it,
// and the others by [Transport.Close]. A connection that is closed, by whomever, is gone after
// Options.CloseTimeout: until then what waits is written, then the close frame,
// and the client's answer is awaited. A program ends in this order:
//
//	endpoint.Drain(ctx)   // refuses new clients, closes all with 1012, in batches
//	transport.Close(ctx)  // waits until every connection is gone
//	server.Shutdown(ctx)  // net/http does not know of upgraded connections
//	endpoint.Close(ctx)
//
// # Concurrency
//
// All exported methods may be called concurrently, and so may the
// [channel.Link] that sessions get, whose methods never block and never call
// into the session.
package websocket
