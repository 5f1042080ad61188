package token

import "errors"

// Errors of this package. Functions wrap them with what was wrong, never with
// any part of a token; test with errors.Is.
var (
	// ErrInvalid: not a token, one that somebody else signed or for another
	// salt, or one whose content cannot be read or comes from the future.
	ErrInvalid = errors.New("token: invalid")
	// ErrExpired: a genuine token whose life has ended.
	ErrExpired = errors.New("token: expired")
	// ErrMissing: there is no token.
	ErrMissing = errors.New("token: missing")

	// ErrTerm: a value that has no external form here; see [Atom].
	ErrTerm = errors.New("token: value cannot be put in a token")
	// ErrTooLarge: a token over [MaxToken] was to be made.
	ErrTooLarge = errors.New("token: too large")

	// ErrSubject: a genuine token does not say whose it is; see
	// [AuthConfig.Subject].
	ErrSubject = errors.New("token: names nobody")
	// ErrOther: a connection was to be renewed with the token of somebody else.
	ErrOther = errors.New("token: belongs to somebody else")
	// ErrNotAuthenticated: a connection that no [Auth] let in was to be renewed.
	ErrNotAuthenticated = errors.New("token: the connection was not made with a token")
	// ErrClosed: the [Auth] was closed.
	ErrClosed = errors.New("token: closed")
)
