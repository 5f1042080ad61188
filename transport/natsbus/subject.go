package natsbus

import (
	"errors"
	"fmt"
	"strings"

	"github.com/rollcall-go/rollcall/transport/internal/lane"
)

// MaxDest is the most bytes a destination may have.
const MaxDest = lane.MaxDest

// ErrDest: a destination that is empty, longer than MaxDest bytes or not
// UTF-8.
var ErrDest = errors.New("natsbus: invalid destination")

func checkDest(dest string) error {
	if fault := lane.DestFault(dest); fault != "" {
		return fmt.Errorf("%w: %s", ErrDest, fault)
	}
	return nil
}

// appendDest appends dest as a subject: what stands before its first colon, which
// is its class, as one token, and the rest as another one, so that all of a class
// can be subscribed to at once. Different destinations give different subjects.
func appendDest(b []byte, dest string) []byte {
	class, rest, ok := strings.Cut(dest, ":")
	b = appendToken(b, class)
	if ok {
		b = appendToken(append(b, '.'), rest)
	}
	return b
}

// appendToken appends s as one token of a subject. Different strings give
// different tokens, as the escaping can be undone; "%" alone is the empty one.
func appendToken(b []byte, s string) []byte {
	const hex = "0123456789ABCDEF"
	if s == "" {
		return append(b, '%')
	}
	for i := range len(s) {
		c := s[i]
		if !special(c) {
			b = append(b, c)
			continue
		}
		b = append(b, '%', hex[c>>4], hex[c&15])
	}
	return b
}

// special tells whether a byte must not stand in a token as it is: NATS splits
// at white space and ".", "*" and ">" are wildcards, "%" is our escape, and
// controls have no business in a server's log.
func special(c byte) bool {
	switch c {
	case '.', '*', '>', '%', 0x7f:
		return true
	default:
		return c <= ' '
	}
}
