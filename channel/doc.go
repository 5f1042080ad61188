// Package channel is the client side of Rollcall: the Phoenix Channels protocol,
// as phoenix.js and its relatives speak it, on one replica or on many.
//
//	e, err := channel.New(channel.Config{Bus: bus, Presence: tracker})
//	h, err := channel.NewHandler(channel.Handler{
//		Connect: func(ctx context.Context, r *channel.ConnectRequest) error {
//			r.Assign("user", r.Params.String("user"))
//			return nil
//		},
//		Routes: []channel.Route{{Pattern: "room:*", New: func() channel.Channel { return &room{} }}},
//	})
//	// h is mounted on a transport, for instance package transport/websocket.
//	defer e.Close(ctx)
//
//	type room struct{ topic string } // one client in one room: its fields are its state
//
//	func (r *room) Join(_ context.Context, s *channel.Socket, params channel.Payload) (any, error) {
//		s.Send("joined") // comes back to HandleInfo, after the client knows that it is in
//		return nil, nil
//	}
//	func (r *room) HandleInfo(s *channel.Socket, msg any) channel.Result {
//		s.PushPresenceState()
//		s.Track(s.Value("user").(string), map[string]any{"since": time.Now().Unix()})
//		return channel.NoReply()
//	}
//	func (r *room) HandleIn(s *channel.Socket, event string, payload channel.Payload) channel.Result {
//		s.Broadcast(event, payload)
//		return channel.OK(nil)
//	}
//
// # Terms
//
//   - topic: what is joined and broadcast to; any UTF-8 string of 1 to 255 bytes.
//   - connection ([Conn]): one client's transport. It carries many channels.
//   - channel ([Channel]): one client's membership of one topic, from its join to its
//     end. [Socket] is the handle through which it acts.
//   - push goes to one client, broadcast to all subscribers of a topic. A channel may
//     intercept an event ([Interceptor]); all other broadcasts are encoded once and the
//     same frame goes to every connection, without running any code of a channel.
//   - presence_state is everyone present in a topic, presence_diff what changed.
//
// Package wire has what transports and wire protocols are made of. Package channeltest
// is the test kit, and internal/room, internal/admit and wire have the machines that
// decide what is sent, when joins run, and what a connection may do.
//
// # Concurrency
//
// The methods of one channel are called one at a time, in the order in which their
// causes came: messages of its client, intercepted broadcasts, Socket.Send, its end.
// Channels run concurrently, also those of one connection, and a callback that blocks
// holds up its own channel only. A channel has a goroutine only while there is something
// to handle. All methods of [Endpoint], [Conn], [Socket] and [Subscription] may be called
// concurrently, from callbacks too.
//
// Ordered are the answers and pushes of one channel to its client; the broadcasts of one
// goroutine at each subscriber, on all replicas; and what happens on one topic of one
// connection: a join waits until the channel before it has terminated, or for
// [Config.DuplicateTimeout]. Broadcasts are delivered at most once and are not stored.
//
// # Presence
//
// A channel that tracks, or pushes the state, brings its topic's presence to all channels
// of the topic on its replica, as presence_diff, from their join on. The first diff of a
// quiet topic is sent at once. In a busy topic changes are merged: a diff goes when a join
// comes and as many changes wait as come in one window, or when the oldest join has waited
// one window, or the oldest leave two. The window is none in a small room and grows with
// the room, the rate of changes and the measured cost of a round of frames, to half a
// second at most; [Route].DiffWindow fixes it, and internal/room/window.go explains it.
// A client is given the state as of the last diff; the state and the diffs after it are
// exact, whichever order its channel tracks and pushes the state in.
//
// [Route].Presence limits what clients see, and Fetch enriches or masks it. What is
// tracked with [presence.Hidden] no client sees. Presences end with their channel, or
// Route.LeaveGrace after its connection was lost; a session of [Endpoint.Presence] outlives
// channels.
//
// # Limits
//
// All queues are bounded. Limit, setting, and action when exceeded:
//
//	a message           the transport's MaxFrame, 1 MiB             closed, 1009
//	messages a second   Config.MessageRate, MessageBurst, at first  closed, 1013
//	                    MessageStart; large ones count more
//	joins a second      Config.JoinRate                             refused
//	joins at once       Config.MaxJoinsRunning, MaxJoinsWaiting     refused "overloaded"
//	channels            Handler.MaxChannels, Config.MaxChannels     refused
//	a channel's mailbox Config.MailboxSize, Config.MailboxBytes     phx_error
//	an outbox           the transport's OutboxBytes, OutboxAge;     closed, 1013;
//	                    long polling's BufferBytes                  cut; ended
//	silence             the transport's IdleTimeout, Window         closed, 1002; ended
//	connections         the transport's MaxConnections, MaxSessions 503
//	of one address      the transport's Intake; no bound by default 429
//	handshakes at once  the same                                    wait, 503
//	bodies of polling   its MaxBody, and MaxBodies of all clients   400, 503
//	refs                2 KiB                                       closed, 1011
//
// Limits before the handshake are those of http.Server; package transport/intake limits
// connections by address, which must be configured behind a proxy. Joins of a route wait
// in line: topics take turns, each first come, first served; GOMAXPROCS of them compute at
// once, so that a storm leaves processors to established clients. Below MessageRate a
// client is paced by TCP: a transport reads no further while a message is decoded.
//
// # Failure
//
// A panic, a [Crash], and a mailbox over its limits end that channel alone: its client is
// sent phx_error and rejoins. A [Stop] sends phx_close. A malformed frame closes its own
// connection (1011). Join refuses with a [Refusal], Connect with a [ConnectError].
// [Config].Telemetry and Logger report connections, joins, messages and rejections;
// package metrics exports them.
//
// # Shutdown
//
// [Endpoint.Drain] closes all connections with 1012, in batches, and waits for Terminate
// of all channels; [Endpoint.Close] then ends subscriptions and waits for every goroutine.
// No phx_close is sent: it would keep clients from rejoining elsewhere. Close the transport
// after Drain, the tracker after the endpoint, and the bus last.
//
// Differences from Phoenix are listed in docs/phoenix-contract.md.
package channel
