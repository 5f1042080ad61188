package lane

import (
	"fmt"
	"unicode/utf8"
)

// MaxDest is the most bytes a destination may have. Escaped for NATS it has at
// most three times as many, well below the 4,096 bytes of a server's control
// line.
const MaxDest = 600

// DestFault says why dest cannot be a destination, which is 1 to MaxDest bytes
// of UTF-8; it is empty for one that can. Each bus makes its own error of it.
func DestFault(dest string) string {
	switch {
	case dest == "":
		return "empty"
	case len(dest) > MaxDest:
		return fmt.Sprintf("%d bytes, at most %d", len(dest), MaxDest)
	case !utf8.ValidString(dest):
		return fmt.Sprintf("%q is not UTF-8", dest)
	default:
		return ""
	}
}
