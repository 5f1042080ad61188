// Package natsbus is the bus between replicas over NATS. It meets the
// interfaces that packages presence and channel declare, over a *nats.Conn
// that is passed in:
//
//	nc, err := nats.Connect(url, natsbus.Options()...)
//	bus, err := natsbus.New(nc)
//	defer nc.Close()
//	defer bus.Close()
//
// A connection of its own is recommended, because a bus fills its socket when
// there is much to tell. [New] refuses a connection whose options would break
// a promise of the bus, and names each of them.
//
// # Terms
//
// A destination is an opaque UTF-8 string of 1 to [MaxDest] bytes. What stands
// before its first colon is its class. It becomes one or two tokens of a NATS
// subject: prefix, ".", the class, ".", and the rest, with what NATS gives a
// meaning to (and controls) written as %XX. So the topic "*", whose destination is
// "t:*", is on the subject "rollcall.t.%2A" and is never a wildcard.
// [Bus.SubscribeAll] is for a whole class: "rollcall.t.*".
//
// A lane, named by a byte, is one user of a bus (presence has one, channel
// another). Lanes share a destination's subject and its one NATS subscription,
// as NATS servers pay for each: the lane is the first byte of a message. A lane
// is given only what it is subscribed to itself.
//
// # Buckets
//
// A subject costs its client 300 bytes, and every server of a NATS cluster 600 to
// 700, for as long as one replica is subscribed. [Buckets] puts all topics on n
// subjects, "rollcall.b.n.k": k is the FNV-1a hash of the destination modulo n, and
// a message begins with its destination, by which the receiving bus leaves out what
// nobody on it wants. That costs one look into a map a message, and the bytes of
// everything in the buckets that a replica needs: with much fewer topics here than
// buckets, little; with much more, what the whole cluster says. For 100,000 topics,
// the bus and a server in one process (go test -bench Subscriptions):
//
//	a subject a topic     1,030 B a topic
//	1,024 buckets           120 B a topic
//
// All buses of a cluster must have the same n. Those that have not are deaf to each
// other's topics and to nothing else; presence tells them apart by [Bus.Settings]
// and reports it in its log.
//
// # What is delivered
//
// Messages are delivered at most once. What one sender sends arrives in its
// order, across destinations. A bus gets its own messages too where it is
// subscribed (echo).
//
// All subscriptions feed one channel of 1,024 messages, emptied by one
// goroutine into one queue a lane, bounded in bytes ([QueueBytes]). A message
// that fits in neither is dropped, and the lane is told so by the event "lost",
// once for all that was dropped until it is given. A slow lane delays and
// drops nothing of another lane's.
//
// Messages on our subjects that are empty are nobody's and are ignored, as are
// those of a lane that is not open.
//
// # Events
//
//   - "down", "up": the connection is lost, or there again. "up" is followed by
//     "lost". While down, Publish and Request return [ErrDown] and nothing is
//     kept to be sent later: a replayed heartbeat would be a lie. Subscribing
//     works, and may wait for one attempt to connect. A lane opened while down
//     is told "down" first; of several changes that a slow lane has not been
//     told, it is told the outcome.
//   - "lost": messages may have been dropped, by an overflow or a reconnect.
//   - "unreachable": NATS has no subscriber, on any lane, for the destination of
//     an earlier [Bus.Request] ("no responders"). It is remembered for the last
//     4,096 requests. It is no proof of death: the loss of a route hides a
//     live subscriber for a second.
//
// # Permissions
//
// A user of a NATS server needs, for the default prefix: publish and subscribe
// on "rollcall.>", and subscribe on "_INBOX.>" (or the connection's own inbox
// prefix). What the server refuses is logged ([Logger]) and counted, because
// NATS tells it too late to be a method's error.
//
// # Concurrency and shutdown
//
// All methods may be called concurrently, and wait for the network no longer
// than a write to the socket takes. [New] starts one goroutine and
// [Bus.Listen] one a lane, which makes all calls of its callbacks, one at a
// time. The stop function that Listen returns waits for the end of its
// goroutine, [Bus.Close] for all. Neither may be called from a callback.
// Close does not close the connection; closing it sends what is still buffered.
//
// New puts handlers in front of the connection's own (disconnected,
// reconnected, closed, error), which go on being called. Set yours before New.
package natsbus
