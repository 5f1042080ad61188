package jwtauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rollcall-go/rollcall/channel/auth"
)

// Config configures a [Verifier]. Keys are required.
type Config struct {
	// Keys are tried in order. There may be several of one ID.
	Keys []Key
	// Issuer, unless "", is the required "iss". Audience, unless "", must be, or be
	// among, the "aud".
	Issuer   string
	Audience string
	// Leeway is the tolerated difference between clocks: tokens are valid that much
	// sooner and longer. Default 0.
	Leeway time.Duration
	// AllowEndless accepts tokens without "exp". Their connections do not expire.
	AllowEndless bool
}

// Verifier is the auth.Verifier of JSON Web Tokens. The subject is "sub" if that is a
// string. Data has all claims, with numbers as json.Number.
type Verifier struct {
	// static after New
	config  Config
	options []jwt.ParserOption
}

var _ auth.Verifier = (*Verifier)(nil)

// New returns a Verifier. The error names every fault of the config, and no key.
func New(cfg Config) (*Verifier, error) {
	var errs []error
	cfg.Keys = slices.Clone(cfg.Keys)
	if len(cfg.Keys) == 0 {
		errs = append(errs, errors.New("jwtauth: Config.Keys: there is none"))
	}
	for i, key := range cfg.Keys {
		if err := key.check(); err != nil {
			errs = append(errs, fmt.Errorf("jwtauth: Config.Keys[%d]: %w", i, err))
		}
		if secret, ok := key.Key.([]byte); ok {
			cfg.Keys[i].Key = slices.Clone(secret)
		}
	}
	if cfg.Leeway < 0 {
		errs = append(errs, fmt.Errorf("jwtauth: Config.Leeway is %v, must not be negative", cfg.Leeway))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	v := &Verifier{config: cfg, options: []jwt.ParserOption{
		jwt.WithLeeway(cfg.Leeway),
		jwt.WithJSONNumber(),
		jwt.WithStrictDecoding(),
	}}
	if cfg.Issuer != "" {
		v.options = append(v.options, jwt.WithIssuer(cfg.Issuer))
	}
	if cfg.Audience != "" {
		v.options = append(v.options, jwt.WithAudience(cfg.Audience))
	}
	if !cfg.AllowEndless {
		v.options = append(v.options, jwt.WithExpirationRequired())
	}
	return v, nil
}

// Verify returns the claims of a token. The error is auth.ErrMissing for "",
// auth.ErrExpired for a genuine token whose "exp" has passed, and otherwise
// auth.ErrInvalid.
func (v *Verifier) Verify(now time.Time, text string) (auth.Claims, error) {
	switch {
	case text == "":
		return auth.Claims{}, auth.ErrMissing
	case len(text) > auth.MaxToken:
		return auth.Claims{}, fmt.Errorf("%w: over %d bytes", auth.ErrInvalid, auth.MaxToken)
	case strings.ContainsAny(text, "\r\n"): // which encoding/base64 skips
		return auth.Claims{}, fmt.Errorf("%w: not a JSON Web Token", auth.ErrInvalid)
	}
	options := append(slices.Clip(v.options), jwt.WithTimeFunc(func() time.Time { return now }))
	claims := jwt.MapClaims{}
	if _, err := jwt.ParseWithClaims(text, claims, v.keys, options...); err != nil {
		return auth.Claims{}, translate(err)
	}
	out := auth.Claims{Data: map[string]any(claims)}
	out.Subject, _ = claims["sub"].(string)
	if at, err := claims.GetIssuedAt(); err == nil && at != nil {
		out.SignedAt = at.Time
	}
	if at, err := claims.GetExpirationTime(); err == nil && at != nil {
		out.ExpiresAt = at.Add(v.config.Leeway)
	}
	return out, nil
}

// Faults of a token's header.
var (
	errNoKey    = errors.New("no key of its algorithm and id")
	errCritical = errors.New("it has a critical extension")
)

// keys returns the keys that may have signed a token.
func (v *Verifier) keys(t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, errCritical
	}
	id, _ := t.Header["kid"].(string)
	var set jwt.VerificationKeySet
	for _, key := range v.config.Keys {
		if key.Algorithm == t.Method.Alg() && (id == "" || key.ID == "" || key.ID == id) {
			set.Keys = append(set.Keys, key.Key)
		}
	}
	if len(set.Keys) == 0 {
		return nil, errNoKey
	}
	return set, nil
}

// translate returns the error of package auth for one of the parser, whose text may contain
// parts of the token.
func translate(err error) error {
	what := "not a JSON Web Token"
	for _, known := range []struct {
		err  error
		what string
	}{
		{errCritical, errCritical.Error()},
		{errNoKey, errNoKey.Error()},
		{jwt.ErrTokenSignatureInvalid, "signature"},
		{jwt.ErrTokenNotValidYet, "not valid yet"},
		{jwt.ErrTokenInvalidIssuer, "another issuer"},
		{jwt.ErrTokenInvalidAudience, "another audience"},
		{jwt.ErrTokenRequiredClaimMissing, "a required claim is missing"},
		{jwt.ErrTokenExpired, ""},
		{jwt.ErrTokenInvalidClaims, "claims"},
	} {
		if errors.Is(err, known.err) {
			if known.err == jwt.ErrTokenExpired {
				return auth.ErrExpired
			}
			what = known.what
			break
		}
	}
	return fmt.Errorf("%w: %s", auth.ErrInvalid, what)
}
