package natsbus

import "strings"

// appendSubject appends the subject of dest, which has one of its own.
func (b *Bus) appendSubject(buf []byte, dest string) []byte {
	buf = append(buf, b.cfg.Prefix...)
	buf = append(buf, '.')
	return appendDest(buf, dest)
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

// special reports whether a byte must not stand in a token as it is: NATS splits
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
