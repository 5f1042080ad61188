package jwtauth

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/rollcall-go/rollcall/channel/token"
)

// Config is what a [Verifier] is made of. Keys are required.
type Config struct {
	// Keys are tried in order. There may be several of one ID.
	Keys []Key
	// Issuer, unless "", is what "iss" must be, and Audience what "aud" must be, or
	// have in it.
	Issuer   string
	Audience string
	// Leeway is how much clocks may differ: a token is good for so much longer, and
	// so much sooner. Default 0.
	Leeway time.Duration
	// AllowEndless admits tokens without "exp": connections made with them live as
	// long as their clients like.
	AllowEndless bool
}

// A Verifier is the token.Verifier of JSON Web Tokens. Claims have a subject
// where "sub" is a string that is not empty; their data are all claims, numbers
// in them json.Number.
type Verifier struct {
	// static after New
	config  Config
	options []jwt.ParserOption
}

var _ token.Verifier = (*Verifier)(nil)

// New checks the config. The error names every fault.
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

// Verify tells what a token says. The error is token.ErrMissing for "",
// token.ErrExpired for a genuine token whose "exp" has passed, else
// token.ErrInvalid.
func (v *Verifier) Verify(now time.Time, text string) (token.Claims, error) {
	switch {
	case text == "":
		return token.Claims{}, token.ErrMissing
	case len(text) > token.MaxToken:
		return token.Claims{}, fmt.Errorf("%w: over %d bytes", token.ErrInvalid, token.MaxToken)
	case strings.ContainsAny(text, "\r\n"): // which encoding/base64 skips
		return token.Claims{}, fmt.Errorf("%w: not a JSON Web Token", token.ErrInvalid)
	}
	options := append(slices.Clip(v.options), jwt.WithTimeFunc(func() time.Time { return now }))
	claims := jwt.MapClaims{}
	if _, err := jwt.ParseWithClaims(text, claims, v.keys, options...); err != nil {
		return token.Claims{}, translate(err)
	}
	out := token.Claims{Data: map[string]any(claims)}
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

// keys are those that may have signed the token.
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

// translate says what was wrong in words of ours: the parser's have parts of the
// token in them.
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
				return token.ErrExpired
			}
			what = known.what
			break
		}
	}
	return fmt.Errorf("%w: %s", token.ErrInvalid, what)
}
