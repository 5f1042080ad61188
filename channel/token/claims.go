package token

import (
	"fmt"
	"math"
	"math/big"
	"time"
)

// Claims are what a genuine token says.
type Claims struct {
	// Subject is whose token it is, "" where it does not say. It is the data of a
	// Phoenix token that are a string or an integer, and "sub" of a JWT.
	Subject string
	// Data are the data of a Phoenix token, see [Atom]; of a JWT its claims, a
	// map[string]any. They may be shared: do not change them.
	Data any
	// SignedAt is when the token was made. Zero: it does not say.
	SignedAt time.Time
	// ExpiresAt is when its life ends. Zero: never.
	ExpiresAt time.Time
}

// A Verifier tells what a token says. *[Keys] is one, and so is the verifier of
// package jwtauth. The error is ErrInvalid, ErrExpired or ErrMissing (also
// wrapped), and contains no part of the token. It is called concurrently.
type Verifier interface {
	Verify(now time.Time, token string) (Claims, error)
}

// A VerifierFunc is a function as a Verifier; VerifierFunc(keys.Decrypt) is one
// of encrypted tokens.
type VerifierFunc func(now time.Time, token string) (Claims, error)

// Verify calls f.
func (f VerifierFunc) Verify(now time.Time, token string) (Claims, error) { return f(now, token) }

// Forever is the life of a token that does not expire: the atom infinity.
const Forever = time.Duration(math.MaxInt64)

// defaultMaxAge is the life of a token that does not say (B119).
const defaultMaxAge = 24 * time.Hour

// oldMaxAge is the same in the form in which tokens say it, in seconds.
const oldMaxAge = int64(defaultMaxAge / time.Second)

// encodePayload is the external form of {data, signed_at_ms, max_age} (B119).
func encodePayload(data any, signedAt time.Time, maxAge time.Duration) ([]byte, error) {
	return encodeTerm(Tuple{data, signedAt.UnixMilli(), ageTerm(maxAge)})
}

// ageTerm is a life in seconds: an integer where it is whole.
func ageTerm(d time.Duration) any {
	switch {
	case d == Forever:
		return Atom("infinity")
	case d%time.Second == 0:
		return int64(d / time.Second)
	}
	return d.Seconds()
}

// decodePayload reads a payload and judges its age. override, unless 0, is used
// instead of the life that the token names.
func decodePayload(payload []byte, now time.Time, override, skew time.Duration) (Claims, error) {
	term, err := decodeTerm(payload)
	if err != nil {
		return Claims{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	data, signed, age, ok := fields(term)
	if !ok {
		return Claims{}, fmt.Errorf("%w: not the term of a token", ErrInvalid)
	}
	if override != 0 {
		age = ageTerm(override)
	}
	claims := Claims{Subject: SubjectOf(data), Data: data, SignedAt: time.UnixMilli(signed)}
	if age == Atom("infinity") {
		return claims, nil
	}
	millis, ok := ageMillis(age)
	if !ok {
		return Claims{}, fmt.Errorf("%w: max_age is no number", ErrInvalid)
	}
	nowMillis := now.UnixMilli()
	switch {
	case millis <= 0 && !fraction(age):
		return Claims{}, fmt.Errorf("%w: max_age is not above 0", ErrExpired)
	case signed > nowMillis && signed-skew.Milliseconds() > nowMillis:
		return Claims{}, fmt.Errorf("%w: signed in the future", ErrInvalid)
	case signed > math.MaxInt64-millis: // after the end of time
		return claims, nil
	case signed+millis < nowMillis:
		return Claims{}, ErrExpired
	}
	claims.ExpiresAt = time.UnixMilli(signed + millis)
	return claims, nil
}

// fields takes a payload apart, in its form of today and in the two old ones.
func fields(term any) (data any, signed int64, age any, ok bool) {
	var signedTerm any
	age = oldMaxAge
	switch t := term.(type) {
	case Tuple:
		switch len(t) {
		case 3:
			data, signedTerm, age = t[0], t[1], t[2]
		case 2:
			data, signedTerm = t[0], t[1]
		default:
			return nil, 0, nil, false
		}
	case map[any]any:
		if data, ok = t[Atom("data")]; !ok {
			return nil, 0, nil, false
		}
		signedTerm = t[Atom("signed")]
	default:
		return nil, 0, nil, false
	}
	signed, ok = signedTerm.(int64)
	return data, signed, age, ok
}

// fraction tells of a max_age between 0 and 1 ms: it is above 0.
func fraction(age any) bool {
	f, ok := age.(float64)
	return ok && f > 0
}

// ageMillis is a max_age in milliseconds, cut off as the reference does, and
// kept within an int64.
func ageMillis(age any) (int64, bool) {
	switch age := age.(type) {
	case int64:
		return clampMillis(float64(age)*1000, age*1000), true
	case float64:
		return clampMillis(age*1000, int64(clampFloat(age*1000))), true
	case *big.Int:
		return clampMillis(float64(age.Sign())*math.MaxFloat64, 0), true
	}
	return 0, false
}

func clampMillis(approx float64, exact int64) int64 {
	switch {
	case approx >= 1<<62:
		return math.MaxInt64
	case approx <= -1<<62:
		return math.MinInt64
	}
	return exact
}

func clampFloat(f float64) float64 { return max(-1<<62, min(1<<62, f)) }
