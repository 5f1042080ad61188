// Package longpoll connects clients to package channel by long polling, for
// networks that let no WebSocket through: phoenix.js falls back to it by itself
// (longPollFallbackMs). What the messages mean is package channel's business.
//
//	transport, err := longpoll.New(endpoint, handler, longpoll.Config{})
//	mux.Handle("/socket/longpoll", transport)
//
// # Terms
//
//   - session: one client's connection, as long as it is polled. It is in the
//     memory of one replica.
//   - token: names a session and its replica, signed. Who has it is the client.
//   - poll: a GET with a token, which waits for messages for at most one window.
//
// # Protocol
//
// HTTP's own status is 200; the one that counts is in the body (rows B095 to
// B111 of the behaviour contract). A client shows its token in the header
// X-Phoenix-Longpoll-Token, or else in the query (token=...).
//
//	GET, no valid token   {"status":410,"token":T,"messages":[]}    a session has begun
//	                      {"status":403}                            origin or Connect refuses
//	GET                   {"status":200,"token":T,"messages":[..]}  strings, each a frame
//	                      {"status":204,"token":T,"messages":[]}    none came in a window
//	                      {"status":410, ...}                       gone; another has begun
//	POST                  {"status":200}                            taken; replies come by poll
//	                      {"status":408}                            not taken: see below
//	                      {"status":410}                            gone
//	OPTIONS               a browser's preflight
//
// A POST of application/x-ndjson is a batch: a message a line, at most 100, the
// rest is ignored; a line that does not begin with "[" is the base64 of a binary
// message. So version 1 of the protocol, whose messages begin with "{", posts
// one message at a time, as any other type. Of a batch with a line that is
// neither, nothing is taken (HTTP 500), and of a body or message that is too
// large (HTTP 400); where all clients together send more than Config.MaxBodies, of
// one too many (HTTP 503). A POST is answered 408 when the session ended over it, being
// malformed or one of too many ([channel.Config].MessageRate), or did not get to it
// within a window.
//
// What is refused, and a session that its client is to blame for the end of, is
// told to the endpoint as a [wire.Rejection], for its log and its metrics.
//
// When there is no room, too many connect at once, or the transport closes, the
// answer is HTTP 503, for proxies, with {"status":500}, after which clients come
// back; 429 when too many sessions are of the client's address (Config.Intake, see
// package transport/intake).
//
// # Sessions
//
// Messages wait in the session until a poll takes them, in order, and a poll
// that ends without an answer takes none. (Low-priority frames are not treated apart,
// since no session's messages wait behind another's.) At most Config.BufferBytes wait; a
// session that would need more ends. So does one that is not polled for one and
// a half windows after its last poll ended, with [wire.ReasonInactive]. Of
// two polls at a time the later gets what comes, and the earlier waits for the
// end of its window. A client whose session has ended is told 410 by its next
// poll: phoenix.js then connects anew and rejoins its channels. What waited is
// dropped, as what a broken connection held would be.
//
// Messages to the client are text. A session that is sent a binary one ends,
// which is logged as an error: an application whose clients may poll sends none. Clients
// can send binary messages.
//
// No goroutine belongs to a session, only a timer.
//
// # Replicas
//
// With Config.Bus a client may reach any replica with any request. One that has
// not got the session passes the request on, and the session's replica must
// answer within Config.RelayTimeout, or say that the poll waits; else the client
// is told 410 (B105). What was not delivered for certain is never lost silently:
// the session it came from is ended, and its client starts over. Messages of a
// client may be only as large as the bus carries, on all replicas alike.
//
// Whoever can publish on the bus is trusted.
//
// # Security
//
// A token is a password for its session: it is signed with HMAC-SHA256, compared
// in constant time, names 128 random bits, and is not logged. It is good for
// Config.TokenAge from the beginning of its session. Answers may be read by
// pages of any origin ("access-control-allow-origin: *", B096), but carry no
// cookies; which pages may connect is Config.CheckOrigin.
//
// The auth token of phoenix.js (X-Phoenix-AuthToken), what Config.Session made of
// the cookies, and what else a transport knows are given to Connect when the
// session begins, and only then.
//
// # Concurrency
//
// All exported methods may be called concurrently, and so may the
// [wire.Link] that sessions are, whose methods never block and never call
// into the [channel.Conn].
//
// # Shutdown
//
// [Transport.Close] answers what waits, ends all sessions, and returns when no
// goroutine of the transport is left. A program ends in this order:
//
//	endpoint.Drain(ctx)   // ends all sessions, in batches
//	transport.Close(ctx)  // ends what is left, and answers polls
//	server.Shutdown(ctx)  // would wait for polls, were there any
//	endpoint.Close(ctx)
//
// # Differences from the reference
//
//	B007   refuses as the reference does (403), but 503 when it drains
//	B100   a malformed message is answered 408 at once; there, when the window is over
//	B101   a message has at most MaxFrame bytes; there, 10,000,000 in base64
//	B106   the time without a poll counts from the end of the last one; there,
//	       from its beginning, so that a client that waited a whole window
//	       has only half of one to come back
//	B108   the session ends; there, polls are answered HTTP 500, and phoenix.js stops
package longpoll
