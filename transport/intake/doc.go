// Package intake limits what connecting clients may take of a replica: how many
// handshakes run at a time, and how many connections an address has.
//
//	in, err := intake.New(intake.Config{MaxPerAddress: 200})
//	socket, err := websocket.New(endpoint, handler, websocket.Config{Intake: in})
//	polling, err := longpoll.New(endpoint, handler, longpoll.Config{Intake: in})
//	server := http.Server{ConnState: in.ConnState}
//	err = server.Serve(in.Listener(l))
//
// Transports that share an [Intake] share its limits. A transport that is given none has
// one of its own, with the defaults.
//
// # Terms
//
//   - handshake: what it takes to accept a client, from when the transport's
//     handler has its request until the connection, or session, has begun or is
//     refused. The application's Session and Connect are part of it.
//   - turn: the time in which a handshake runs.
//   - address: what a client is counted by. For IPv6 it is the /64, the least that one
//     customer has; IPv4 that is mapped into IPv6 is IPv4.
//
// # Turns
//
// net/http starts a goroutine for every request. When a replica ends, all its clients
// connect to another in the same second, and without a limit thousands of goroutines
// would delay what established clients are sent. So at most Config.MaxHandshakes
// handshakes have their turn at once, and the others wait in the order of arrival.
//
// While others wait, a turn that has ended is given to the next only after a cooldown:
// it stays unused for three times as long as it lasted, 50 us to 20 ms. A storm thus
// takes at most a quarter of the time of its turns. Its clients are in somewhat later,
// and the latency of the others stays low. The experiments behind this are in
// docs/decisions/0001-redesign.md.
//
// A turn ends after 10 ms at the latest, though its handshake goes on, and is given on
// without a cooldown: the handshake then waits for something else, such as a database,
// and takes no CPU time. So a slow Connect does not hold up the others. But where each
// is slow, no more than MaxHandshakes begin in 10 ms.
//
// A handshake that has waited for Config.Wait is refused, and so is one that
// finds Config.MaxWaiting waiting: HTTP 503 with Retry-After, after which phoenix.js
// tries again. A handshake whose client has gone away leaves the line.
//
// Turns are given at two places:
//
//   - [Intake.Listener] limits the connections that net/http has not answered yet. Those
//     that wait cost net/http nothing. A connection that sends nothing has its turn for
//     10 ms, so some hundred of them a second can keep other connecting clients waiting.
//     Where clients are not trusted, set MaxPerAddress.
//   - The transports' handlers give turns to handshakes. Those that wait do so as requests,
//     with a goroutine and its buffers each. With the listener few have to wait here;
//     those of long polling on connections that are open already do.
//
// # Addresses
//
// Config.MaxPerAddress limits the connections and sessions of one address,
// handshakes included: HTTP 429. [Intake.ConnState] makes net/http count, apart from
// those, the connections of an address that are not WebSockets, or not yet. It closes
// those above the limit: half a request, or none, reaches no handler. By default there
// is no limit, because many people may share an address: an office, a school, the
// customers of a mobile network.
//
// The address is that of the socket. Behind a proxy it is the proxy's, of all
// clients alike, and Config.Address must find the client's; [FromHeader] reads
// it from a header that the proxy sets. The operator must name that header: any client
// can send X-Forwarded-For, so it is not read by default.
//
// # Cost
//
// A handshake costs a lock, taken twice, and an allocation. One that waits as a request
// takes some 500 bytes here and some 20 KiB in net/http. The listener costs as much as a
// handshake, and an entry in a table while its connection is HTTP's. An address that is
// counted takes some 150 bytes as long as it has connections, and each connection a
// pointer. Without a limit nothing is counted.
//
// # Concurrency and shutdown
//
// All methods may be called concurrently. An Intake has no goroutine but that of
// each listener, which ends when the listener is closed. There is nothing to shut down:
// a transport that closes ends the wait of its handshakes.
package intake
