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
// each. Messages are bounded by Options.MaxFrame (1009), and
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
// frames are written by themselves, uncopied). The frame of a broadcast is
// framed, and compressed, once for all connections.
//
// All outboxes share a few writers, one for each 1,024 outboxes that wait and at
// most one for each processor, which write what a socket takes at once. An outbox whose socket is full gets a goroutine of
// its own until nothing waits; so does every outbox with something to write
// where writing without waiting is impossible: over TLS, with Options.Compress,
// and on systems other than Unix.
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
// Idle: about 2 KiB of state with gorilla's and net's, and in the kernel, besides
// the socket, a second entry in an epoll. There is no goroutine, buffer or timer
// while nothing is read or written: what reads takes a buffer when input is there
// and gives it back when all of it is dealt with, and what writes likewise. The
// goroutine and the memory that net/http used for the handshake are released
// before the first message.
//
// Live bytes of one idle connection of rollcall serve, alone in its topic, with
// one presence (heap profile of 5,000 on linux/amd64, rounded):
//
//	 460  gorilla's Conn
//	 560  here: state, outbox, wire, place, two handlers, a place in two tables
//	 400  net: descriptor, both addresses, and the address of the request
//	 370  channel.Conn
//	 780  the channel: entry, member, subscription, the application's value
//	 620  its room, which all channels of a topic share
//	1150  presence: session, entry, topic, watch, list; but for the first two
//	      the topic's
//	1310  NATS: the topic's subscription, here and in the embedded server
//
// That is 5.7 KB. What is resident is more, by what the garbage collector leaves
// until its next cycle, which comes when the heap has doubled (GOGC=100): 11.4 to
// 12.0 KiB.
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
//     (rollcall bench fanout, best of two runs side by side on 2 busy cores, so
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
//   - A lower GOGC: with 50 instead of 100, 10.1 KiB are resident, and connecting
//     and joining takes some 5% more CPU. It is left to the operator.
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
