package plug

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/rollcall-go/rollcall/channel/auth"
)

const (
	// prefixXChaCha begins an encrypted text. Nonce, tag and ciphertext follow, in
	// this order, in base64 (B122).
	prefixXChaCha = "XCP."
	// prefixAES is "A128GCM" in base64. It begins an encrypted text of plug_crypto 1.
	// A content key that is wrapped in our key, a nonce, the ciphertext and its tag
	// follow, each in base64.
	prefixAES = "QTEyOEdDTQ."
	// additional is the associated data of both forms.
	additional = "A128GCM"
)

const (
	tagSize     = chacha20poly1305.Overhead // 16, also that of AES-GCM
	aesNonce    = 12
	keyLength   = chacha20poly1305.KeySize
	xchachaHead = chacha20poly1305.NonceSizeX + tagSize
)

var errNotEncrypted = errors.New("not an encrypted token")

// encrypt seals a payload with the first key.
func (r *keyring) encrypt(payload []byte) (string, error) {
	aead, err := chacha20poly1305.NewX(r.keys[0])
	if err != nil {
		return "", fmt.Errorf("plug: encrypt with keys of %d bytes: they must have %d", len(r.keys[0]), keyLength)
	}
	nonce := make([]byte, chacha20poly1305.NonceSizeX)
	if _, err := io.ReadFull(r.rand, nonce); err != nil {
		return "", fmt.Errorf("plug: encrypt: %w", err)
	}
	sealed := aead.Seal(nil, nonce, payload, []byte(additional))
	text, tag := sealed[:len(payload)], sealed[len(payload):]
	out := append(append(nonce, tag...), text...)
	return checkLength(prefixXChaCha + encoding.EncodeToString(out))
}

// decrypt returns the payload of a text that one of the keys sealed. If signing is not
// nil, a text of plug_crypto 1 must also be bound to its key of the same secret.
func (r *keyring) decrypt(text string, signing *keyring) ([]byte, error) {
	if len(text) > auth.MaxToken {
		return nil, errLength
	}
	var open func(key, signing []byte) ([]byte, bool)
	if text, ok := strings.CutPrefix(text, prefixXChaCha); ok {
		sealed, ok := decode64(text)
		if !ok || len(sealed) < xchachaHead {
			return nil, errNotEncrypted
		}
		open = func(key, _ []byte) ([]byte, bool) { return openXChaCha(key, sealed) }
	} else if text, ok := strings.CutPrefix(text, prefixAES); ok {
		sealed, ok := parseAES(text)
		if !ok {
			return nil, errNotEncrypted
		}
		open = sealed.open
	} else {
		return nil, errNotEncrypted
	}
	for i, key := range r.keys {
		var signingKey []byte
		if signing != nil {
			signingKey = signing.keys[i]
		}
		if payload, ok := open(key, signingKey); ok {
			return payload, nil
		}
	}
	return nil, errors.New("not encrypted for us")
}

func openXChaCha(key, sealed []byte) ([]byte, bool) {
	aead, err := chacha20poly1305.NewX(key)
	if err != nil {
		return nil, false
	}
	nonce, tag, text := sealed[:aead.NonceSize()], sealed[aead.NonceSize():xchachaHead], sealed[xchachaHead:]
	return openAEAD(aead, nonce, text, tag, []byte(additional))
}

// openAEAD opens a sealed text. crypto/cipher expects the tag after the ciphertext.
func openAEAD(aead cipher.AEAD, nonce, text, tag, additional []byte) ([]byte, bool) {
	sealed := append(append(make([]byte, 0, len(text)+len(tag)), text...), tag...)
	payload, err := aead.Open(nil, nonce, sealed, additional)
	return payload, err == nil
}

// sealedAES is an encrypted text of plug_crypto 1. wrapped is the content key, sealed
// with ours: its ciphertext, its tag and its nonce.
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
