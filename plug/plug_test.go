package plug

import (
	"bytes"
	"crypto"
	"fmt"
	"maps"
	"math"
	"math/big"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/auth"
)

// made are the lines of testdata/plug_crypto.txt that a function of the original
// made.
func made(t testing.TB, function string) (lines [][]string) {
	t.Helper()
	text, err := os.ReadFile("testdata/plug_crypto.txt")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if fields := strings.Fields(line); len(fields) == 4 && fields[0] == function {
			lines = append(lines, fields[1:])
		}
	}
	require.NotEmpty(t, lines)
	return lines
}

// plugConfig is what a token was made with.
type plugConfig struct {
	change   func(*TokenConfig)
	signedAt time.Time
	maxAge   time.Duration
}

var plugConfigs = map[string]plugConfig{
	"plain":      {signedAt: goldenTime},
	"minute":     {signedAt: goldenTime, maxAge: time.Minute},
	"forever":    {signedAt: goldenTime, maxAge: Forever},
	"fraction":   {signedAt: goldenTime.Add(250 * time.Millisecond), maxAge: 1500 * time.Millisecond},
	"old_clock":  {signedAt: time.Unix(1, 0)},
	"other_salt": {signedAt: goldenTime, change: func(c *TokenConfig) { c.Salt = "Ünïcode salt" }},
	"other_secret": {signedAt: goldenTime, change: func(c *TokenConfig) {
		c.Keys.Secrets = []string{"ZtJx3Ck2vY9-Qm0_Ue7hRw5+Ns8/Lp1a Bd4g=Hf6i.Ko!Tq@Xs#Vu$Wy%Zé"}
	}},
	"iterations": {signedAt: goldenTime, change: func(c *TokenConfig) { c.Keys.Iterations = 7 }},
	"digest":     {signedAt: goldenTime, change: func(c *TokenConfig) { c.Keys.Digest = crypto.SHA512 }},
	"long_key":   {signedAt: goldenTime, change: func(c *TokenConfig) { c.Keys.KeyLength = 64 }},
}

func (c plugConfig) keys(t testing.TB) *Tokens {
	t.Helper()
	if c.change == nil {
		return newTokens(t)
	}
	return newTokens(t, c.change)
}

// plugValues are the values of the tokens, as they are decoded.
var plugValues = map[string]any{
	"zero": int64(0), "byte": int64(255), "word": int64(256), "minus_one": int64(-1),
	"int32": int64(math.MaxInt32), "above_int32": int64(math.MaxInt32 + 1), "below_int32": int64(math.MinInt32 - 1),
	"int64": int64(math.MaxInt64), "smallest_int64": int64(math.MinInt64), "big": power(64),
	"negative_big": new(big.Int).Neg(power(70)), "very_big": power(2100),
	"float": 1.5, "negative_float": -0.000123, "true": true, "false": false, "nil": nil,
	"atom": Atom("admin"), "latin1_atom": Atom("é"), "unicode_atom": Atom("Ωmega"),
	"empty": "", "string": "user-42", "unicode": "Zoë 🙂 Ω", "bytes": "\x00\xff\x80",
	"no_list": []any{}, "small_list": []any{int64(1), int64(2), int64(3)}, "list": []any{int64(1), int64(256), "a"},
	"strings": []any{"a", "b"}, "charlist": []any{int64('a'), int64('b'), int64('c')},
	"tuple": Tuple{Atom("ok"), "user", int64(7)}, "empty_tuple": Tuple{}, "keyword": []any{Tuple{Atom("id"), int64(7)}},
	"empty_map":  map[any]any{},
	"atom_map":   map[any]any{Atom("id"): int64(7), Atom("name"): "bob"},
	"string_map": map[any]any{"id": int64(7), "name": "bob"},
	"mixed_map":  map[any]any{int64(1): "one", 2.5: "float", Atom("a"): nil, "b": true},
	"nested": map[any]any{"user": map[any]any{
		"id": int64(-5), "roles": []any{Atom("admin"), "editor"}, "at": Tuple{int64(2026), int64(1), int64(2)},
	}},
	"map_of_32": func() map[any]any {
		m := map[any]any{}
		for i := range int64(32) {
			m[fmt.Sprint("key", i+1)] = i + 1
		}
		return m
	}(),
}

// eachMade calls f for every token that a function of the original made, and
// checks that every value and every configuration but unused was used.
func eachMade(t *testing.T, function string, unused string, f func(t *testing.T, c plugConfig, value any, token string)) {
	configs, values := map[string]bool{}, map[string]bool{}
	for _, line := range made(t, function) {
		config, ok := plugConfigs[line[0]]
		require.True(t, ok, line[0])
		value, ok := plugValues[line[1]]
		require.True(t, ok, line[1])
		configs[line[0]], values[line[1]] = true, true
		t.Run(line[0]+"/"+line[1], func(t *testing.T) { f(t, config, value, line[2]) })
	}
	if unused != "" {
		require.False(t, configs[unused])
		configs[unused] = true
	}
	require.ElementsMatch(t, slices.Collect(maps.Keys(plugConfigs)), slices.Collect(maps.Keys(configs)))
	if function != "encrypt1" {
		require.ElementsMatch(t, slices.Collect(maps.Keys(plugValues)), slices.Collect(maps.Keys(values)))
	}
}

// claimed checks what a token of the original was found to say.
func claimed(t *testing.T, c plugConfig, value any, claims auth.Claims) {
	t.Helper()
	require.Equal(t, value, claims.Data)
	require.True(t, claims.SignedAt.Equal(c.signedAt))
	life := c.maxAge
	setDefault(&life, defaultMaxAge)
	if life == Forever {
		require.Zero(t, claims.ExpiresAt)
	} else {
		require.True(t, claims.ExpiresAt.Equal(c.signedAt.Add(life)), claims.ExpiresAt)
	}
}

// rows B117 to B120. What is the same byte for byte the original verifies too.
func TestSignedTokensAreThoseThatPlugCryptoMakes(t *testing.T) {
	eachMade(t, "sign", "", func(t *testing.T, c plugConfig, value any, token string) {
		k := c.keys(t)
		claims, err := k.Verify(c.signedAt.Add(time.Second), token)
		require.NoError(t, err)
		claimed(t, c, value, claims)

		ours, err := k.Sign(c.signedAt, value, c.maxAge)
		require.NoError(t, err)
		require.Equal(t, token, ours)
	})
}

// row B122: with the nonce of the original, the same.
func TestEncryptedTokensAreThoseThatPlugCryptoMakes(t *testing.T) {
	eachMade(t, "encrypt", "long_key", func(t *testing.T, c plugConfig, value any, token string) {
		k := c.keys(t)
		claims, err := k.Decrypt(c.signedAt.Add(time.Second), token)
		require.NoError(t, err)
		claimed(t, c, value, claims)

		sealed, ok := decode64(strings.TrimPrefix(token, prefixXChaCha))
		require.True(t, ok)
		k.ring.rand = bytes.NewReader(sealed)
		ours, err := k.Encrypt(c.signedAt, value, c.maxAge)
		require.NoError(t, err)
		require.Equal(t, token, ours)
	})
}

// row B122: those of version 1, which are not made here.
func TestEncryptedTokensOfPlugCrypto1AreRead(t *testing.T) {
	eachMade(t, "encrypt1", "", func(t *testing.T, c plugConfig, value any, token string) {
		require.True(t, strings.HasPrefix(token, prefixAES))
		claims, err := c.keys(t).Decrypt(c.signedAt.Add(time.Second), token)
		require.NoError(t, err)
		claimed(t, c, value, claims)
	})
}
