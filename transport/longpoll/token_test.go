package longpoll

import (
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var (
	testKey   = tokenKey(testSecret)
	testIssue = time.UnixMilli(1_700_000_000_123)
	testToken = token{issued: testIssue, replica: replicaID{1, 2, 3}, client: clientID{4, 5, 6}}
)

func TestATokenIsReadAsItWasMade(t *testing.T) {
	got, err := parseToken(testToken.encode(testKey), testKey, testIssue, time.Hour)
	require.NoError(t, err)
	require.Equal(t, testToken, got)
}

// B104.
func TestATokenExpiresWhenItIsTooOld(t *testing.T) {
	text := testToken.encode(testKey)
	tests := []struct {
		age time.Duration
		err error
	}{
		{-time.Hour, nil}, // a clock of another replica
		{0, nil},
		{14 * 24 * time.Hour, nil},
		{14*24*time.Hour + time.Millisecond, errExpired},
	}
	for _, tt := range tests {
		got, err := parseToken(text, testKey, testIssue.Add(tt.age), defaultTokenAge)
		require.ErrorIs(t, err, tt.err, tt.age)
		require.Equal(t, testToken, got)
	}
}

func TestATokenThatWasTamperedWithIsNone(t *testing.T) {
	text := testToken.encode(testKey)
	raw, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	for i := range raw {
		for bit := range 8 {
			changed := append([]byte{}, raw...)
			changed[i] ^= 1 << bit
			_, err := parseToken(base64.RawURLEncoding.EncodeToString(changed), testKey, testIssue, time.Hour)
			require.ErrorIs(t, err, errToken, "byte %d, bit %d", i, bit)
		}
	}
	other := tokenKey([]byte(strings.Repeat("t", minSecret)))
	for _, bad := range []string{"", "rubbish", text[1:], text + "A", text + "=", text[:len(text)-1] + "\n", testToken.encode(other), testToken.encode(testSecret)} {
		_, err := parseToken(bad, testKey, testIssue, time.Hour)
		require.ErrorIs(t, err, errToken, "%q", bad)
	}
}

// FuzzToken: nothing panics, and only what encode made is a token.
func FuzzToken(f *testing.F) {
	f.Add(testToken.encode(testKey))
	f.Add(token{}.encode(testKey))
	f.Add(testToken.encode(testSecret))
	f.Add("rubbish")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		got, err := parseToken(text, testKey, testIssue, time.Hour)
		if err == nil {
			require.Equal(t, text, got.encode(testKey))
		}
	})
}
