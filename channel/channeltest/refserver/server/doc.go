// Package server is the server that recorded transcripts are replayed against: its
// sockets and channels do what those of the Phoenix server did whose frames are
// in channel/testdata/phoenix, traps included. The command refserver starts it by
// hand; tests start it with [Start] and serve it, on a port or on a pipe:
//
//	s, err := server.Start(ctx, server.Config{})
//	defer s.Close(ctx)
//	http.Serve(listener, s)
//
// It is for tests: nobody is authenticated, and GET /broadcast lets anybody
// broadcast anything.
//
// # Sockets
//
// Each has WebSocket at its path and "/websocket", and long polling at
// "/longpoll".
//
//	/socket  defaults; the origin is not checked
//	/short   a silent client is closed after 2 s, a frame has at most 64 KiB; a poll
//	         waits for 2 s, a token is good for 3 s
//	/origin  pages of localhost only
//	/auth    the auth token is the user
//
// A client connects with the param user, is refused without one, and is refused
// with 429 as the user ratelimited. The connection's id is "users:" and the user.
//
// # Channels
//
//	echo:*   answers, pushes, broadcasts, crashes and stops in every way there is;
//	         intercepts "secret"
//	room:*   presence_state after the join, and the user tracked with the param meta;
//	         with "track_first" the other way round
//	party:*  a voting party, as a workshop wrote it
//	bench:*  msg is broadcast, ping is answered
//
// # Concurrency and shutdown
//
// A [Server] is an http.Handler. Close closes all connections with 1012 and
// waits for everything that it started; the application's http.Server is closed
// by who made it.
package server
