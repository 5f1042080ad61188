// Package websocket connects clients to package channel over WebSocket: the
// handshake, the framing, the limits and the end of a connection. What the messages
// mean is left to package channel.
//
//	transport, err := websocket.New(endpoint, handler, websocket.Config{})
//	mux.Handle("/socket/websocket", transport)
//
// phoenix.js is then given "/socket"; it appends "/websocket" and "?vsn=2.0.0".
// A pattern with variables ("/ws/{user}/websocket") adds them to the params that
// the handler's Connect gets.
//
// # Handshake
//
// A refused handshake gets one answer:
//
//	400  not a WebSocket handshake; the body names the header
//	403  origin, subprotocol, protocol version or client refused; the body is empty
//	429  too many connections from its address
//	503  too many connections, too many connecting at once, or shutting down
//
// [channel.Handler]'s Connect may choose another answer with a
// [channel.ConnectError]. Every refusal, and every end below that the client caused, is
// reported to the endpoint as a [wire.Rejection], for its log and its metrics.
//
// Config.CheckOrigin decides which web pages may connect. The default accepts pages of
// the host that the request names, and programs that are not browsers. Behind a proxy
// that rewrites the Host header, list the origins with [origin.List].
//
// phoenix.js can send an auth token in Sec-WebSocket-Protocol, where it does not
// appear in the logs of proxies. It is passed to Connect as Info.AuthToken. The result
// of Config.Session, which reads the client's cookies, is passed as Info.Session.
//
// Handshakes are rate-limited, so that a reconnect storm does not delay established
// clients. Config.Intake sets how many run at once, how long the others wait, and how
// many connections an address may have; see package transport/intake.
//
// # Messages in
//
// A connection that waits for input is parked: it has no goroutine, and one goroutine
// of the transport waits for all of them with a poll (epoll) of its own. When input
// arrives, a goroutine reads it and calls the [channel.Conn], with one message of a
// connection at a time. TLS and compression change nothing in that. On systems other
// than Linux, where a poll cannot be had, and where a listener hides the socket, each
// parked connection has a goroutine (package transport/internal/netpoll).
//
// A parked connection that has sent nothing yet is a newcomer. At most GOMAXPROCS
// newcomers are read at once, in the order of arrival. While others wait, the place of
// one is given to the next only after a cooldown: it stays empty for three times as long
// as it was used, 50 us to 20 ms. A newcomer gives its place back when the rest of
// its message has to be waited for. All other connections are read at once.
//
// Limits:
//
//   - Config.MaxFrame limits a message (1009). On the wire it may take twice as much,
//     since it may consist of any number of parts without content.
//   - Text must be UTF-8 (1007).
//   - A client that sends nothing for Config.IdleTimeout is closed (1002). Any byte
//     counts, also part of a message.
//   - [channel.Config].MessageRate limits messages, pings and pongs (1013).
//
// While a message is handled, nothing more of its connection is read, and TCP makes the
// client wait. A ping is answered with a pong; of several that wait for their answer,
// the last is answered. Once a connection is closed for what its client sent, further
// input is dropped, at most 2 MB a second.
//
// # Messages out
//
// Sending never waits. A message is queued in the connection's outbox, and all that
// waits there is one batch. A broadcast is framed, and compressed, once for all
// connections. Small frames are gathered, 64 KiB at a time; large payloads are not
// copied unless they are compressed, and the states of large rooms are taken in pieces
// (see [wire.Gatherer]).
//
// All outboxes share a few writers: one for each 1,024 outboxes that wait, at most
// GOMAXPROCS. They write what a socket takes without waiting, at most 1 MiB of one
// connection at once. Outboxes wait for them at one of two priorities:
//
//   - low: outboxes that hold low-priority frames only (presence diffs and counts,
//     [wire.Frame].LowPriority), and those with the rest of a batch that was begun, which
//     go first.
//   - normal: all others. The first other frame, a pong or a close moves an outbox here,
//     unless it has the rest of a batch; a close moves that too. All that waits goes
//     out in the order of Send.
//
// At most half of the writers write at the low priority. While outboxes wait at the
// normal one, one turn in five is a low one, so none starves. A message in another room
// thus does not wait for the thousands of writes of a presence_diff.
//
// While a socket is full, a goroutine of the outbox waits for it, and the outbox then
// waits for the writers again. Over TLS a record is written at a time, and only while the
// socket has room. Where it cannot be told whether a write would wait (TLS on systems
// other than Linux, all connections on those that are no Unix, hidden sockets), a
// goroutine of the outbox writes as long as anything waits, and priorities do not apply.
//
// A client that does not read fast enough does not delay others, and is closed:
//
//   - with 1013 ("try again later") when more than Config.OutboxBytes would wait;
//   - without a close frame, which it sees as 1006, when a batch is not written within
//     Config.OutboxAge. The time for which it waited at the low priority does not count.
//
// Clients reconnect after 1013, and unlike 1012 it does not look like a deploy.
// [Stats] counts both as slow.
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
// An idle connection has no goroutine, buffer or timer, and none of gorilla's state.
// Those are taken when there is input or output, and given back when all of it is dealt
// with. A connection that has sent a ping keeps a goroutine and buffers until its next
// message. docs/performance.md has the bytes and the CPU time; docs/decisions has the
// experiments (0001-redesign.md; 0005-one-path.md for TLS and compression).
//
// # Shutdown
//
// Every goroutine is waited for: those of an outbox by the goroutine that reads for the
// connection, all others by [Transport.Close]. A connection that is closed is gone after
// Config.CloseTimeout: until then what waits is written, then the close frame,
// and the client's answer is awaited. A program ends in this order:
//
//	endpoint.Drain(ctx)   // refuses new clients, closes all with 1012, in batches
//	transport.Close(ctx)  // waits until every connection is gone
//	server.Shutdown(ctx)  // net/http does not know of upgraded connections
//	endpoint.Close(ctx)
//
// # Concurrency
//
// All exported methods may be called concurrently, and so may those of the
// [wire.Link] that a [channel.Conn] gets, which never block and never call into it.
package websocket
