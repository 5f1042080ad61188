// Package intake bounds what clients who connect may take of a replica: how many
// handshakes are worked on at a time, and how many connections an address has.
//
//	in, err := intake.New(intake.Options{MaxPerAddress: 200})
//	socket, err := websocket.New(endpoint, handler, websocket.Options{Intake: in})
//	polling, err := longpoll.New(endpoint, handler, longpoll.Options{Intake: in})
//	server := http.Server{ConnState: in.ConnState}
//	err = server.Serve(in.Listener(l))
//
// Transports that share an [Intake] share its bounds. One that is given none has
// one of its own, with the defaults.
//
// # Terms
//
//   - handshake: what it takes to let a client in, from when the transport's
//     handler has its request until the connection, or session, has begun or is
//     refused. The application's Session and Connect are part of it.
//   - turn: a handshake's time to be worked on.
//   - address: whom a client counts as. Of IPv6 it is the /64, which is what one
//     customer has at least; IPv4 that is mapped into IPv6 is IPv4.
//
// # Turns
//
// net/http starts a goroutine for every request. When a replica ends, all its
// clients come to another in the same second, and thousands of goroutines that
// can run are thousands that what is delivered to those who are in has to wait
// for, again and again on its way; and where one of them is interrupted with a
// lock, all others come to wait for that. So only a few handshakes have their
// turn, Options.MaxHandshakes, and the others wait in the order in which they
// came.
//
// Who had to wait begins its turn by giving way (package internal/yield): to what can
// run at that moment, which is there for those who are in, and then for as long again,
// 20 ms at most. A storm thus takes the time that is left, and leaves pauses in which
// the network is looked at. Its clients are in somewhat later for it (see What was
// tried).
//
// A turn ends after 10 ms at the latest, though the handshake goes on: it is
// waiting then for something else, a database perhaps, and costs the processor
// nothing. So a slow Connect does not hold up the others; but where each takes
// long, no more than MaxHandshakes begin in 10 ms.
//
// A handshake that has waited for Options.Wait is refused, and so is one that
// finds Options.MaxWaiting waiting: HTTP 503 with Retry-After. phoenix.js comes
// back by itself. One whose client has gone away leaves the line.
//
// That is done at two places. [Intake.Listener] lets net/http have only so many
// connections that it has not answered yet: those that wait cost it nothing. One
// that sends nothing has its turn for 10 ms: some hundred of them a second can keep
// others waiting who come (not those who are in), so where clients are not trusted
// set MaxPerAddress. The
// transports' handlers, which are all that an Intake has of a server without that
// listener, give turns to handshakes, which wait as requests, with a goroutine and
// its buffers each. With the listener few have to wait there; those of long polling
// on connections that are open already do.
//
// # Addresses
//
// Options.MaxPerAddress bounds the connections and sessions of one address,
// handshakes included: HTTP 429. [Intake.ConnState] has net/http count the
// connections of an address that are no WebSockets, or not yet, too, apart from
// those, and closes what is above the bound: who sends half a request, or none,
// comes to no handler. By default there is no bound, because many people may
// share an address: an office, a school, the customers of a mobile network.
//
// The address is that of the socket. Behind a proxy this is the proxy's, of all
// clients alike, and Options.Address has to find the client's; [FromHeader] reads
// it from a header that the proxy sets. Which header that is nobody but the
// operator knows: any client can send X-Forwarded-For, so it is never looked at
// by default.
//
// # Cost
//
// A handshake costs a lock, taken twice, and an allocation; one that waits as a
// request some 500 bytes, and what net/http has for it, some 20 KiB. The listener
// costs as much, and an entry in a table as long as a connection is HTTP's. An
// address that is counted costs some 150 bytes as long as it has connections, and a
// connection a pointer. Without a bound nothing is counted.
//
// # What was tried
//
// 5,000 clients who connect and join at once, and the latency of a room beside them,
// in ms; server, clients, and that room in processes of their own, on 2 processors
// that are busy with other work, too (load 12 to 18). Medians:
//
//	                                           p50   p99
//	nothing                                    400  1780
//	turns in the handler                       185   850
//	those and the listener                      85   760
//	1, 2 or 8 turns at a time instead of 4      40 to 70, 260 to 930
//	the room on another server, beside this    3.4   105
//
// With nothing else on the machine, and 10,000 who come back ("rollcall-bench kill
// --reconnect --clients 10000"); the last three in turn, medians of three, where the
// control is the same kind of room on an idle server of its own at the same time, which
// tells what is the machine's:
//
//	                                       p50   p99   max   all back   peak memory
//	no bounds                              342   910          2.9 s      222 MiB
//	turns for handshakes, all else as
//	it comes                                14   279   300    1.9 s      110 MiB
//	a few read and joined at a time, too,
//	who give way: what is done             1.9    11    16    2.2 s       81 MiB
//	the control                            0.9   5.4   5.5
//
// With those who give way, but as many as come, it was 1.7 and 30 ms, with few who do
// not give way 5 and 120 (a prototype, on slower days).
//
// Traces of the execution showed why. Go's scheduler knows no priorities, and a message
// has to be run four times on its way: the poll, the reader, the channel, the writer.
// Up to 3,800 goroutines could run before it; and when they were few, a processor still
// went from one to the next that it woke, for 10 ms at a time, and as it never ran out
// of work the network was looked at every 10 ms only. Yielding alone puts newcomers
// behind the others; it is the pause after it that lets the processors run dry. Where
// the generator had the lowest priority of the system, the figures were the same.
//
// The clients of a killed replica, 10,000, who come back to the other, again with
// and without all of this, by turns, three times (load 16, rollcall-bench kill
// --reconnect), medians:
//
//	            p50   p99   all back   peak memory of the server
//	without     201  1535   5.3 s      192 MiB
//	with         37   424   4.4 s       96 MiB
//
// Without bounds, thousands of goroutines waited for a lock at a time: a goroutine
// that allocates with a lock held may have to wait for the garbage collector, or is
// interrupted, and then has to wait for all others that can run. A gate that
// allocated with its lock held was itself what they waited for.
//
//   - No turn at the listener for connections whose request has not arrived when
//     they come: a storm's clients connect first and write later, so that most of
//     them were let in at once (p50 105, and twice the memory).
//   - An accept that yields the processor (runtime.Gosched) before each connection:
//     half as good as turns.
//   - Accepting only when there is a turn, and leaving the others in the kernel's
//     queue: what does not fit into that tries again after a second, so that all are
//     in twice as late.
//
// # Concurrency and shutdown
//
// All methods may be called concurrently. An Intake has no goroutine but that of
// each listener, which ends when that is closed, and nothing to shut down: who waits
// is told by the transport that closes.
package intake
