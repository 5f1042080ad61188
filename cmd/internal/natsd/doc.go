// Package natsd runs the NATS server that a command embeds, or connects to one
// that is elsewhere. Both give a connection that package natsbus accepts.
//
// # Alone
//
// With a zero [Config] the server has no TCP port: [Server.Conn] connects in
// the process. It is up within milliseconds.
//
// # Clustered
//
// With Config.ClusterListen the server accepts routes from other servers there,
// and keeps one to each of Config.Routes. Servers tell each other of those they
// know, so a list may be incomplete, as long as it leads to everybody; best is
// the same list for all, since what is listed is retried for ever, each second.
// What was only heard of is retried for a day. A route that is dead but not
// closed is noticed within 15 s. Of one that is not reached, since somebody has to
// be the first to start, or since the other has ended, the log has a warning, once
// until it is reached.
//
// A server that takes routes must have a client port. It is a random one on
// loopback, not told to others, and takes only who knows a secret that stays in
// the process. Routes are neither encrypted nor authenticated: the cluster
// port belongs on a private network.
//
// # Limits
//
// A message has at most 1 MiB, the default of NATS: what is larger is sent in
// chunks by who sends it. There is no JetStream; nothing is stored.
//
// # Shutdown
//
// [Server.Shutdown] ends connections and routes and returns when no goroutine
// of the server runs. Close connections first: they reconnect for ever. The
// package handles no signals and never ends the process.
package natsd
