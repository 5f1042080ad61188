package plug

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/rollcall-go/rollcall/channel/auth"
)

// TokenConfig configures [Tokens]. Keys.Secrets and Salt are required.
type TokenConfig struct {
	Keys KeyConfig
	// Salt separates tokens of different uses ("user socket"). It is not secret.
	Salt string

	// VerifyMaxAge, unless 0, replaces the life that a token names: [Forever], or
	// negative for none.
	VerifyMaxAge time.Duration
	// Skew is how far in the future a token may have been signed: the difference
	// between the clocks of replicas. Default 0, as in Phoenix.
	Skew time.Duration
}

// Forever is the life of a token that does not expire: the atom infinity.
const Forever = time.Duration(math.MaxInt64)

// defaultMaxAge is the life of a token that does not name one (B119).
const defaultMaxAge = 24 * time.Hour

// Tokens makes and reads the tokens of Phoenix.Token under one salt. Its methods may be
// called concurrently.
type Tokens struct {
	// static after NewTokens
	config TokenConfig
	ring   *keyring
}

var _ auth.Verifier = (*Tokens)(nil)

// NewTokens derives the keys, which takes about 0.1 ms for each secret. The error names
// every fault of the config, and no secret.
func NewTokens(cfg TokenConfig) (*Tokens, error) {
	keys, faults := cfg.Keys.prepare("TokenConfig")
	if cfg.Salt == "" {
		faults = append(faults, errors.New("plug: TokenConfig.Salt is empty"))
	}
	if cfg.Skew < 0 {
		faults = append(faults, fmt.Errorf("plug: TokenConfig.Skew is %v, must not be negative", cfg.Skew))
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	ring, err := keys.derive(cfg.Salt)
	if err != nil {
		return nil, err
	}
	cfg.Keys.Secrets = nil // not needed any more
	return &Tokens{config: cfg, ring: ring}, nil
}

// Sign returns a token that anybody can read and only holders of the secret can make:
// that of Phoenix.Token.sign. [Atom] lists the types of data. maxAge is the token's
// life, to the millisecond: [Forever], 0 for 24 h; a negative one has expired. It fails
// with ErrTerm or ErrTooLarge.
func (t *Tokens) Sign(signedAt time.Time, data any, maxAge time.Duration) (string, error) {
	payload, err := encodePayload(data, signedAt, maxAge)
	if err != nil {
		return "", err
	}
	return t.ring.sign(payload)
}

// Encrypt returns a token that only holders of the secret can read: that of
// Phoenix.Token.encrypt. Otherwise it is like Sign. It also fails if KeyConfig.Rand
// does, or if KeyConfig.KeyLength is not 32.
func (t *Tokens) Encrypt(signedAt time.Time, data any, maxAge time.Duration) (string, error) {
	payload, err := encodePayload(data, signedAt, maxAge)
	if err != nil {
		return "", err
	}
	return t.ring.encrypt(payload)
}

// Verify returns the claims of a signed token, as Phoenix.Token.verify does. The error
// is auth.ErrMissing for "", auth.ErrExpired for a genuine token whose life has ended,
// and otherwise auth.ErrInvalid.
func (t *Tokens) Verify(now time.Time, token string) (auth.Claims, error) {
	return t.read(now, token, t.ring.verify)
}

// Decrypt is Verify for an encrypted token. It also reads those of plug_crypto 1
// (AES-GCM), which Encrypt does not make.
func (t *Tokens) Decrypt(now time.Time, token string) (auth.Claims, error) {
	return t.read(now, token, func(token string) ([]byte, error) { return t.ring.decrypt(token, nil) })
}

func (t *Tokens) read(now time.Time, token string, open func(string) ([]byte, error)) (auth.Claims, error) {
	if token == "" {
		return auth.Claims{}, auth.ErrMissing
	}
	payload, err := open(token)
	if err != nil {
		return auth.Claims{}, fmt.Errorf("%w: %w", auth.ErrInvalid, err)
	}
	return decodePayload(payload, now, t.config.VerifyMaxAge, t.config.Skew)
}
