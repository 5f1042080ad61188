package auth

import "errors"

// Errors of this package. They are wrapped with the reason, never with a part of a token.
var (
	// ErrInvalid: no token, or one that another secret or salt signed, that cannot be
	// read, or that was signed in the future.
	ErrInvalid = errors.New("auth: invalid token")
	// ErrExpired: a genuine token that has expired.
	ErrExpired = errors.New("auth: expired token")
	// ErrMissing: there is no token.
	ErrMissing = errors.New("auth: missing token")
	// ErrSubject: a genuine token without a subject; see [Config.Subject].
	ErrSubject = errors.New("auth: token without subject")
	// ErrOther: a connection cannot be renewed with another subject's token.
	ErrOther = errors.New("auth: token of another subject")
	// ErrNotAuthenticated: a connection cannot be renewed unless an [Authenticator]
	// admitted it.
	ErrNotAuthenticated = errors.New("auth: connection has no token")
	// ErrClosed: the [Authenticator] was closed.
	ErrClosed = errors.New("auth: closed")
)
