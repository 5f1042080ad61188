// Package wire is what transports and wire protocols are made with: messages, the
// frames that carry them, the link that a transport offers, and the rules of one
// connection. Authors of channels need package channel only.
//
// # Terms
//
// A [Message] is what a client and a server say: a push, a reply or a broadcast, with
// a topic, an event and a [Payload]. A [Frame] is a message as it goes over the wire.
// A [Protocol] turns one into the other; Phoenix's two versions are packages
// [github.com/rollcall-go/rollcall/channel/wire/phoenix1] and
// [github.com/rollcall-go/rollcall/channel/wire/phoenix2]. A [Link] is a transport's
// side of a connection; package channel drives it. A [Session] decides what happens on
// a connection: which joins are stale, duplicate or over a limit, and what is answered.
//
// # A transport
//
// For every client it calls, in this order:
//
//   - channel.Endpoint.Connect, before the client is accepted. The error is the answer
//     to give, as far as the transport can; it has been reported. What the transport
//     refuses by itself it reports with channel.Endpoint.Reject.
//   - channel.Conn.Start, once, with a [Link] that may be sent to from then on, also
//     within Start. Where the client cannot be accepted after all: channel.Conn.Closed.
//   - channel.Conn.Receive for each frame of the client, in order, one call at a time.
//     The frame is not kept. A [Close] is for [Link].Close; nothing more need be
//     received then. The transport limits the size of a frame (1009); a panic ends this
//     connection alone (1011).
//   - channel.Conn.Closed, when the connection has ended, for whatever reason, also
//     after silence: clients send something every 25 to 30 s. It ends channels and
//     presences.
//
// A Link queues: Send and Close never block and never call into the Conn, whose locks
// their caller holds. Frames go out in the order of Send. What a client has not taken
// is bounded in bytes and in time; a client over a bound is closed with
// [CloseTryLater] and costs the others nothing. A shared frame is the same *Frame for
// all clients of a broadcast; what a transport makes of it, it makes once, with
// [Frame.Prepared]. A low-priority frame may go out after frames of other connections
// that were sent later. A binary frame that cannot be carried ends the connection. Close
// is bounded in time, and no code is 1000: some clients stay away after it.
//
// A draining endpoint closes all links with [CloseRestart] and waits for the channels,
// not for what a transport has still to write. So the transport is closed after it: it
// refuses further clients, closes those that are left, and waits for its goroutines.
//
// # A protocol
//
// A [Protocol] is registered with channel.Handler.Protocols for the versions that it
// serves. Its [Protocol.Open] is called for each connection, sees it as a [Peer], may
// send frames at once, and returns the connection's [Codec]. A codec decodes one frame
// into any number of messages and encodes one message into any number of frames. It
// may keep what it learns, such as the topic that a join's topic stands for. A
// broadcast is encoded once for all connections of a protocol. A message that cannot be
// encoded is not sent, which is logged. Panics and invalid results of a protocol end
// one connection, or keep one message from it.
package wire
