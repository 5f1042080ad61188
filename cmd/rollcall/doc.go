// Rollcall tells who is here. It is the presence service: clients connect with
// the phoenix client library, join a room, and see live who else is in it,
// whichever replica of a cluster they are connected to.
//
//	rollcall serve                                   one replica, nothing else needed
//	rollcall serve --nats nats://host:4222           a replica on a NATS cluster that is there
//	rollcall serve --cluster-listen :6222 --routes other:6222    replicas that find each other
//	rollcall serve --admin-listen 10.0.0.5:4001      health, figures and profiles, for its operator alone
//	rollcall serve --help                            all flags
//
// # Connecting
//
// The socket is at /socket (/socket/websocket?vsn=2.0.0). With a secret (--secret,
// --secret-file or the variable ROLLCALL_SECRET; prefer the last two, for
// others on the machine can read a command line) a client must show it, as the
// parameter "secret" or as the auth token of phoenix.js, and is refused with 403
// otherwise:
//
//	new Socket("/socket", {params: {secret: "..."}})
//	new Socket("/socket", {authToken: "..."})
//
// The secret says that a client may connect, not who it is: any client may be
// present under any key.
//
// Networks that let no WebSocket through are left to long polling, at the same
// socket (/socket/longpoll):
//
//	new Socket("/socket", {longPollFallbackMs: 3000, params: {secret: "..."}})
//
// In a cluster, its requests may reach any replica, for which all replicas need
// the same secret; without one, long polling is off there, and the log says so.
// The secret signs the tokens of sessions that poll: whoever sees one can try
// secrets on it, so take one that is long and random.
//
// # Rooms
//
// Any topic that begins with "room:" can be joined, with
//
//	{"key": "alice", "meta": {"device": "phone"}}
//
// The key says who, in 1 to 255 bytes. The meta is an object of at most 8 KiB
// and may be left out. The client is sent presence_state, and presence_diff from
// then on; Presence of phoenix.js makes a list of them. Several clients may be
// present under one key, each with its meta. A client that loses its connection
// is gone.
//
// # Events
//
//	push                                          replied with ok
//	update_meta  {"meta": {...}}                  {"phx_ref": "..."}
//	untrack      {}                               {}, the client stays joined
//	broadcast    {"event": "...", "payload": {}}  {}, everybody in the room gets it, the sender too
//	list         {}                               everybody, as in presence_state
//
// update_meta replaces the meta as a whole. An event of a broadcast may not begin
// with "phx_" or "presence_", which clients act upon. Whatever is refused is
// replied to with error and a {"reason": "..."} that says why.
//
// # Limits
//
// A message of a client has at most 1 MiB; a larger one closes its connection
// (1009), as does a malformed one (1011). A client may send 500 messages a second,
// and 1,000 at once after a pause (--message-rate); one that sends more is closed
// with 1013, and comes back. It may join 50 rooms a second and be in 100. No other
// connection is disturbed.
//
// A broadcast is sent to everybody in its room, so a client may send no more than
// 100 of them a second in a room, and 200 at once after a pause (--broadcast-rate):
// more are refused, and nobody gets them. To connect or to join is no pause: who
// has just connected may send 200 messages at once, and who has just joined 20
// broadcasts, or a client that floods would come back for more. What members may
// send adds up: five of a room of 100 who broadcast as much as they may are 50,000
// messages a second for it.
//
// # Health and shutdown
//
// GET /healthz, --admin-listen, SIGTERM, and what is printed: see package serve. On SIGTERM the
// clients are closed with 1012, connect again elsewhere, and are seen to
// leave at once.
package main
