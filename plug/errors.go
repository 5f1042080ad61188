package plug

import "errors"

// Errors of this package besides those of package auth, which are those of [Tokens].
// They are wrapped with the reason, and contain no part of a token, cookie or term.
var (
	// ErrInvalid: a cookie that is not genuine, or a term that cannot be read.
	ErrInvalid = errors.New("plug: invalid")
	// ErrTerm: a value that is no term; see [Atom].
	ErrTerm = errors.New("plug: value is no Erlang term")
	// ErrTooLarge: a token or cookie would be larger than auth.MaxToken.
	ErrTooLarge = errors.New("plug: too large")
)
