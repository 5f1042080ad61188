// Package auth admits connections that have a token, and closes them when the token
// expires.
//
//	tokens, err := plug.NewTokens(plug.TokenConfig{ // of a Phoenix application; or jwtauth.New
//		Keys: plug.KeyConfig{Secrets: []string{secretKeyBase}},
//		Salt: "user socket",
//	})
//	authenticator, err := auth.New(auth.Config{Verifier: tokens})
//	h, err := channel.NewHandler(channel.Handler{
//		Connect: authenticator.Connect,
//		Routes:  []channel.Route{{Pattern: "room:*", New: newRoom}},
//	})
//	defer authenticator.Close() // after the endpoint's Close
//
// In the browser:
//
//	new Socket("/socket", {authToken: token})     // phoenix.js 1.8
//	new Socket("/socket", {params: {token}})      // earlier versions
//
// A channel finds the user in s.Value("user_id"), and all that the token says with
// [ClaimsOf]. A [Verifier] reads tokens: package plug has that of Phoenix.Token, package
// jwtauth that of JSON Web Tokens.
//
// # Terms
//
//   - claims: the content of a token. Their subject is the user.
//   - life: how long a token is valid.
//   - renew: give a connection a newer token of the same subject.
//
// # The life of a connection
//
// [Authenticator.Connect] takes the token from the connection's auth token, else from a
// parameter. When the token expires, the connection is closed with 1001, and phoenix.js
// reconnects. Its parameters should be a function, so that they have a new token by then.
// To stay connected, a client sends a new token before that, on any channel that calls
// [HandleIn] or [Renew].
//
// Expiry follows the wall clock, which is read at least once a minute: a connection may end
// that much later if the clock was set forward.
//
// To disconnect a user at once, broadcast "disconnect" on the connection's id, by default
// "user_socket:" and the subject. A token cannot be revoked: its holder can connect again
// until it expires.
//
// # Concurrency and shutdown
//
// All functions and methods may be called concurrently. An [Authenticator] has one timer
// for all connections, and a goroutine only while it closes some. A connection costs it
// about 100 bytes, until some time after the connection has ended. [Authenticator.Close]
// waits for closes in progress; Connect and Renew fail after it.
//
// # Errors
//
// Errors are sentinels, wrapped with the reason. No error and no log message contains a
// token or a part of one.
package auth
