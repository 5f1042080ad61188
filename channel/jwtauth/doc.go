// Package jwtauth verifies JSON Web Tokens (RFC 7519) for package auth, which admits
// connections by them, closes connections when they expire, and renews them.
//
//	verifier, err := jwtauth.New(jwtauth.Config{
//		Keys:     []jwtauth.Key{{ID: "2026-01", Algorithm: "ES256", Key: publicKey}},
//		Issuer:   "https://login.example.com",
//		Audience: "rollcall",
//	})
//	authenticator, err := auth.New(auth.Config{Verifier: verifier})
//	h, err := channel.NewHandler(channel.Handler{Connect: authenticator.Connect, Routes: routes})
//
// It is a package of its own so that other programs do not get its dependency. It does not
// make tokens.
//
// # What is accepted
//
// A key has one algorithm, and verifies only tokens that name it, so that a public key cannot
// be passed off as a secret; "none" is not accepted. To rotate keys, list the old and the new
// one: a token that names a key ("kid") is verified with the keys of that ID and those without
// one, any other with all keys of its algorithm. "exp" is required unless
// [Config].AllowEndless is set; "nbf", and "iss" and "aud" if configured, must hold. A token
// with a critical extension ("crit") is refused, because no extension is supported.
//
// # Concurrency, errors and shutdown
//
// A [Verifier] is immutable, gets the time as an argument, and may be used concurrently. Its
// errors are those of package auth, and contain no part of a token. Tokens of more than
// auth.MaxToken bytes are invalid. There is nothing to close.
package jwtauth
