package plug

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What the vectors of plug_crypto 2.1.1 on OTP 25 were made with.
var (
	goldenSecret = strings.Repeat("abcdefgh", 8)
	goldenTime   = time.Unix(1_700_000_000, 0)
)

func newTokens(t testing.TB, change ...func(*TokenConfig)) *Tokens {
	t.Helper()
	cfg := TokenConfig{Keys: KeyConfig{Secrets: []string{goldenSecret}}, Salt: "user socket"}
	for _, f := range change {
		f(&cfg)
	}
	k, err := NewTokens(cfg)
	require.NoError(t, err)
	return k
}

type vector struct {
	name   string
	encode any
	want   any // decoded
	maxAge time.Duration
	token  string
}

var vectors = []vector{
	{"small integer", 1, int64(1), 0, "SFMyNTY.g2gDYQFuBgAAaOXPiwFiAAFRgA.pVQyJhbbKrMTF7SPAEhhkeN36zPMMdTQxpZfdHyYVQA"},
	{"integer", 300, int64(300), 0, "SFMyNTY.g2gDYgAAASxuBgAAaOXPiwFiAAFRgA.tu8rbkLigVCX__GSqpbcXxO40uVmbzUzeK1bSTqFPwQ"},
	{"string", "user-42", "user-42", 0, "SFMyNTY.g2gDbQAAAAd1c2VyLTQybgYAAGjlz4sBYgABUYA.ONZsnbE3AEUOTnDbpn_cBHuxz6ft85BJ3_okMOM8XQ8"},
	{"map of atoms", map[Atom]any{"name": "bob", "id": 7}, map[any]any{Atom("id"): int64(7), Atom("name"): "bob"}, 0, "SFMyNTY.g2gDdAAAAAJkAAJpZGEHZAAEbmFtZW0AAAADYm9ibgYAAGjlz4sBYgABUYA.9vPX_T4-tJ-bFuCrzymtZO_Qvw1Qdenkrr426lhBCEs"},
	{"map of strings", map[string]any{"id": 7}, map[any]any{"id": int64(7)}, 0, "SFMyNTY.g2gDdAAAAAFtAAAAAmlkYQduBgAAaOXPiwFiAAFRgA.DlqL57WT1TeTG5HfwhqxNc5_lEoFHKVIMGbpjGSVxgU"},
	{"list of bytes", []int{1, 2, 3}, []any{int64(1), int64(2), int64(3)}, 0, "SFMyNTY.g2gDawADAQIDbgYAAGjlz4sBYgABUYA.YmZJJArKB12q0deZ-7oQhamy8cPOOA0_Bmb6MsLuotA"},
	{"nil", nil, nil, 0, "SFMyNTY.g2gDZAADbmlsbgYAAGjlz4sBYgABUYA.bPPt0_7q0HS6wIEuj1XdUHiFcy0wixmJdzlJL-fv3jc"},
	{"infinity", 1, int64(1), Forever, "SFMyNTY.g2gDYQFuBgAAaOXPiwFkAAhpbmZpbml0eQ.sLOpeYIY3rop2Jc_mu3AcGOAjc_bAmVn-hh_km4P9rw"},
}

// rows B117, B118, B119
func TestTokensAreThoseOfTheReferenceByteForByte(t *testing.T) {
	k := newTokens(t)
	for _, v := range vectors {
		t.Run(v.name, func(t *testing.T) {
			token, err := k.Sign(goldenTime, v.encode, v.maxAge)
			require.NoError(t, err)
			require.Equal(t, v.token, token)

			claims, err := k.Verify(goldenTime.Add(time.Hour), v.token)
			require.NoError(t, err)
			require.Equal(t, v.want, claims.Data)
			require.True(t, claims.SignedAt.Equal(goldenTime))
			if v.maxAge == Forever {
				require.Zero(t, claims.ExpiresAt)
			} else {
				require.True(t, claims.ExpiresAt.Equal(goldenTime.Add(24*time.Hour)))
			}
		})
	}
}

// row B117
func TestKeysAreDerivedAsTheReferenceDoes(t *testing.T) {
	require.Equal(t, "d3f12b5b79f2122342c5c52cb5d451bb588e5c5af0a7c73cf6a90cc45b397d80", hex.EncodeToString(newTokens(t).ring.keys[0]))
	cfg, _ := KeyConfig{Secrets: []string{"password"}}.prepare("") // a fault, but the reference's vector
	ring, err := cfg.derive("salt")
	require.NoError(t, err)
	require.Equal(t, "632c2812e46d4604102ba7618e9d6d7d2f8128f6266b4a03264d2a0460b7dcb3", hex.EncodeToString(ring.keys[0]))
}

// row B120: OTP 26 and newer write atoms with other tags.
func TestTokensOfNewerReleasesAreRead(t *testing.T) {
	k := newTokens(t)
	for _, tag := range []struct {
		name string
		head string // of an atom of n characters, n below 128
	}{{"small UTF-8", "\x77"}, {"UTF-8", "\x76\x00"}, {"small Latin-1", "\x73"}} {
		for _, v := range vectors {
			t.Run(tag.name+"/"+v.name, func(t *testing.T) {
				payload, err := k.ring.verify(v.token)
				require.NoError(t, err)
				// No other part of these payloads has the bytes of an old atom's head.
				newer := strings.ReplaceAll(string(payload), "\x64\x00", tag.head)
				require.Equal(t, strings.Contains(string(payload), "\x64\x00"), newer != string(payload))
				claims, err := k.Verify(goldenTime, sign(k.ring.keys[0], []byte(newer)))
				require.NoError(t, err)
				require.Equal(t, v.want, claims.Data)
				require.Equal(t, v.maxAge == Forever, claims.ExpiresAt.IsZero())
			})
		}
	}
}
