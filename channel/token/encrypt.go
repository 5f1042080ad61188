package token

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"io"
	"strings"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

const (
	// prefixXChaCha begins an encrypted token: nonce, tag and ciphertext follow,
	// in this order, in base64 (B122).
	prefixXChaCha = "XCP."
	// prefixAES is "A128GCM" in base64. It begins an encrypted token of
	// plug_crypto 1: a key that is wrapped in our key, a nonce, the ciphertext
	// and its tag follow, each in base64.
	prefixAES = "QTEyOEdDTQ."
	// associated data of both, though only the second is what it says.
	additional = "A128GCM"
)

const (
	tagSize     = chacha20poly1305.Overhead // 16, also that of AES-GCM
	aesNonce    = 12
	keyLength   = chacha20poly1305.KeySize
	xchachaHead = chacha20poly1305.NonceSizeX + tagSize
)

// Encrypt makes a token that nobody else can read: what Phoenix.Token.encrypt
// makes. It is otherwise like Sign, and fails also when Config.Rand does or
// Config.KeyLength is not 32.
func (k *Keys) Encrypt(signedAt time.Time, data any, maxAge time.Duration) (string, error) {
	setDefault(&maxAge, defaultMaxAge)
	payload, err := encodePayload(data, signedAt, maxAge)
	if err != nil {
		return "", err
	}
	return k.encrypted(payload)
}

func (k *Keys) encrypted(payload []byte) (string, error) {
	aead, err := chacha20poly1305.NewX(k.keys[0])
	if err != nil {
		return "", fmt.Errorf("token: encrypt with keys of %d bytes: they must have %d", k.config.KeyLength, keyLength)
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	if _, err := io.ReadFull(k.config.Rand, nonce); err != nil {
		return "", fmt.Errorf("token: encrypt: %w", err)
	}
	sealed := aead.Seal(nil, nonce, payload, []byte(additional))
	text, tag := sealed[:len(payload)], sealed[len(payload):]
	out := append(append(nonce, tag...), text...)
	return checkedToken(prefixXChaCha + encoding.EncodeToString(out))
}

// Decrypt is Verify for a token that was encrypted. Those of old applications
// (plug_crypto before version 2, AES-GCM) are read too, but not made.
func (k *Keys) Decrypt(now time.Time, token string) (Claims, error) {
	if err := checkLength(token); err != nil {
		return Claims{}, err
	}
	payload, err := k.decrypted(token, nil)
	if err != nil {
		return Claims{}, err
	}
	return decodePayload(payload, now, k.config.VerifyMaxAge, k.config.Skew)
}

// decrypted is the payload of a token that was encrypted with one of our keys.
// One of plug_crypto 1 was bound to the key of the same secret in signing too,
// where that is not nil.
func (k *Keys) decrypted(token string, signing *Keys) ([]byte, error) {
	var open func(key, signing []byte) ([]byte, bool)
	if text, ok := strings.CutPrefix(token, prefixXChaCha); ok {
		sealed, ok := decode64(text)
		if !ok || len(sealed) < xchachaHead {
			return nil, fmt.Errorf("%w: not an encrypted token", ErrInvalid)
		}
		open = func(key, _ []byte) ([]byte, bool) { return openXChaCha(key, sealed) }
	} else if text, ok := strings.CutPrefix(token, prefixAES); ok {
		sealed, ok := parseAES(text)
		if !ok {
			return nil, fmt.Errorf("%w: not an encrypted token", ErrInvalid)
		}
		open = sealed.open
	} else {
		return nil, fmt.Errorf("%w: not an encrypted token", ErrInvalid)
	}
	for i, key := range k.keys {
		var signingKey []byte
		if signing != nil {
			signingKey = signing.keys[i]
		}
		if payload, ok := open(key, signingKey); ok {
			return payload, nil
		}
	}
	return nil, fmt.Errorf("%w: not encrypted for us", ErrInvalid)
}

func openXChaCha(key, sealed []byte) ([]byte, bool) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, false
	}
	nonce, tag, text := sealed[:aead.NonceSize()], sealed[aead.NonceSize():xchachaHead], sealed[xchachaHead:]
	return openAEAD(aead, nonce, text, tag, []byte(additional))
}

// openAEAD opens what was sealed; Go wants the tag behind the ciphertext.
func openAEAD(aead cipher.AEAD, nonce, text, tag, additional []byte) ([]byte, bool) {
	sealed := append(append(make([]byte, 0, len(text)+len(tag)), text...), tag...)
	payload, err := aead.Open(nil, nonce, sealed, additional)
	return payload, err == nil
}

// sealedAES is an encrypted token of plug_crypto 1. wrapped is the content's
// key, sealed with ours: its ciphertext, its tag and its nonce.
type sealedAES struct{ wrapped, nonce, text, tag []byte }

func parseAES(text string) (s sealedAES, ok bool) {
	parts := strings.Split(text, ".")
	if len(parts) != 4 {
		return s, false
	}
	for i, field := range []*[]byte{&s.wrapped, &s.nonce, &s.text, &s.tag} {
		if *field, ok = decode64(parts[i]); !ok {
			return s, false
		}
	}
	return s, len(s.nonce) == aesNonce && len(s.tag) == tagSize && len(s.wrapped) > tagSize+aesNonce
}

func (s sealedAES) open(key, signing []byte) ([]byte, bool) {
	outer, ok := newGCM(key[:min(len(key), keyLength)])
	if !ok {
		return nil, false
	}
	size := len(s.wrapped) - tagSize - aesNonce
	contentKey, ok := openAEAD(outer, s.wrapped[size+tagSize:], s.wrapped[:size], s.wrapped[size:size+tagSize], signing)
	if !ok {
		return nil, false
	}
	inner, ok := newGCM(contentKey)
	if !ok {
		return nil, false
	}
	return openAEAD(inner, s.nonce, s.text, s.tag, []byte(additional))
}

func newGCM(key []byte) (cipher.AEAD, bool) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, false
	}
	aead, err := cipher.NewGCM(block)
	return aead, err == nil
}
