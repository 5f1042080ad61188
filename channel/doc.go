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
//   - topic: what is joined and what is broadcast to; any UTF-8 string of 1 to 255
//     bytes ("room:lobby").
//   - connection ([Conn]): one client's transport. It carries many channels.
//   - channel ([Channel]): one client's membership of one topic, from a phx_join
//     to its end. [Socket] is the handle through which it acts.
//   - join_ref and ref: chosen by the client; a join_ref names a join, a ref a
//     message. Both are opaque and are sent back as they came.
//   - push goes to one client, broadcast to all subscribers of a topic. A channel
//     intercepts an event when its HandleOut is to run before its client gets it;
//     all other broadcasts take the fastlane: they are encoded once and the same
//     frame goes to every connection, without running any code of a channel.
//   - presence_state is everyone present in a topic, presence_diff what changed.
//
// # How it is built
//
// Package [github.com/rollcall-go/rollcall/channel/wire] has what goes over the wire:
// messages, frames, the link that a transport offers, the protocols, of which vsn
// chooses one, and the session, which is pure: it decides what happens on one
// connection, messages and the time in, actions out. [Conn] is the shell around it: it
// decodes frames, calls the session under a lock and carries the actions out, so that
// what the session orders is ordered on the wire. A member is the life of one joined
// channel: a mailbox, and what the callbacks lead to. pubsub knows which subscribers a
// topic has. What the clients of a topic are told of its presences is decided by package
// internal/room, which is pure too; topicRoom is the shell around it.
//
//	frame ─ Conn.Receive ─ Protocol ─ Session ─ Action ─ mailbox ─ Channel
//	broadcast ─ pubsub ─┬─ frame ────────────────────────────────── Link
//	                    └─ mailbox ─ HandleOut ─ Push ─────────────── Link
//
// An application adds wire protocols of its own with [Handler].Protocols, and a
// transport implements [wire.Link] and drives a [Conn]; package wire says how.
//
// # Concurrency
//
// The methods of one channel are called one at a time, in the order in which
// their causes came: what its client sent, broadcasts that it intercepts, what
// it was sent by Socket.Send, and its end. Channels run side by side, also those
// of one connection, and a callback that blocks holds up its own channel only:
// the others, heartbeats and the fastlane go on. A channel has a goroutine only
// while there is something to handle.
//
// All methods of [Endpoint], [Conn], [Socket] and [Subscription] may be called
// concurrently, from callbacks too, unless they say otherwise.
//
// What is ordered: the answers and pushes of one channel to its client;
// broadcasts of one goroutine at each subscriber, intercepted or not, on all
// replicas; and what happens on one topic of one connection. A leave of a join
// that still runs, a second join, a leave and a join behind it: each is handled
// when what came before is done, Terminate included (but see
// [Config.DuplicateTimeout]). Nothing is promised between different senders.
//
// Broadcasts come at most once, and are not stored: who is not subscribed when
// one is sent does not get it.
//
// # Presence
//
// A channel that tracks, or pushes the state, makes its topic's presence come to
// all channels of the topic on its replica, as presence_diff, from their join
// on. The first diff of a quiet topic is sent at once, in a very large room within one
// window. In a busy topic changes are merged: a diff goes when a join comes and as many
// changes wait as come in one window, or when the oldest join has waited one window, or
// the oldest leave two; in the long run there is one a window. The window is none in a
// small room, and else grows with the room, with the rate of changes and with what a round
// of frames was measured to take; it is at most half a second. The numbers, and why they
// are so, are in internal/room/window.go. [Route].DiffWindow sets a fixed window instead.
//
// A client is given the state as of the last diff, which is kept from diff to
// diff and encoded once for all who join between two. For each client the state
// it was given and the diffs after it are exact, whichever order the channel
// tracks and pushes the state in. Route.Fetch enriches or masks what clients see,
// once for all; it runs off the hot path, one call at a time for a topic, with a
// deadline, and who is there is right also where it fails.
// [Endpoint.ListPresence] and [Endpoint.GetPresence] give the program what clients
// see.
//
// Route.Presence says how much a route's clients are shown: everybody, or only
// how many ([PresenceCounts]), or nothing. What is tracked with
// [presence.Hidden] (an observer, a bot) no client is shown on any replica, not
// in states, diffs or counts; the program sees it. An update can show it, and
// hide it again: a join and a leave. Route.NewMetas makes what follows a topic's
// presences on the server: a [MetasHandler].
//
// Presences end with their session: a channel's with the channel, or a while
// after its connection was lost (Route.LeaveGrace), so that a page can be
// refreshed without a leave; who comes back within it is updated. A channel can
// be present in other topics too ([Socket.TrackIn]); what is to outlive it, or
// belongs to no channel, has a session of its own, which the program opens with
// [presence.Tracker.NewSession] and closes.
//
// # Many joins at once
//
// When a replica dies, its clients connect to the others within seconds, and each
// joins. Joins therefore wait in line, for each [Route] apart, and three limits apply:
//
//   - [Config.MaxJoinsRunning] joins run at once. They protect what Join asks, a
//     database for instance. A join runs until what Join sent to itself is handled.
//   - GOMAXPROCS joins compute at once. A join that takes longer than 1 ms is
//     taken to be blocked and no longer counts here, so a slow Join delays no other
//     before MaxJoinsRunning are slow. While joins wait, the next one begins only after
//     a cooldown of three times as long as the last one took: a storm uses at most a
//     quarter of that time, and established clients get the rest.
//   - [Config.MaxJoinsWaiting] joins wait, half of them for one topic, each for at most
//     [Config.JoinWait]. Beyond that a client is answered {"reason":"overloaded"},
//     Join is not called, and phoenix.js retries after 1, 2, 5 and then every 10 s.
//
// Topics of a route take turns, and within a topic joins are served in order of
// arrival: a storm in one room delays a join of another room by one turn. Routes do not
// wait for each other. Waiting joins hold no goroutine. A leave, a second join of the
// topic and the end of the connection withdraw a join that waits; it is answered as if
// refused, but not counted. Joins are counted in [Stats], and refused ones are reported
// as a [wire.Rejection] of [wire.CauseOverloaded].
//
// What a storm costs established clients is limited in other places too: diffs are
// merged, the state is encoded once for all clients that join between two diffs (see
// Presence), and each connection has a limit of its own ([Config.JoinRate]).
//
// # Failure
//
// A panic, a stop for an unplanned reason, and a mailbox over its limits end
// that channel alone: its client is sent phx_error and rejoins. A planned end
// sends phx_close. A malformed frame ends its own connection (1011). Join
// refuses with a [Refusal], Connect with a [ConnectError], and a transport is
// asked to close by a [wire.Close]: three types, because a client reacts to each
// differently.
//
// # Bounds
//
// Nothing a client sends is held, and nothing it is sent waits, without a limit.
// What bounds what, where from it is set, and what happens to who is over it:
//
//	a message           the transport's MaxFrame, 1 MiB             closed, 1009
//	messages a second   Config.MessageRate, MessageBurst, at first  closed, 1013
//	                    MessageStart; large ones count more
//	bytes a second      the same: 40 MiB                            closed, 1013
//	joins a second      Config.JoinRate                             refused
//	channels            Handler.MaxChannels, Config.MaxChannels     refused
//	what a channel has  Config.MailboxSize, Config.MailboxBytes     phx_error
//	yet to handle
//	what a client has   the transport's OutboxBytes, OutboxAge;     closed, 1013;
//	yet to be sent      long polling's BufferBytes                  cut; ended
//	silence             the transport's IdleTimeout, Window         closed, 1002; ended
//	connections         the transport's MaxConnections, MaxSessions 503
//	of one address      the transport's Intake; no bound by default 429
//	handshakes at once  the same                                    wait, 503
//	bodies of polling   its MaxBody, and MaxBodies of all clients   400, 503
//	refs                2 KiB                                       closed, 1011
//
// What is before a transport is the http.Server's: its ReadHeaderTimeout and
// MaxHeaderBytes, and how many connections it takes; package transport/intake bounds
// and paces those. Who an address is, is the operator's to say: all who come through
// one proxy have the same.
//
// Below MessageRate a client is paced by how fast its messages are taken: a
// transport reads no further while one is decoded, and TCP passes that on. A
// message is taken when it is in its channel's mailbox, not when it is handled;
// so a channel that is slower than its client ends, alone, while another of the
// same connection goes on.
//
// # Telemetry
//
// [Config.Telemetry] are functions that are told of connections, joins and
// messages, with how long the application took for each, of the batches of a
// drain, and of every rejection: what was refused without asking the
// application, because of a limit or a fault of the client. [Config.Logger] gets
// the same as lines, at the levels of [Handler] and [Route], without secrets (see
// [ParamFilter]). Package metrics exports it to Prometheus.
//
// # Shutdown
//
// [Endpoint.Drain] closes all connections with 1012, in batches, and waits for
// Terminate of all channels; [Endpoint.Close] then ends subscriptions and waits
// for every goroutine. No phx_close is sent: it would keep clients from
// rejoining elsewhere. Close the tracker after the endpoint and the bus last.
//
// # Differences from Phoenix
//
// Rows are those of the behaviour contract.
//
//	B001        A transport is served where the application mounts it, and none is by
//	            default.
//	B011        A handshake that is no valid upgrade is answered 400 with a reason that
//	            names the header, in words of our own.
//	B013        [wire.ConnectInfo] has all that a transport knows, unasked: there are no keys
//	            to get wrong, and nothing of it outlives Connect. What is the same for
//	            all connections Connect has as variables.
//	B023        By default an Origin is checked against the Host of the request, not
//	            against a configured one: nothing to forget in a configuration.
//	B038        Payloads are checked for all versions, before anybody gets them: whether
//	            a broadcast works must not depend on who listens.
//	B041        A broadcast of bytes skips the clients of version 1, which is logged;
//	            there it crashes the sender.
//	B045        A join blocks its connection there. Here joins run side by side, so
//	            that one slow query does not stop a client's heartbeats; order per
//	            topic is kept.
//	B047, B050  Terminate runs exactly once after every accepted join, and only then:
//	B082        also on a duplicate join, never after a refused one. Cleaning up must
//	            not depend on how a channel ends.
//	B050        A phx_leave is always answered, also when a phx_join of its topic
//	            comes right behind it. The reference kills the channel, and which of
//	            the two wins is a matter of luck.
//	B084        How long channels may take to end on shutdown is the context of Drain.
//	B087        What is logged of clients is the same; the messages are constant, and
//	            what varies are attributes, as logs of log/slog are searched.
//	B088        A filter hides keys in any case, and secret and apikey too by default.
//	B092        Close codes are those of the row, also where another web server under
//	            the reference closes with 1000 after silence, or cuts the connection
//	            for bad UTF-8: a client that should come back is never sent 1000.
//	B100, B101  Long polling answers 408 to a malformed message at once, and bounds the
//	            size of one message as WebSocket does.
//	B104, B106  Its tokens have a form of their own; and a session may go without a
//	            poll for one and a half windows from the end of the last one, not from
//	            its beginning.
//	B108        A session that is to be sent bytes ends, so that its client begins
//	            another; there its polls fail with 500 until the client gives up.
//	B113        Drain closes connections; there is no broadcast of phx_drain.
//	B114        Batches count connections, and are 1000 every 500 ms, with jitter.
//	B115        Drain closes every connection, not only those with channels.
//	B139        Local subscribers get a broadcast first; an error is about the remote
//	            part only. A broken bus does not silence a replica.
//	B141, B171  One dispatcher, the fastlane. What another one would do, a subscriber
//	            or an intercepting channel does.
//	B142, B143  A [bus.Bus] needs no pools that have to agree, and subscribes per topic: a
//	            replica gets the broadcasts that it has subscribers for.
//	B146        A phx_ref has up to 20 characters, and tells nothing of its time.
//	B154 to B161  Package presence replicates in another way: changes go out at once, a
//	            replica that stops announces it, one that is killed is missed in 3 s,
//	            no lost heartbeat makes anybody leave, and nothing has to be sharded.
//	B165        Fetch is called once for a diff, not once for each of its sides.
//	B166        Diffs may be merged, over the window that Presence above states.
//	            What phoenix.js holds after them is the same, and 200 clients in one
//	            room are not 80,400 frames.
//	B167        A slow Fetch holds up its own topic only, and no longer than
//	            [Config.FetchTimeout]; a Fetch that fails takes nothing down.
//	B169        Where a topic is not yet complete the state waits up to StateTimeout,
//	            and has in it what the channel tracked meanwhile; there it would come
//	            by diff.
//	B170        The state of a [MetasHandler] is a topic's. It runs where channels of
//	            its route are joined, is given metas as they were tracked, not as
//	            Fetch made them, and is made by [Route.NewMetas]: init cannot be
//	            missing.
//	joins       At most 50 a second on one connection, after a burst of 100: "too many
//	            joins". A topic has at most 255 bytes: "topic too long". And in a storm
//	            "overloaded"; see Many joins at once. There is no limit there.
//	mailboxes   A channel that does not keep up ends, as a crash does. There its
//	            mailbox grows.
//	JSON        What a client sent is passed on as it came: of two equal keys the last
//	            counts, numbers keep their form. A payload null is {}.
//
// And in place of what Elixir, its compiler or its processes bring along:
//
//	B008, B062  Other results than the allowed ones: Go's types have no others.
//	B020        Patterns: [NewHandler], all faults at once.
//	B070        handle_call and handle_cast: [Socket.Send], with a Go channel in the
//	            message where an answer is wanted.
//	B079        HandleOut without Intercept: they are one interface.
//	B085        Hibernation: an idle channel has no goroutine, and its mailbox no
//	            memory.
//	B116        Partitions of supervisors: there is nothing to supervise.
//	B172        Settings of the application's environment: [Config].
package channel
