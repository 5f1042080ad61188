// Package load is the load generator behind "rollcall-bench": clients that speak
// the channel protocol (version 2, text frames) over real sockets to replicas
// that run in other processes, and what they measure.
//
// # Modes
//
//	conns     idle connections, each joined to a topic with one presence:
//	          resident memory a connection, the rate of connecting and joining,
//	          server CPU a connect and join
//	fanout    one topic, many subscribers, publishers with a number of publishes
//	          outstanding or at a rate: deliveries a second, latency, server CPU
//	          a delivery
//	presence  many clients join one topic, until each has seen all; then some
//	          leave and join again, steadily: time, bytes, CPU a notice; and the
//	          latency of another room meanwhile, beside a control
//	remote    clients join and leave on one replica, and are seen on another
//	kill      one of two replicas is killed with its clients, who stay away or come
//	          back; how long the other shows them, until all are back, and the
//	          latency of another room meanwhile, beside a control
//	fresh     a replica joins an idle cluster; how long until a client of it sees
//	          everybody
//	hostile   one topic with a steady publisher, without and with hostile clients,
//	          kind by kind, in the topic and in another: the others' latency, how
//	          the hostile ones end, the server's counts, CPU and memory. A client
//	          that does not read learns of its end 5 s late, and one with half a
//	          handshake has 10 s: that needs longer steps (--duration). Those that
//	          begin handshakes, and those that crowd in, have 60 connections each,
//	          of one address, of which servers that are started here allow 50
//
// # Terms
//
// A publish is one broadcast of one client; a delivery is its arrival at one
// subscriber, of whom the publishers are some. A publish is outstanding until all
// subscribers have it; a window is how many may be. A notice is one member told
// of one change: a client that leaves and joins a room of 1,000 makes 2,000.
//
// # Latency
//
// At a rate, a latency is counted from when the frame was to be sent by the
// schedule, not from when it was: a server that makes the generator late does
// not look faster for it (coordinated omission). The time by which the generator
// itself wakes up late is in the figure; it is about 0.1 ms on an idle machine.
// With a window there is no schedule, and a latency is counted from the write.
// Percentiles are read from a log-linear histogram and are at most 0.8% above
// the exact value.
//
// A server that is not started here must let the publishers of fanout send what
// they do (--message-rate and --broadcast-rate of "rollcall serve").
//
// # Storms
//
// Of presence and kill is told, too, what nobody but a room of its own suffers: a
// quiet room of 4 clients, on the server that is measured, in which one publishes
// 50 times a second. Its latencies are those of any room, before (for 2 s), while
// the others connect, and in each step. It is in a process of its own
// ([ServeQuietRoom]): in the generator a good part of them would be what the
// generator's thousands of clients make each other wait.
//
// It shares the machine's processors with them all the same. So there is a control
// room beside it, with servers that are started here: a room of the same kind, in one
// more process, of one more replica, which is alone and has nothing else to do. It is
// measured at the same time in the same steps, and its figures stand in the same rows.
// A latency that both rooms have is the machine's; by how much the quiet room is above
// the control is what the server let it suffer. Where both are high nothing can be
// told of the server: fewer clients, or more processors, and again. The control takes
// some 3% of one processor, and is in no other figure.
//
// Clients of a killed server come back as phoenix.js does, each for itself: after
// 10 ms, and after failures 50, 100, 150, 200, 250, 500 ms, 1, 2 and then each 5 s.
// Whose join is refused as "overloaded", in any mode, joins again after 1, 2, 5 and
// then each 10 s; how many were is counted.
//
// # What a server costs
//
// CPU time and memory are read from /proc, of the servers that are started here
// and of those whose process is named. Elsewhere than on Linux they are unknown,
// which is "-" in a table and null in JSON. CPU time has a grain of 10 ms. The
// generator's own CPU time is reported too: generator and server share the
// machine, and a generator that takes most of it measures itself.
//
// What the machine's own host takes of the processors, if it is a virtual one, is in
// nobody's CPU time but in every time and latency. The report tells how much that was
// in all (steal of /proc/stat), and warns above 5% ([Machine]).
//
// # The floor
//
// With Config.Floor fanout and conns are done with other servers, too, in turn with
// the replica: the least that these clients can do with, made of net/http and
// gorilla/websocket alone, which is what the library and the kernel cost
// ([ServeFloor]). Of fanout there are two: one writes each frame to each subscriber
// directly, the other has a goroutine a connection that writes all that waits at
// once. The report ends with the figures side by side; figures of one run on one
// machine are all that may be compared.
//
// To be cheap a client has one goroutine and a read buffer of 4 KiB; message
// buffers are pooled; frames are cut apart without allocation; a presence
// payload that many clients get is parsed once for all.
//
// # Limits
//
// Only loopback addresses are used (127.0.0.0/8), so that nobody's network is
// loaded by a slip. Clients have 250 source addresses, 127.0.0.2 to 127.0.0.251,
// in turn: each has some 28,000 ports. Counts and times are bounded, see
// [Config], and the run as a whole ends with Config.Timeout.
//
// # Concurrency and shutdown
//
// [Run] may be called concurrently. When it returns, with or without an error, its
// connections are closed, the processes that it started have ended, and no
// goroutine of it runs. If this process is killed its children stay behind.
package load
