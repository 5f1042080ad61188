package plug

import (
	"fmt"
	"math"
	"math/big"
	"time"

	"github.com/rollcall-go/rollcall/channel/auth"
)

// encodePayload returns the external form of {data, signed_at_ms, max_age} (B119).
func encodePayload(data any, signedAt time.Time, maxAge time.Duration) ([]byte, error) {
	setDefault(&maxAge, defaultMaxAge)
	return EncodeTerm(Tuple{data, signedAt.UnixMilli(), ageTerm(maxAge)})
}

// ageTerm returns a life in seconds, as an integer if it is whole.
func ageTerm(d time.Duration) any {
	switch {
	case d == Forever:
		return Atom("infinity")
	case d%time.Second == 0:
		return int64(d / time.Second)
	}
	return d.Seconds()
}

// decodePayload reads a payload and checks its age. override, unless 0, replaces the
// life that the token names. The error is auth.ErrInvalid or auth.ErrExpired.
func decodePayload(payload []byte, now time.Time, override, skew time.Duration) (auth.Claims, error) {
	term, err := decodeTerm(payload)
	if err != nil {
		return auth.Claims{}, fmt.Errorf("%w: %w", auth.ErrInvalid, err)
	}
	data, signed, age, ok := fields(term)
	if !ok {
		return auth.Claims{}, fmt.Errorf("%w: not the term of a token", auth.ErrInvalid)
	}
	if override != 0 {
		age = ageTerm(override)
	}
	claims := auth.Claims{Subject: subjectOf(data), Data: data, SignedAt: time.UnixMilli(signed)}
	if age == Atom("infinity") {
		return claims, nil
	}
	millis, ok := ageMillis(age)
	if !ok {
		return auth.Claims{}, fmt.Errorf("%w: max_age is no number", auth.ErrInvalid)
	}
	nowMillis := now.UnixMilli()
	switch {
	case millis <= 0 && !fraction(age):
		return auth.Claims{}, fmt.Errorf("%w: max_age is not above 0", auth.ErrExpired)
	case signed > nowMillis && signed-skew.Milliseconds() > nowMillis:
		return auth.Claims{}, fmt.Errorf("%w: signed in the future", auth.ErrInvalid)
	case signed > math.MaxInt64-millis: // after the end of time
		return claims, nil
	case signed+millis < nowMillis:
		return auth.Claims{}, auth.ErrExpired
	}
	claims.ExpiresAt = time.UnixMilli(signed + millis)
	return claims, nil
}

// fields splits a payload of the current form or of the two old ones.
func fields(term any) (data any, signed int64, age any, ok bool) {
	var signedTerm any
	age = int64(defaultMaxAge / time.Second)
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

// fraction reports whether max_age is a fraction above 0; it may be less than 1 ms.
func fraction(age any) bool {
	f, ok := age.(float64)
	return ok && f > 0
}

// ageMillis returns a max_age in milliseconds, truncated as the reference does and
// limited to an int64.
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
