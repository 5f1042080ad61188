package jwtauth

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
)

// Key verifies tokens of one algorithm.
type Key struct {
	// ID is the "kid" of the tokens that the key verifies, "" for any.
	ID string
	// Algorithm is the "alg" of the tokens that the key verifies, and the type of Key:
	//
	//	HS256, HS384, HS512                      []byte, of at least 32, 48, 64 bytes
	//	RS256, RS384, RS512, PS256, PS384, PS512 *rsa.PublicKey, of at least 2048 bits
	//	ES256, ES384, ES512                      *ecdsa.PublicKey on P-256, P-384, P-521
	//	EdDSA                                    ed25519.PublicKey
	Algorithm string
	Key       any
}

// secretBytes is the least length of a secret in bytes, that of the hash (RFC 7518, 3.2).
var secretBytes = map[string]int{"HS256": 32, "HS384": 48, "HS512": 64}

var curves = map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()}

// minModulus is the least size in bits of an RSA key (RFC 7518, 3.3).
const minModulus = 2048

// check names what is wrong with a key, without revealing it.
func (k Key) check() error {
	switch k.Algorithm {
	case "HS256", "HS384", "HS512":
		secret, ok := k.Key.([]byte)
		if least := secretBytes[k.Algorithm]; !ok || len(secret) < least {
			return fmt.Errorf("%s needs a []byte of at least %d bytes, not a %T of %d", k.Algorithm, least, k.Key, len(secret))
		}
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		key, ok := k.Key.(*rsa.PublicKey)
		if !ok || key == nil || key.N == nil || key.N.BitLen() < minModulus {
			return fmt.Errorf("%s needs an *rsa.PublicKey of at least %d bits (given: %T)", k.Algorithm, minModulus, k.Key)
		}
	case "ES256", "ES384", "ES512":
		key, ok := k.Key.(*ecdsa.PublicKey)
		if curve := curves[k.Algorithm]; !ok || key == nil || key.Curve != curve {
			return fmt.Errorf("%s needs an *ecdsa.PublicKey on %s (given: %T)", k.Algorithm, curve.Params().Name, k.Key)
		}
	case "EdDSA":
		key, ok := k.Key.(ed25519.PublicKey)
		if !ok || len(key) != ed25519.PublicKeySize {
			return fmt.Errorf("EdDSA needs an ed25519.PublicKey (given: %T)", k.Key)
		}
	default:
		return fmt.Errorf("the algorithm %q is not known", k.Algorithm)
	}
	return nil
}
