package token

import (
	"crypto"
	"crypto/hmac"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
)

// What a signed token begins with: "HS256" and its like in base64 (B118).
const (
	protectedHS256 = "SFMyNTY"
	protectedHS384 = "SFMzODQ"
	protectedHS512 = "SFM1MTI"
)

// encoding is the base64 of tokens. Strict: a token has one text only.
var encoding = base64.RawURLEncoding.Strict()

// Sign makes a token that anybody can read and nobody can change: what
// Phoenix.Token.sign makes. See [Atom] for what data may be; it fails with
// ErrTerm or ErrTooLarge. maxAge is the token's life, [Forever] for one that
// does not end, 0 for the default of 24 h; a negative one makes a token that has
// expired. Milliseconds count.
func (k *Keys) Sign(signedAt time.Time, data any, maxAge time.Duration) (string, error) {
	setDefault(&maxAge, defaultMaxAge)
	payload, err := encodePayload(data, signedAt, maxAge)
	if err != nil {
		return "", err
	}
	return checkedToken(sign(k.keys[0], payload))
}

func sign(key, payload []byte) string {
	signed := protectedHS256 + "." + encoding.EncodeToString(payload)
	return signed + "." + encoding.EncodeToString(mac(crypto.SHA256, key, signed))
}

func mac(digest crypto.Hash, key []byte, text string) []byte {
	h := hmac.New(digest.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func checkedToken(token string) (string, error) {
	if len(token) > MaxToken {
		return "", fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(token), MaxToken)
	}
	return token, nil
}

// Verify is what Phoenix.Token.verify does with a token that was signed, here or
// by a Phoenix application. The error is ErrMissing for "", ErrExpired for a
// genuine token whose life has ended, else ErrInvalid.
func (k *Keys) Verify(now time.Time, token string) (Claims, error) {
	if err := checkLength(token); err != nil {
		return Claims{}, err
	}
	payload, err := k.verified(token)
	if err != nil {
		return Claims{}, err
	}
	return decodePayload(payload, now, k.config.VerifyMaxAge, k.config.Skew)
}

func checkLength(token string) error {
	switch {
	case token == "":
		return ErrMissing
	case len(token) > MaxToken:
		return fmt.Errorf("%w: over %d bytes", ErrInvalid, MaxToken)
	}
	return nil
}

// verified is the payload of a token with a signature of one of our keys. It is
// not decoded before that is known.
func (k *Keys) verified(token string) ([]byte, error) {
	dot := strings.LastIndexByte(token, '.')
	if dot < 0 {
		return nil, fmt.Errorf("%w: not a signed token", ErrInvalid)
	}
	signed := token[:dot]
	protected, text, _ := strings.Cut(signed, ".")
	var digest crypto.Hash
	switch protected {
	case protectedHS256:
		digest = crypto.SHA256
	case protectedHS384:
		digest = crypto.SHA384
	case protectedHS512:
		digest = crypto.SHA512
	default:
		return nil, fmt.Errorf("%w: not a signed token", ErrInvalid)
	}
	payload, ok := decode64(text)
	signature, ok2 := decode64(token[dot+1:])
	if !ok || !ok2 {
		return nil, fmt.Errorf("%w: not base64", ErrInvalid)
	}
	for _, key := range k.keys {
		if hmac.Equal(mac(digest, key, signed), signature) { // in constant time
			return payload, nil
		}
	}
	return nil, fmt.Errorf("%w: signature", ErrInvalid)
}

// decode64 decodes base64 without the line ends that encoding/base64 allows.
func decode64(text string) ([]byte, bool) {
	if strings.ContainsAny(text, "\r\n") {
		return nil, false
	}
	b, err := encoding.DecodeString(text)
	return b, err == nil
}
