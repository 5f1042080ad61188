package plug

import (
	"crypto"
	"crypto/hmac"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/rollcall-go/rollcall/channel/auth"
)

// Protected headers of signed texts: "HS256" and the like in base64 (B118).
const (
	protectedHS256 = "SFMyNTY"
	protectedHS384 = "SFMzODQ"
	protectedHS512 = "SFM1MTI"
)

// encoding is base64 without alternative spellings of the same bytes.
var encoding = base64.RawURLEncoding.Strict()

// sign returns payload with its signature by the first key: text "." signature, where
// text is the protected header "." payload.
func (r *keyring) sign(payload []byte) (string, error) { return checkLength(sign(r.keys[0], payload)) }

func sign(key, payload []byte) string {
	signed := protectedHS256 + "." + encoding.EncodeToString(payload)
	return signed + "." + encoding.EncodeToString(mac(crypto.SHA256, key, signed))
}

func mac(digest crypto.Hash, key []byte, text string) []byte {
	h := hmac.New(digest.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// checkLength returns what was made, or ErrTooLarge.
func checkLength(text string) (string, error) {
	if len(text) > auth.MaxToken {
		return "", fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(text), auth.MaxToken)
	}
	return text, nil
}

// errLength is the reason why a text over auth.MaxToken is not read.
var errLength = fmt.Errorf("over %d bytes", auth.MaxToken)

var errNotSigned = errors.New("not a signed token")

// verify returns the payload of a text that one of the keys signed. It is not decoded
// before that is known.
func (r *keyring) verify(text string) ([]byte, error) {
	if len(text) > auth.MaxToken {
		return nil, errLength
	}
	dot := strings.LastIndexByte(text, '.')
	if dot < 0 {
		return nil, errNotSigned
	}
	signed := text[:dot]
	protected, encoded, _ := strings.Cut(signed, ".")
	var digest crypto.Hash
	switch protected {
	case protectedHS256:
		digest = crypto.SHA256
	case protectedHS384:
		digest = crypto.SHA384
	case protectedHS512:
		digest = crypto.SHA512
	default:
		return nil, errNotSigned
	}
	payload, ok := decode64(encoded)
	signature, ok2 := decode64(text[dot+1:])
	if !ok || !ok2 {
		return nil, errors.New("not base64")
	}
	for _, key := range r.keys {
		if hmac.Equal(mac(digest, key, signed), signature) { // in constant time
			return payload, nil
		}
	}
	return nil, errors.New("signature")
}

// decode64 decodes base64. Unlike encoding/base64 it allows no line ends.
func decode64(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	b, err := encoding.DecodeString(text)
	return b, err == nil
}
