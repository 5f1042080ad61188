package plug

import (
	"crypto"
	"crypto/pbkdf2"
	_ "crypto/sha256" // the hashes of KeyConfig.Digest
	_ "crypto/sha512"
	"fmt"
	"hash"
	"io"
	"slices"
)

// KeyConfig says how keys are derived from the secrets of an application. Secrets are
// required; the zero value of every other field is what Phoenix does.
type KeyConfig struct {
	// Secrets are values of secret_key_base, each at least 20 bytes. The first signs
	// and encrypts, all verify and decrypt. To rotate secrets, put the new one first;
	// remove the old one when everything that was made with it has expired.
	Secrets []string

	// Iterations, KeyLength (bytes) and Digest (crypto.SHA256, SHA384 or SHA512) are
	// key_iterations, key_length and key_digest of PBKDF2. Default 1000, 32 and
	// SHA-256. Digest does not apply to signatures, which are HMAC-SHA256. Encryption
	// needs keys of 32 bytes.
	Iterations int
	KeyLength  int
	Digest     crypto.Hash

	// Rand is the source of nonces for encryption. Default: crypto/rand.
	Rand io.Reader
}

// minSecret is the least length of a secret in bytes (B123).
const minSecret = 20

// Limits of the time that deriving keys takes.
const (
	maxIterations = 10_000_000
	maxKeyLength  = 1024
)

// prepare returns the config with its defaults, and all its faults; name is that of
// the config that it is part of. No fault contains a secret.
func (cfg KeyConfig) prepare(name string) (KeyConfig, []error) {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("plug: "+name+".Keys."+format, args...))
	}
	cfg.Secrets = slices.Clone(cfg.Secrets)
	if len(cfg.Secrets) == 0 {
		fault("Secrets is empty")
	}
	for i, secret := range cfg.Secrets {
		if len(secret) < minSecret {
			fault("Secrets[%d] has %d bytes, must have at least %d", i, len(secret), minSecret)
		}
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
	if cfg.Rand == nil {
		cfg.Rand = defaultRand
	}
	return cfg, faults
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// keyring signs, verifies, encrypts and decrypts. It has a key for each secret, in
// their order, and is static.
type keyring struct {
	keys [][]byte
	rand io.Reader
}

// derive derives the keys of a prepared config under a salt, as the reference's
// KeyGenerator does (B117). It takes about 0.1 ms for each secret and 1000 iterations.
func (cfg KeyConfig) derive(salt string) (*keyring, error) {
	r := &keyring{rand: cfg.Rand}
	for i, secret := range cfg.Secrets {
		key, err := pbkdf2.Key(func() hash.Hash { return cfg.Digest.New() }, secret, []byte(salt), cfg.Iterations, cfg.KeyLength)
		if err != nil {
			return nil, fmt.Errorf("plug: derive a key from Secrets[%d]: %w", i, err)
		}
		r.keys = append(r.keys, key)
	}
	return r, nil
}
