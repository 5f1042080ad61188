// Package serve is what the commands of this repository share: the flags, the
// start of a replica, its health, and its end. A command says in an [App] what
// it serves, and its main is
//
//	func main() { os.Exit(serve.Main(app, os.Args[1:])) }
//
// # What a replica is made of
//
// From the ground up: a listening socket, a NATS server that is embedded or a
// connection to one elsewhere, a bus over it (natsbus), the presence tracker,
// the channel endpoint, and the app's HTTP handler. It starts in this order, so
// that a port that is taken is the first thing noticed, and serves nobody before
// all of it stands.
//
// A replica without --nats and --cluster-listen is alone for good: it runs no
// NATS, whose server nobody else could reach, and its bus is that of one process
// (membus). That saves 1 KB for each topic, and 4 MiB at the start (see package
// websocket).
//
// # Output
//
// Standard output gets what another program may want to read, one line each:
//
//	rollcall: cluster at 127.0.0.1:6222        only with --cluster-listen
//	rollcall: admin at http://127.0.0.1:4001   only with --admin-listen
//	rollcall: listening at http://127.0.0.1:4000
//
// The last one says that clients are served. Standard error gets the log, and
// at the end one line with the error, if there was one. [Run] returns 0 after a
// shutdown that went well, 2 for flags that cannot be, 1 for everything else.
//
// # Health
//
// GET /healthz is answered here, for every app. 200 is a replica that is well:
//
//	{"status":"ok","replica":"eu-1","connected":true,"connections":17}
//
// It is 503 when the connection to NATS, if there is one, is lost (status "disconnected": clients
// are still served, alone) and while the replica shuts down ("draining"). With
// an embedded cluster "routes" is the number of other servers that are connected
// now.
//
// # Admin address
//
// Where thousands of clients connect at once, who asks at their address for
// /healthz waits with them for 2 to 4 s, and a load balancer takes a replica out
// that is well. With --admin-listen there is a second address, whose connections,
// 100 at most, wait for nobody:
//
//	/healthz        as above; it is at the clients' address, too
//	/metrics        as below; at the clients' address no more
//	/debug/pprof/   net/http/pprof, for "go tool pprof"; without the command line,
//	                in which a secret may stand
//
// It asks nobody who he is, shows what the process is doing, and can make it slow:
// it is for the operator's network alone. Its own traffic apart, it costs a
// goroutine.
//
// # Metrics
//
// GET /metrics exports to Prometheus what package metrics does (NATS unless alone), and
// the Go runtime and process. Metrics name replicas, but neither users nor topics;
// without an admin address, a proxy in front should still keep the path private.
//
// # Who comes in
//
// All connections come by a listener of package transport/intake: a few at a time
// are read from and answered for the first time, the others wait in their order,
// /healthz and /metrics among them, unless asked for at the admin address. --max-connections-per-address is for WebSockets,
// for sessions of long polling, and for connections that are neither yet, each by
// itself. With --address-header the latter are not counted by address, because
// they are all the proxy's.
//
// # Shutdown
//
// SIGTERM and SIGINT, or the end of Run's context:
//
//  1. No new connection is taken: the listening socket is closed, but not that of
//     the admin address, where /healthz says "draining" until step 3 is done.
//  2. All clients are closed with 1012, and their channels end, so that their
//     presences leave on the other replicas at once.
//  3. What the app asked to be closed is closed, then HTTP, at both
//     addresses.
//  4. The tracker says that this replica leaves.
//  5. The NATS connection is flushed and closed, and the embedded server ends.
//
// All of it takes at most --shutdown-timeout, of which clients and app get three
// quarters: the others are told even when a client or a callback hangs. A second
// signal ends the process at once.
//
// # Concurrency
//
// Run may be called concurrently with different arguments, several replicas in
// one process that is: it handles no signals and has no global state. When it
// returns no goroutine of it runs, unless it returns an error about the shutdown.
// [Main] handles signals and is for main functions.
package serve
