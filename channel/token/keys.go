package token

import (
	"crypto"
	"crypto/pbkdf2"
	_ "crypto/sha256" // the hashes of Config.Digest
	_ "crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"time"
)

// Config is what [Keys] are made of. Secrets and Salt are required; the zero
// value of every other field is what Phoenix does.
type Config struct {
	// Secrets are the secret_key_base of the application, each at least 20 bytes.
	// The first signs and encrypts, all verify and decrypt: to rotate, put the
	// new one in front, and take the old one away when the last token that was
	// made with it has expired.
	Secrets []string
	// Salt keeps tokens of different uses apart ("user socket"). It is no secret.
	Salt string

	// Iterations, KeyLength (bytes) and Digest (crypto.SHA256, SHA384 or SHA512)
	// are key_iterations, key_length and key_digest: how keys are derived from a
	// secret. Default 1000, 32 and SHA-256. The digest says nothing about
	// signatures, which are HMAC-SHA256 always. Encryption needs keys of 32 bytes.
	Iterations int
	KeyLength  int
	Digest     crypto.Hash

	// VerifyMaxAge, unless it is 0, is how long tokens are good for, whatever
	// they say themselves: [Forever], or a negative duration for never.
	VerifyMaxAge time.Duration
	// Skew is how far in the future a token may have been signed: how much the
	// clocks of replicas may differ. Default 0, as in Phoenix.
	Skew time.Duration

	// Rand is where the nonces of Encrypt come from. Nil: crypto/rand.
	Rand io.Reader
}

// minSecret is the fewest bytes of a secret (B123).
const minSecret = 20

// Limits of a config that keep New from taking for ever.
const (
	maxIterations = 10_000_000
	maxKeyLength  = 1024
)

// Keys sign, verify, encrypt and decrypt tokens under one salt. The keys are
// derived once, by New, because that is slow on purpose (0.1 ms for each secret
// and 1000 iterations). All methods may be called concurrently.
type Keys struct {
	// static after New
	config Config
	keys   [][]byte // of the secrets, in their order
}

var _ Verifier = (*Keys)(nil)

// New derives the keys. The error names every fault of the config, and none of
// the secrets.
func New(cfg Config) (*Keys, error) {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf("token: Config."+format, args...)) }
	cfg.Secrets = slices.Clone(cfg.Secrets)
	if len(cfg.Secrets) == 0 {
		fault("Secrets: there is none")
	}
	for i, secret := range cfg.Secrets {
		if len(secret) < minSecret {
			fault("Secrets[%d] has %d bytes, must have at least %d", i, len(secret), minSecret)
		}
	}
	if cfg.Salt == "" {
		fault("Salt is empty")
	}
	setDefault(&cfg.Iterations, 1000)
	setDefault(&cfg.KeyLength, 32)
	setDefault(&cfg.Digest, crypto.SHA256)
	if cfg.Iterations < 1 || cfg.Iterations > maxIterations {
		fault("Iterations is %d, must be from 1 to %d", cfg.Iterations, maxIterations)
	}
	if cfg.KeyLength < 1 || cfg.KeyLength > maxKeyLength {
		fault("KeyLength is %d, must be from 1 to %d", cfg.KeyLength, maxKeyLength)
	}
	if !slices.Contains([]crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512}, cfg.Digest) {
		fault("Digest must be crypto.SHA256, SHA384 or SHA512")
	}
	if cfg.Skew < 0 {
		fault("Skew is %v, must not be negative", cfg.Skew)
	}
	if cfg.Rand == nil {
		cfg.Rand = defaultRand
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	k := &Keys{config: cfg}
	for i, secret := range cfg.Secrets {
		key, err := derive(secret, cfg)
		if err != nil {
			return nil, fmt.Errorf("token: derive a key from Config.Secrets[%d]: %w", i, err)
		}
		k.keys = append(k.keys, key)
	}
	k.config.Secrets = nil // not needed any more
	return k, nil
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// derive is the reference's KeyGenerator (B117).
func derive(secret string, cfg Config) ([]byte, error) {
	return pbkdf2.Key(func() hash.Hash { return cfg.Digest.New() }, secret, []byte(cfg.Salt), cfg.Iterations, cfg.KeyLength)
}
