// Package jwtauth lets clients in that show a JSON Web Token (RFC 7519), as
// package token does for those of Phoenix: it is the verifier, and token.Auth
// does the rest, the end of a connection with its token and renewal included.
//
//	verifier, err := jwtauth.New(jwtauth.Config{
//		Keys:     []jwtauth.Key{{ID: "2026-01", Algorithm: "ES256", Key: publicKey}},
//		Issuer:   "https://login.example.com",
//		Audience: "rollcall",
//	})
//	auth, err := token.NewAuth(token.AuthConfig{Verifier: verifier})
//	h, err := channel.NewHandler(channel.Handler{Connect: auth.Connect, Routes: routes})
//
// It is a package of its own so that who does not use it does not get what it
// depends on. It only verifies; tokens are made by whoever knows the users.
//
// # What is believed
//
// A key has one algorithm, and only tokens that name it are checked with that
// key, so that nobody can pass a public key off as a secret; "none" is none.
// To rotate keys, list the old and the new one: a token that names a key ("kid")
// is checked with the keys of that ID and those without one, any other with all
// of its algorithm. "exp" is required unless [Config].AllowEndless; "nbf",
// and "iss" and "aud" where configured, must hold. A token with a critical
// extension ("crit") is refused, for none is known here.
//
// # Concurrency, failure, shutdown
//
// A Verifier is immutable, needs no clock (time is an argument), and may be used
// by any number of goroutines. Its errors are those of package token, and contain
// no part of a token. Tokens of more than token.MaxToken bytes are invalid. There
// is nothing to close.
package jwtauth
