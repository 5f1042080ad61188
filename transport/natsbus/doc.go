// Package natsbus is the bus of replicas that share a NATS network. It implements
// [bus.Bus], whose package comment says what a bus promises, over a *nats.Conn that is
// passed in:
//
//	nc, err := nats.Connect(url, natsbus.Options()...)
//	b, err := natsbus.New(nc, natsbus.Config{})
//	defer nc.Close()
//	defer b.Close()
//
// Give it a connection of its own, because a bus fills its socket under load. [New]
// refuses a connection whose options would break a promise of the bus, and names each
// of them.
//
// # Subjects
//
// The subject of a destination is the prefix, ".", its class, ".", and the rest, each
// as one token: white space, controls, ".", "*", ">" and "%" are written as %XX. The
// topic "*", whose destination is "t:*", is on "rollcall.t.%2A", which is no wildcard.
// A whole class is "rollcall.t.*".
//
// Lanes share a destination's subject and its one NATS subscription, as NATS servers
// pay for each: the lane is the first byte of a message.
//
// # Buckets
//
// A subject costs its client 300 bytes and every server of a NATS cluster 600 to 700,
// for as long as one replica is subscribed. Config.Buckets puts all topics on n subjects,
// "rollcall.b.n.k": k is the FNV-1a hash of the destination modulo n. A message there
// begins with its destination, by which the receiving bus drops what no Conn is
// subscribed to. That costs one look into a map for each message, and the traffic of
// everything in the buckets that a replica needs: little with fewer topics here than
// buckets, and that of the whole cluster with many more. For 100,000 topics, the bus
// and a server in one process (go test -bench Subscriptions):
//
//	a subject for each topic    1,030 B a topic
//	1,024 buckets                 120 B a topic
//
// All buses of a cluster must have the same n. Those that differ do not hear each
// other's topics; presence compares [Bus.Settings] and logs the difference.
//
// # Delivery and loss
//
// All subscriptions feed one channel of 1,024 messages, which one goroutine empties into
// one queue for each Conn, bounded in bytes (Config.QueueBytes). A message that fits in
// neither is dropped, and bus.Lost follows. A slow Conn delays and drops nothing of
// another.
//
// Subscribing works while the link is down, and may wait for one attempt to connect.
// bus.Unreachable is what NATS calls "no responders", and counts the subscriptions of all
// lanes. The last 4,096 requests are remembered for it.
//
// # Permissions
//
// With the default prefix, a user of a NATS server needs to publish and subscribe on
// "rollcall.>", and to subscribe on "_INBOX.>" (or the connection's own inbox prefix).
// What the server refuses is logged (Config.Logger) and counted, because NATS reports it too
// late to be a method's error.
//
// # Concurrency and shutdown
//
// All methods may be called concurrently. [New] starts one goroutine and [Bus.Open] one
// for each lane, which makes all calls of its handler. Close of a bus.Conn waits for the
// end of its goroutine, [Bus.Close] for all. Neither may be called from a callback.
// Bus.Close does not close the connection; closing that sends what is still buffered.
//
// New puts handlers in front of the connection's own (disconnected, reconnected, closed,
// error), which are still called. Set yours before New.
package natsbus
