// Package load implements rollcall-bench: clients that speak the channel protocol
// (version 2, text frames) over real sockets to replicas in other processes, and
// the measurements taken from them.
//
// # Modes
//
//	conns     Idle connections, one join and one presence each. Measures resident
//	          memory per connection, the rate of connecting and joining, and
//	          server CPU per connect and join.
//	fanout    One topic with many subscribers. Publishers keep a number of
//	          publishes outstanding or publish at a rate. Measures deliveries per
//	          second, latency, and server CPU per delivery.
//	presence  Many clients join one topic until each has seen all. Then some leave
//	          and rejoin at a steady rate. Measures time, bytes and CPU per notice,
//	          and the latency of a quiet room meanwhile.
//	remote    Clients join and leave on one replica; others observe on another.
//	kill      One of two replicas is killed together with its clients, which stay
//	          away or reconnect to the other. Measures how long the other shows
//	          their presences, the time until all are back, and the latency of a
//	          quiet room meanwhile.
//	fresh     A replica joins an idle cluster. Measures the time until one of its
//	          clients sees every presence.
//	hostile   One topic with a steady publisher, without and with misbehaving
//	          clients, one kind at a time, in that topic and in another. Measures
//	          the latency of the other clients, how the misbehaving ones end, and
//	          the server's rejection counts, CPU and memory.
//
// In hostile, a client that does not read notices its end 5 s late, and half a
// handshake is cut off after 10 s: use --duration to cover that. The kinds "half a
// handshake" and "crowds in" open 60 connections per source address; servers
// started by --self allow 50.
//
// # Terms
//
// A publish is one broadcast by one client. A delivery is its arrival at one
// subscriber; publishers subscribe too. A publish is outstanding until every
// subscriber has it, and a window is the allowed number of outstanding publishes.
// A notice tells one member of one change: a client that leaves and rejoins a room
// of 1,000 causes 2,000 notices.
//
// # Latency
//
// At a rate, latency is measured from the scheduled send time. A server that
// delays the generator therefore does not look faster (coordinated omission).
// The figure includes the generator's own wake-up delay, about 0.1 ms on an idle
// machine. With a window there is no schedule: latency is measured from the write.
// Percentiles come from a log-linear histogram and are at most 0.8% too high.
//
// A server that was not started by --self must accept the message rate of fanout's
// publishers: see --message-rate and --broadcast-rate of "rollcall serve".
//
// # The quiet room and its control
//
// The modes presence and kill also measure a quiet room on the loaded server: 4
// clients, one of which publishes 50 times a second. Its latency is reported for
// the 2 s before the load, while the load connects, and for each step. The room
// runs in a process of its own ([ServeQuietRoom]), because the generator's own
// thousands of clients would delay it.
//
// It still shares the processors with them. With --self a control room therefore
// runs at the same time, in the same steps, in one more process, on one more
// replica that has no other work and belongs to no cluster. Latency common to both
// rooms is machine noise; the difference is due to the loaded server. If both are
// high, the run says nothing about the server: repeat it with fewer clients or
// more processors. The control takes about 3% of one processor and is part of no
// other figure.
//
// # Reconnecting
//
// Clients of a killed server reconnect with the backoff of phoenix.js: after 10 ms,
// and after failures 50, 100, 150, 200, 250, 500 ms, 1 s, 2 s, and then every 5 s.
// In every mode, a client whose join is refused as "overloaded" rejoins after 1, 2,
// 5 and then every 10 s; such refusals are counted.
//
// # CPU and memory
//
// CPU time and memory are read from /proc, for servers started by --self and for
// the processes named by --pid. They are unknown on systems other than Linux: "-"
// in a table, null in JSON. CPU time has a resolution of 10 ms. The report includes
// the generator's own CPU time, since generator and server share the machine: a
// generator that takes most of it measures itself.
//
// On a virtual machine, time taken by the host is in no process's CPU time but
// extends every duration and latency. The report gives its share (steal in
// /proc/stat), with a warning above 5%; see [Machine].
//
// # The floor
//
// With Config.Floor, fanout and conns are repeated against minimal servers made of
// net/http and gorilla/websocket only: the cost of the library and the kernel
// ([ServeFloor]). Fanout has two of them. One writes each frame to each subscriber
// directly; the other has a goroutine per connection that writes all pending frames
// at once. The report ends with the figures side by side. Compare only figures of
// one run on one machine.
//
// # Limits
//
// Only loopback addresses (127.0.0.0/8) are accepted, so that a typing error cannot
// load a network. Clients use 250 source addresses in turn, 127.0.0.2 to
// 127.0.0.251, with some 28,000 ports each. Counts and durations are limited, see
// [Config]; Config.Timeout limits the whole run.
//
// A client costs one goroutine and a 4 KiB read buffer. Message buffers are pooled,
// frames are split without allocation, and a presence payload sent to many clients
// is parsed once.
//
// # Concurrency and shutdown
//
// [Run] may be called concurrently. When it returns, with or without an error, its
// connections are closed, its processes have ended, and its goroutines have
// returned. If this process is killed, its children keep running.
package load
