package jwtauth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/auth"
)

var (
	now    = time.Unix(1_700_000_000, 0)
	secret = []byte(strings.Repeat("s", 64))
)

func newVerifier(t testing.TB, change ...func(*Config)) *Verifier {
	t.Helper()
	cfg := Config{Keys: []Key{{Algorithm: "HS256", Key: secret}}}
	for _, f := range change {
		f(&cfg)
	}
	v, err := New(cfg)
	require.NoError(t, err)
	return v
}

// signed makes a token; header has what is added to its header.
func signed(t testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims, header map[string]any) string {
	t.Helper()
	tok := jwt.NewWithClaims(method, claims)
	for k, v := range header {
		tok.Header[k] = v
	}
	text, err := tok.SignedString(key)
	require.NoError(t, err)
	return text
}

func bob() jwt.MapClaims {
	return jwt.MapClaims{"sub": "bob", "exp": now.Unix() + 60}
}

// with is bob's claims and some more; nil takes one away.
func with(more map[string]any) jwt.MapClaims {
	claims := bob()
	for k, v := range more {
		claims[k] = v
		if v == nil {
			delete(claims, k)
		}
	}
	return claims
}

// The example of RFC 7515, appendix A.1.
func TestTheTokenOfTheStandardIsVerified(t *testing.T) {
	key, err := base64.RawURLEncoding.DecodeString("AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow")
	require.NoError(t, err)
	v := newVerifier(t, func(c *Config) { c.Keys[0].Key, c.Issuer = key, "joe" })
	const text = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
	claims, err := v.Verify(time.Unix(1_300_819_379, 0), text)
	require.NoError(t, err)
	require.Equal(t, true, claims.Data.(map[string]any)["http://example.com/is_root"])
	require.Empty(t, claims.Subject)
	_, err = v.Verify(time.Unix(1_300_819_380, 0), text)
	require.ErrorIs(t, err, auth.ErrExpired)
}

func TestClaimsAreThoseOfTheToken(t *testing.T) {
	v := newVerifier(t)
	claims, err := v.Verify(now, signed(t, jwt.SigningMethodHS256, secret, with(map[string]any{"iat": now.Unix() - 5, "big": json.Number("12345678901234567890")}), nil))
	require.NoError(t, err)
	require.Equal(t, "bob", claims.Subject)
	require.True(t, claims.SignedAt.Equal(now.Add(-5*time.Second)))
	require.True(t, claims.ExpiresAt.Equal(now.Add(time.Minute)))
	require.Equal(t, json.Number("12345678901234567890"), claims.Data.(map[string]any)["big"])
}

func TestVerifyNamesWhatIsWrong(t *testing.T) {
	hs := func(claims jwt.MapClaims) string { return signed(t, jwt.SigningMethodHS256, secret, claims, nil) }
	good := hs(bob())
	parts := strings.Split(good, ".")
	raw := func(header, claims string) string {
		text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
		signature, err := jwt.SigningMethodHS256.Sign(text, secret)
		require.NoError(t, err)
		return text + "." + base64.RawURLEncoding.EncodeToString(signature)
	}
	endless := func(c *Config) { c.AllowEndless = true }
	issuer := func(c *Config) { c.Issuer = "home" }
	audience := func(c *Config) { c.Audience = "us" }
	leeway := func(c *Config) { c.Leeway = time.Minute }
	for _, c := range []struct {
		name, token string
		after       time.Duration
		change      func(*Config)
		want        error
		text        string
	}{
		{name: "good", token: good},
		{name: "missing", want: auth.ErrMissing},
		{name: "its last second", token: good, after: time.Minute - 1},
		{name: "expired", token: good, after: time.Minute, want: auth.ErrExpired},
		{name: "expired within leeway", token: good, after: 2*time.Minute - 1, change: leeway},
		{name: "expired beyond leeway", token: good, after: 2 * time.Minute, change: leeway, want: auth.ErrExpired},
		{name: "endless", token: hs(with(map[string]any{"exp": nil})), want: auth.ErrInvalid, text: "missing"},
		{name: "endless and allowed", token: hs(with(map[string]any{"exp": nil})), change: endless},
		{name: "expired although endless is allowed", token: good, after: time.Hour, change: endless, want: auth.ErrExpired},
		{name: "not yet valid", token: hs(with(map[string]any{"nbf": now.Unix() + 30})), want: auth.ErrInvalid, text: "not valid yet"},
		{name: "not yet valid within leeway", token: hs(with(map[string]any{"nbf": now.Unix() + 30})), change: leeway},
		{name: "issuer", token: hs(with(map[string]any{"iss": "home"})), change: issuer},
		{name: "another issuer", token: hs(with(map[string]any{"iss": "elsewhere"})), change: issuer, want: auth.ErrInvalid, text: "issuer"},
		{name: "no issuer", token: good, change: issuer, want: auth.ErrInvalid},
		{name: "audience", token: hs(with(map[string]any{"aud": "us"})), change: audience},
		{name: "one audience of several", token: hs(with(map[string]any{"aud": []string{"them", "us"}})), change: audience},
		{name: "another audience", token: hs(with(map[string]any{"aud": "them"})), change: audience, want: auth.ErrInvalid, text: "audience"},
		{name: "no audience", token: good, change: audience, want: auth.ErrInvalid},
		{name: "expired and of another issuer", token: good, after: time.Hour, change: issuer, want: auth.ErrInvalid},

		{name: "garbage", token: "garbage", want: auth.ErrInvalid},
		{name: "dots", token: "..", want: auth.ErrInvalid},
		{name: "no signature", token: parts[0] + "." + parts[1] + ".", want: auth.ErrInvalid},
		{name: "another payload", token: parts[0] + "." + strings.Split(hs(with(map[string]any{"sub": "eve"})), ".")[1] + "." + parts[2], want: auth.ErrInvalid, text: "signature"},
		{name: "another secret", token: signed(t, jwt.SigningMethodHS256, []byte("other"), bob(), nil), want: auth.ErrInvalid, text: "signature"},
		{name: "another secret and expired", token: signed(t, jwt.SigningMethodHS256, []byte("other"), bob(), nil), after: time.Hour, want: auth.ErrInvalid, text: "signature"},
		{name: "another algorithm, same secret", token: signed(t, jwt.SigningMethodHS512, secret, bob(), nil), want: auth.ErrInvalid, text: "no key"},
		{name: "none", token: signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, bob(), nil), want: auth.ErrInvalid, text: "no key"},
		{name: "an algorithm of its own", token: raw(`{"alg":"XX1"}`, `{}`), want: auth.ErrInvalid},
		{name: "a critical extension", token: signed(t, jwt.SigningMethodHS256, secret, bob(), map[string]any{"crit": []string{"b64"}}), want: auth.ErrInvalid, text: "critical"},
		{name: "exp that is no number", token: raw(`{"alg":"HS256"}`, `{"exp":"soon"}`), want: auth.ErrInvalid},
		{name: "claims that are no object", token: raw(`{"alg":"HS256"}`, `[]`), want: auth.ErrInvalid},
		{name: "claims that are null", token: raw(`{"alg":"HS256"}`, `null`), want: auth.ErrInvalid},
		{name: "a line end", token: good[:10] + "\n" + good[10:], want: auth.ErrInvalid},
		{name: "padding", token: good + "=", want: auth.ErrInvalid},
		{name: "too long", token: good + strings.Repeat("A", auth.MaxToken), want: auth.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := newVerifier(t)
			if c.change != nil {
				v = newVerifier(t, c.change)
			}
			claims, err := v.Verify(now.Add(c.after), c.token)
			if c.want == nil {
				require.NoError(t, err)
				require.Equal(t, "bob", claims.Subject)
				return
			}
			require.ErrorIs(t, err, c.want)
			require.ErrorContains(t, err, c.text)
			require.Zero(t, claims)
			for part := range strings.SplitSeq(c.token, ".") {
				if len(part) > 4 {
					require.NotContains(t, err.Error(), part)
				}
			}
		})
	}
}

// pair is a key that signs and the one that verifies.
type pair struct{ private, public any }

func pairs(t testing.TB) map[string]pair {
	t.Helper()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	out := map[string]pair{"EdDSA": {edKey, edKey.Public()}}
	for _, size := range []string{"256", "384", "512"} {
		out["HS"+size] = pair{secret, secret}
		out["RS"+size] = pair{rsaKey, &rsaKey.PublicKey}
		out["PS"+size] = pair{rsaKey, &rsaKey.PublicKey}
	}
	for alg, curve := range map[string]elliptic.Curve{"ES256": elliptic.P256(), "ES384": elliptic.P384(), "ES512": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		require.NoError(t, err)
		out[alg] = pair{key, &key.PublicKey}
	}
	return out
}

func TestEveryAlgorithmVerifiesItsOwnTokensOnly(t *testing.T) {
	all := pairs(t)
	tokens := map[string]string{}
	for alg, p := range all {
		tokens[alg] = signed(t, jwt.GetSigningMethod(alg), p.private, bob(), nil)
	}
	for alg, p := range all {
		v := newVerifier(t, func(c *Config) { c.Keys = []Key{{Algorithm: alg, Key: p.public}} })
		for other, text := range tokens {
			_, err := v.Verify(now, text)
			if other == alg {
				require.NoError(t, err, alg)
			} else {
				require.ErrorIs(t, err, auth.ErrInvalid, "%s by the key of %s", other, alg)
			}
		}
	}
}

// The classic forgery: the public key, which everybody knows, as the secret.
func TestAPublicKeyIsNoSecret(t *testing.T) {
	p := pairs(t)["RS256"]
	v := newVerifier(t, func(c *Config) { c.Keys = []Key{{Algorithm: "RS256", Key: p.public}} })
	der, err := x509.MarshalPKIXPublicKey(p.public.(crypto.PublicKey))
	require.NoError(t, err)
	for _, secret := range [][]byte{der, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})} {
		_, err = v.Verify(now, signed(t, jwt.SigningMethodHS256, secret, bob(), nil))
		require.ErrorIs(t, err, auth.ErrInvalid)
	}
}

func TestKeysAreChosenByTheirID(t *testing.T) {
	key := func(name string) []byte { return []byte(strings.Repeat(name, 32)) }
	v := newVerifier(t, func(c *Config) {
		c.Keys = []Key{{"new", "HS256", key("n")}, {"old", "HS256", key("o")}, {"", "HS256", key("a")}}
	})
	for _, c := range []struct {
		kid, key any
		good     bool
	}{
		{"new", "n", true}, {"old", "o", true}, {"new", "o", false}, {"old", "n", false},
		{nil, "n", true}, {nil, "o", true}, {nil, "a", true}, {nil, "x", false},
		{"new", "a", true}, {"unknown", "a", true}, {"unknown", "n", false}, {7, "n", true},
	} {
		header := map[string]any{}
		if c.kid != nil {
			header["kid"] = c.kid
		}
		_, err := v.Verify(now, signed(t, jwt.SigningMethodHS256, key(c.key.(string)), bob(), header))
		if c.good {
			require.NoError(t, err, c)
		} else {
			require.ErrorIs(t, err, auth.ErrInvalid, c)
		}
	}
	only := newVerifier(t, func(c *Config) { c.Keys = []Key{{"new", "HS256", key("n")}} })
	_, err := only.Verify(now, signed(t, jwt.SigningMethodHS256, key("n"), bob(), map[string]any{"kid": "other"}))
	require.ErrorIs(t, err, auth.ErrInvalid)
}

func TestNewNamesEveryFaultAndNoSecret(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil { // newer releases make none
		weak = nil
	}
	var weakPublic *rsa.PublicKey
	if weak != nil {
		weakPublic = &weak.PublicKey
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	require.NoError(t, err)
	faulty := []Key{
		{"", "HS256", []byte("short secret")},
		{"", "HS512", secret[:63]},
		{"", "HS256", "a string"},
		{"", "RS256", weakPublic},
		{"", "RS256", &rsa.PublicKey{}},
		{"", "RS256", secret},
		{"", "ES256", &p384.PublicKey},
		{"", "ES256", &ecdsa.PublicKey{}},
		{"", "ES256", nil},
		{"", "EdDSA", ed25519.PublicKey("short")},
		{"", "none", nil},
		{"", "", secret},
	}
	_, err = New(Config{Keys: faulty, Leeway: -1})
	require.Error(t, err)
	for i := range faulty {
		require.ErrorContains(t, err, fmt.Sprintf("Config.Keys[%d]", i))
	}
	require.ErrorContains(t, err, "Leeway")
	require.NotContains(t, err.Error(), "short secret")
	_, err = New(Config{})
	require.ErrorContains(t, err, "Config.Keys: there is none")
}

func FuzzVerify(f *testing.F) {
	v := newVerifier(f)
	good := signed(f, jwt.SigningMethodHS256, secret, bob(), nil)
	f.Add(good)
	f.Add("")
	f.Add("..")
	f.Add(signed(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, bob(), nil))
	f.Add(signed(f, jwt.SigningMethodHS256, []byte("other"), bob(), map[string]any{"kid": "x", "crit": []string{"b64"}}))
	f.Fuzz(func(t *testing.T, text string) {
		claims, err := v.Verify(now, text)
		if err == nil {
			require.Equal(t, good, text)
			return
		}
		require.Zero(t, claims)
		require.True(t, errors.Is(err, auth.ErrInvalid) || errors.Is(err, auth.ErrExpired) || errors.Is(err, auth.ErrMissing))
	})
}
