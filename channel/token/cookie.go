package token

import (
	"crypto"
	"errors"
	"fmt"
	"io"
)

// CookieConfig is what [Cookies] are made of: the options of a Phoenix
// application's Plug.Session, whose store is :cookie. Secrets and SigningSalt are
// required.
type CookieConfig struct {
	// Secrets are as in [Config].
	Secrets []string
	// SigningSalt and EncryptionSalt are signing_salt and encryption_salt. Without
	// the second the cookies are signed, and can be read by whoever has them.
	SigningSalt    string
	EncryptionSalt string

	// Iterations, KeyLength, Digest and Rand are as in [Config].
	Iterations int
	KeyLength  int
	Digest     crypto.Hash
	Rand       io.Reader
}

// Cookies read and make the values of session cookies, as Plug's cookie store
// does (row B014):
//
//	signed     as a token is: text "." b64(HMAC-SHA256(key of SigningSalt, text))
//	encrypted  as a token is, with the key of EncryptionSalt
//
// Encrypted ones of plug_crypto 1 are read too. A cookie has no life of its own:
// who has one has it until the secret changes. All methods may be called
// concurrently.
type Cookies struct {
	signing, encryption *Keys // encryption is nil for signed ones
}

// NewCookies derives the keys. The error names the faults of the config, and
// none of the secrets.
func NewCookies(cfg CookieConfig) (*Cookies, error) {
	if cfg.SigningSalt == "" {
		return nil, errors.New("token: CookieConfig.SigningSalt is empty")
	}
	keys := func(salt string) (*Keys, error) {
		return New(Config{
			Secrets: cfg.Secrets, Salt: salt, Iterations: cfg.Iterations, KeyLength: cfg.KeyLength, Digest: cfg.Digest, Rand: cfg.Rand,
		})
	}
	signing, err := keys(cfg.SigningSalt)
	if err != nil {
		return nil, fmt.Errorf("token: cookies: %w", err)
	}
	c := &Cookies{signing: signing}
	if cfg.EncryptionSalt != "" {
		if c.encryption, err = keys(cfg.EncryptionSalt); err != nil {
			return nil, fmt.Errorf("token: cookies: %w", err)
		}
	}
	return c, nil
}

// Open is the content of a genuine cookie: with Plug's serializer of today a
// term, see [DecodeTerm]. The error is ErrMissing for "", else ErrInvalid.
func (c *Cookies) Open(value string) ([]byte, error) {
	if err := checkLength(value); err != nil {
		return nil, err
	}
	if c.encryption != nil {
		return c.encryption.decrypted(value, c.signing)
	}
	return c.signing.verified(value)
}

// Seal makes the value of a cookie that a Phoenix application reads. It fails
// with ErrTooLarge over [MaxToken]; browsers keep 4096 bytes.
func (c *Cookies) Seal(content []byte) (string, error) {
	if c.encryption != nil {
		return c.encryption.encrypted(content)
	}
	return checkedToken(sign(c.signing.keys[0], content))
}

// EncodeTerm is the external form of an Erlang term; see [Atom]. It fails with
// ErrTerm.
func EncodeTerm(v any) ([]byte, error) { return encodeTerm(v) }

// DecodeTerm reads the external form of an Erlang term; see [Atom]. data may come
// from anybody. It fails with ErrInvalid.
func DecodeTerm(data []byte) (any, error) {
	term, err := decodeTerm(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return term, nil
}
