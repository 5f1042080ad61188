package longpoll

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"time"
)

// A token is what a client shows: which replica has its session, which client it
// is, and since when. It is signed, so that replicas ask each other only for
// clients that one of them has let in.
//
//	byte  0       tokenVersion
//	bytes 1-8     issued, Unix milliseconds, big endian
//	bytes 9-24    replica
//	bytes 25-40   client
//	bytes 41-72   HMAC-SHA256 of the bytes before, with the key
//
// in unpadded base64 of the URL alphabet.
type token struct {
	issued  time.Time // to the millisecond
	replica replicaID
	client  clientID
}

const (
	tokenVersion = 1
	tokenSigned  = 1 + 8 + len(replicaID{}) + len(clientID{})
	tokenSize    = tokenSigned + sha256.Size
)

var (
	errToken   = errors.New("longpoll: not a token of ours")
	errExpired = errors.New("longpoll: token has expired")
)

// tokenKey derives the key of tokens from the secret, which may serve other
// purposes too.
func tokenKey(secret []byte) []byte { return sign(secret, []byte("longpoll token v1")) }

func sign(key, data []byte) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write(data)
	return mac.Sum(nil)
}

// tokenText allows one spelling of each token.
var tokenText = base64.RawURLEncoding.Strict()

func (t token) encode(key []byte) string {
	b := make([]byte, 0, tokenSize)
	b = append(b, tokenVersion)
	b = binary.BigEndian.AppendUint64(b, uint64(t.issued.UnixMilli()))
	b = append(b, t.replica[:]...)
	b = append(b, t.client[:]...)
	return tokenText.EncodeToString(append(b, sign(key, b)...))
}

// parseToken reads a token that came from outside: errToken if it was not made
// with the key, errExpired, with the token, if it was issued longer than maxAge
// before now. How long it takes does not depend on how right a signature is.
func parseToken(text string, key []byte, now time.Time, maxAge time.Duration) (token, error) {
	var b [tokenSize]byte
	if len(text) != tokenText.EncodedLen(tokenSize) {
		return token{}, errToken
	}
	if n, err := tokenText.Decode(b[:], []byte(text)); err != nil || n != tokenSize {
		return token{}, errToken
	}
	if !hmac.Equal(b[tokenSigned:], sign(key, b[:tokenSigned])) || b[0] != tokenVersion {
		return token{}, errToken
	}
	t := token{issued: time.UnixMilli(int64(binary.BigEndian.Uint64(b[1:])))}
	copy(t.replica[:], b[9:])
	copy(t.client[:], b[25:])
	if now.Sub(t.issued) > maxAge {
		return t, errExpired
	}
	return t, nil
}
