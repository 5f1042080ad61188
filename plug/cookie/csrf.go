package cookie

import (
	"crypto/subtle"
	"encoding/base64"
	"strings"
)

// Sizes of Plug's CSRF tokens, in characters.
const (
	stateSize  = 24                     // the session's: 18 random bytes in base64
	maskedSize = 32                     // base64 of the masked state
	tokenSize  = maskedSize + stateSize // a page's: the masked state, then the mask
)

var toURLAlphabet = strings.NewReplacer("+", "-", "/", "_")

// csrfMatches reports whether token, which a page has, is that of state, which the session
// has. Each page has another mask, so that compressed pages do not reveal the state. Older
// releases use the standard alphabet of base64. The comparison takes constant time.
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
