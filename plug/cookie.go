package plug

import (
	"errors"
	"fmt"
)

// CookieConfig configures [Cookies]. Its fields are options of a Phoenix application's
// Plug.Session with store: :cookie. Keys.Secrets and SigningSalt are required.
type CookieConfig struct {
	Keys KeyConfig
	// SigningSalt and EncryptionSalt are signing_salt and encryption_salt. Without
	// EncryptionSalt cookies are signed only, and their holders can read them.
	SigningSalt    string
	EncryptionSalt string
}

// Cookies makes and reads values of session cookies, as Plug's cookie store does (row
// B014). They have the form of tokens, with the content of the cookie as payload. A
// cookie has no expiry of its own: it is valid until the secret is removed. Methods may
// be called concurrently.
type Cookies struct {
	// static after NewCookies
	signing    *keyring
	encryption *keyring // nil: cookies are signed only
}

// NewCookies derives the keys. The error names every fault of the config, and no secret.
func NewCookies(cfg CookieConfig) (*Cookies, error) {
	keys, faults := cfg.Keys.prepare("CookieConfig")
	if cfg.SigningSalt == "" {
		faults = append(faults, errors.New("plug: CookieConfig.SigningSalt is empty"))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	signing, err := keys.derive(cfg.SigningSalt)
	if err != nil {
		return nil, err
	}
	c := &Cookies{signing: signing}
	if cfg.EncryptionSalt != "" {
		if c.encryption, err = keys.derive(cfg.EncryptionSalt); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Open returns the content of a genuine cookie; with Plug's default serializer it is a
// term, see [DecodeTerm]. It fails with ErrInvalid. It also reads encrypted cookies of
// plug_crypto 1.
func (c *Cookies) Open(value string) ([]byte, error) {
	open := c.signing.verify
	if c.encryption != nil {
		open = func(value string) ([]byte, error) { return c.encryption.decrypt(value, c.signing) }
	}
	content, err := open(value)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return content, nil
}

// Seal returns the value of a cookie that a Phoenix application reads. It fails with
// ErrTooLarge over auth.MaxToken; browsers keep at most 4096 bytes.
func (c *Cookies) Seal(content []byte) (string, error) {
	if c.encryption != nil {
		return c.encryption.encrypt(content)
	}
	return c.signing.sign(content)
}
