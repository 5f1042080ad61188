package cookie

import (
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// Sizes of Plug's CSRF tokens, in characters.
const (
	stateSize  = 24                     // what the session has: 18 random bytes in base64
	maskedSize = 32                     // base64 of that, masked
	tokenSize  = maskedSize + stateSize // what a page has: masked, then the mask
)

var toURLAlphabet = strings.NewReplacer("+", "-", "/", "_")

// csrfMatches tells whether token, which a page had, is that of state, which the
// session has: masked with a mask of its own for each page, so that compressed
// pages do not give it away. Older releases write base64 in its standard
// alphabet. The comparison takes the same time whatever differs.
func csrfMatches(state, token string) bool {
	if len(state) != stateSize || len(token) != tokenSize {
		return false
	}
	var masked [stateSize]byte
	n, err := base64.URLEncoding.Decode(masked[:], []byte(toURLAlphabet.Replace(token[:maskedSize])))
	if err != nil || n != stateSize {
		return false
	}
	subtle.XORBytes(masked[:], masked[:], []byte(token[maskedSize:]))
	return subtle.ConstantTimeCompare(masked[:], []byte(state)) == 1
}
