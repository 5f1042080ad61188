// Package plug makes and reads what Plug and Phoenix sign and encrypt, byte for byte:
// tokens of Phoenix.Token, and session cookies. A Phoenix application and this program can
// then share users: pages come from the one, channels from the other.
//
//	tokens, err := plug.NewTokens(plug.TokenConfig{
//		Keys: plug.KeyConfig{Secrets: []string{secretKeyBase}}, // of the Phoenix application
//		Salt: "user socket",
//	})
//	token, err := tokens.Sign(time.Now(), user.ID, 0) // or Phoenix.Token.sign(conn, "user socket", user.id)
//	claims, err := tokens.Verify(time.Now(), token)
//
// [Tokens] is a verifier of package auth, which admits connections by their tokens. [Cookies]
// makes and reads values of cookies; package plug/cookie reads the session of a request.
//
// # Terms
//
//   - secret: Phoenix's secret_key_base, known to both sides. Keys are derived from secrets
//     and a salt, which separates uses.
//   - rotation: the first of several secrets signs and encrypts, all verify and decrypt.
//   - life: how long a token is valid.
//   - term: an Erlang term in the external term format; see [Atom].
//
// # Formats
//
// Rows are those of the behaviour contract (B117 to B124, B014). b64 is base64 of the URL
// alphabet without padding.
//
//	key       = PBKDF2-HMAC-SHA256(secret, salt, 1000 iterations, 32 bytes)
//	payload   = {data, signed_at in ms, max_age in s} as a term; the content of a cookie
//	signed    = text "." b64(HMAC-SHA256(key, text)), text = "SFMyNTY." b64(payload)
//	encrypted = "XCP." b64(nonce, tag, ciphertext) by XChaCha20-Poly1305
//
// Signatures by HMAC-SHA384 and SHA512, the two older forms of a token's payload, encrypted
// texts of plug_crypto 1 and compressed terms are read too. Signatures are compared in
// constant time, and nothing is decoded before it is known to be genuine.
//
// # Limits
//
// Tokens and cookies have at most 16 KiB (auth.MaxToken). Terms inflate to at most 256 KiB
// and nest at most 64 deep. Plug has no such limits. Base64 with padding or unused bits, and
// bytes after a term are invalid; Plug ignores them.
//
// # Concurrency, errors and shutdown
//
// Everything may be used concurrently. Time is an argument, and there is nothing to close.
// No input makes this package panic, or allocate more than a small multiple of the limits.
// Errors are sentinels, wrapped with the reason. No error contains a token, a cookie or a
// part of one.
package plug
