package auth

import (
	"time"

	"github.com/rollcall-go/rollcall/channel"
)

// Claims is the content of a genuine token.
type Claims struct {
	// Subject is the user that the token belongs to, or "" if it names none: the
	// data of a Phoenix token if they are a string or an integer, and "sub" of a JSON
	// Web Token.
	Subject string
	// Data is all that the token says: the term of a Phoenix token (see plug.Atom),
	// the claims of a JSON Web Token (a map[string]any). It may be shared and is
	// read-only.
	Data any
	// SignedAt is when the token was made, zero if it does not say.
	SignedAt time.Time
	// ExpiresAt is when the token expires, zero for never.
	ExpiresAt time.Time
}

// Verifier reads tokens: *plug.Tokens and *jwtauth.Verifier do. The error is, or wraps,
// ErrInvalid, ErrExpired or ErrMissing, and contains no part of the token. Verify is
// called concurrently.
type Verifier interface {
	Verify(now time.Time, token string) (Claims, error)
}

// VerifierFunc is a function as a Verifier. For encrypted tokens of Phoenix it is
// VerifierFunc(tokens.Decrypt).
type VerifierFunc func(now time.Time, token string) (Claims, error)

// Verify calls f.
func (f VerifierFunc) Verify(now time.Time, token string) (Claims, error) { return f(now, token) }

// MaxToken is the largest token in bytes that the verifiers of this module read.
const MaxToken = 16 << 10

// ClaimsOf returns the claims of a connection's latest token, and reports whether an
// [Authenticator] admitted the connection.
func ClaimsOf(c *channel.Conn) (Claims, bool) {
	claims, ok := c.Value(assignClaims).(Claims)
	return claims, ok
}
