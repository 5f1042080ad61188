// Package bus defines how replicas reach each other: messages published to
// destinations, at most once, in order from one sender to one receiver.
//
// transport/natsbus implements [Bus] over NATS and transport/membus within one
// process. Packages presence, channel and transport/longpoll use it, all three on
// one bus. To write another implementation, run bus/bustest on it.
//
//	conn, err := b.Open(bus.LanePresence, bus.Handler{Message: receive, Event: event})
//	if err != nil {
//		return err
//	}
//	defer conn.Close()
//	err = conn.Subscribe(bus.TopicDest("room:lobby"))
//	err = conn.Publish(bus.TopicDest("room:lobby"), data)
//
// # Terms
//
//   - A [Bus] is one replica's attachment to the network that connects the replicas.
//   - A [Lane] is a kind of traffic. Each user of a bus opens a lane of its own and
//     hears nothing of the others.
//   - A [Conn] is an open lane: it has subscriptions, a queue, and the callbacks of a
//     [Handler].
//   - A destination is what is published to and subscribed to: an opaque UTF-8 string
//     of 1 to [MaxDest] bytes. No character in it is a wildcard. Its class is the part
//     before its first colon, if it has one; [Conn.SubscribeAll] takes a whole class.
//   - The link is the bus's connection to the network. [Down] and [Up] report it.
//
// # Delivery
//
// A message reaches every Conn of the publisher's lane, on any bus, that is subscribed
// to its destination, the publisher's own Conn included (echo). Messages of one Conn
// arrive in the order in which they were published, across destinations. There is no
// order among senders. Nothing is stored: a Conn that subscribes later does not get it.
//
// A subscription holds for the own bus when Subscribe returns. Other buses may publish
// past it until the network has told them, which takes a round trip or so; they learn
// the subscriptions of one bus in the order in which those were made.
//
// # Loss
//
// A message is lost, without an error to its publisher, when the link of either side
// breaks while it is on its way, or when the queue of the receiving Conn is full. The
// receiver gets the event [Lost] after a loss, and after each [Up]. One Lost stands for
// everything lost until it is delivered. While the link is down, Publish and Request fail
// with [ErrDown], and nothing is kept to be sent later.
//
// # Ownership
//
// No method keeps a reference to data after it has returned. The data passed to
// Handler.Message belongs to the handler, which may keep, change and append to it.
//
// # Concurrency and shutdown
//
// All methods of Bus and Conn may be called concurrently. They wait for the network no
// longer than a write to a socket buffer takes, and never for a callback, except for
// [Conn.Close]. The callbacks of one Conn are called one at a time, in the order of
// arrival. A callback that blocks delays its own Conn only.
//
// Close a Conn before its bus. Close waits for a running callback; none follows.
package bus
