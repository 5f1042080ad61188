// Package token lets clients in that show a token, and ends their connections
// when the token ends. It makes and reads the tokens of Phoenix.Token, bit for
// bit, so that a Phoenix application and this program can share users: the page
// comes from the one, the channels from the other.
//
//	keys, err := token.New(token.Config{
//		Secrets: []string{secretKeyBase}, // of the Phoenix application
//		Salt:    "user socket",
//	})
//	auth, err := token.NewAuth(token.AuthConfig{Verifier: keys})
//	h, err := channel.NewHandler(channel.Handler{
//		Connect: auth.Connect,
//		Routes:  []channel.Route{{Pattern: "room:*", New: newRoom}},
//	})
//	defer auth.Close() // after the endpoint's Close
//
// and in the browser, where the token was made by
// Phoenix.Token.sign(conn, "user socket", user.id), or by [Keys.Sign]:
//
//	new Socket("/socket", {authToken: token})     // phoenix.js 1.8
//	new Socket("/socket", {params: {token}})      // and all before it
//
// A channel then finds whose it is in s.Value("user_id"), and all that the token
// says with [ClaimsOf]. For JSON Web Tokens there is package jwtauth, whose
// verifier takes the place of keys.
//
// # Terms
//
//   - claims: what a token says. Its subject is whose it is.
//   - secret: what both sides know, Phoenix's secret_key_base. Keys are derived
//     from secrets and a salt, which keeps tokens of different uses apart.
//   - rotation: the first of several secrets signs, all verify.
//   - life: how long a token is good for. Its end is the end of connections that
//     were made with it, unless they are renewed.
//
// # The form of a token
//
// Rows are those of the behaviour contract (B117 to B124). With b64 for base64
// in its form for addresses, without padding:
//
//	key       = PBKDF2-HMAC-SHA256(secret, salt, 1000 iterations, 32 bytes)
//	payload   = {data, signed_at in ms, max_age in s} as an Erlang term, see Atom
//	signed    = text "." b64(HMAC-SHA256(key, text)), text = "SFMyNTY." b64(payload)
//	encrypted = "XCP." b64(nonce, tag, ciphertext) by XChaCha20-Poly1305
//
// Also read: signatures by HMAC-SHA384 and SHA512, the two older forms of the
// payload, encrypted tokens of plug_crypto 1, and terms that are compressed. A
// signature is compared in constant time, and nothing is decoded before it was
// found good.
//
// Differences: a token has at most 16 KiB, inflates to at most 256 KiB, and nests
// at most 64 deep; there is no limit there. Base64 with padding, or with bits
// that nobody reads, and bytes after a term are invalid; they are ignored there.
//
// [Cookies] are the cookies in which such an application keeps its sessions; they
// are signed or encrypted as tokens are. Package transport/cookie lets clients in
// by them.
//
// # The life of a connection
//
// [Auth.Connect] takes the token from the connection's auth token, else from a
// parameter. When its life ends, the connection is closed with 1001, on which
// phoenix.js connects again; give it its parameters as a function, so that they
// have a fresh token by then. To stay connected, a client sends a fresh token of
// the same user in time, on any channel that calls [HandleIn] or [Renew].
//
// Tokens live by the clock of the wall. It is looked at once a minute at least:
// so much later may a connection end when the clock was set forward.
//
// To throw a user out at once, broadcast "disconnect" on the id that
// [AuthConfig].ID gives, by default "user_socket:" and the subject. A token cannot
// be taken back: whoever has it connects again until its life ends.
//
// # Concurrency
//
// All functions and methods may be called concurrently. [Keys] need neither lock
// nor clock; time is an argument. An [Auth] has one timer, whatever the number of
// connections, and no goroutine but while it closes some; a connection costs it
// some 100 bytes, until a while after the connection has ended.
//
// # Failure
//
// No text from outside makes this package panic, or allocate more than a small
// multiple of the limits above. Errors are sentinels, wrapped with what was
// wrong; no error and no log has a token, or a part of one, in it.
//
// # Shutdown
//
// [Auth.Close] waits for what runs; Connect and Renew fail after it. Keys have
// nothing to close.
package token
