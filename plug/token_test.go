package plug

import (
	"bytes"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	_ "embed" // signSource
	"errors"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"go/types"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/rollcall-go/rollcall/channel/auth"
)

// signed is a token with the payload of a term.
func signed(t testing.TB, k *Tokens, term any) string {
	t.Helper()
	payload, err := EncodeTerm(term)
	require.NoError(t, err)
	return sign(k.ring.keys[0], payload)
}

// rows B119, B121
func TestVerifyJudgesTheAgeOfAToken(t *testing.T) {
	ms := goldenTime.UnixMilli()
	huge := new(big.Int).Lsh(big.NewInt(1), 200)
	for _, c := range []struct {
		name     string
		term     any
		override time.Duration
		skew     time.Duration
		after    time.Duration
		want     error
	}{
		{name: "at its last millisecond", term: Tuple{1, ms, 60}, after: time.Minute},
		{name: "a millisecond later", term: Tuple{1, ms, 60}, after: time.Minute + time.Millisecond, want: auth.ErrExpired},
		{name: "a fraction of a second, just in time", term: Tuple{1, ms, 0.5}, after: 500 * time.Millisecond},
		{name: "a fraction of a second, too late", term: Tuple{1, ms, 0.5}, after: 501 * time.Millisecond, want: auth.ErrExpired},
		{name: "a fraction of a millisecond is above 0", term: Tuple{1, ms, 0.0001}},
		{name: "max_age 0", term: Tuple{1, ms, 0}, want: auth.ErrExpired},
		{name: "max_age 0.0", term: Tuple{1, ms, 0.0}, want: auth.ErrExpired},
		{name: "max_age below 0", term: Tuple{1, ms, -1}, want: auth.ErrExpired},
		{name: "max_age far below 0", term: Tuple{1, ms, new(big.Int).Neg(huge)}, want: auth.ErrExpired},
		{name: "infinity", term: Tuple{1, ms, Atom("infinity")}, after: 100 * 365 * 24 * time.Hour},
		{name: "max_age beyond an int64", term: Tuple{1, ms, huge}, after: 1000 * time.Hour},
		{name: "max_age beyond an int64 of milliseconds", term: Tuple{1, ms, int64(math.MaxInt64)}, after: 1000 * time.Hour},
		{name: "max_age a huge float", term: Tuple{1, ms, 1e300}, after: 1000 * time.Hour},
		{name: "max_age a strange atom", term: Tuple{1, ms, Atom("never")}, want: auth.ErrInvalid},
		{name: "max_age nil", term: Tuple{1, ms, nil}, want: auth.ErrInvalid},

		{name: "override is shorter", term: Tuple{1, ms, 3600}, override: time.Minute, after: 2 * time.Minute, want: auth.ErrExpired},
		{name: "override is longer", term: Tuple{1, ms, 60}, override: time.Hour, after: 2 * time.Minute},
		{name: "override is infinite", term: Tuple{1, ms, 60}, override: Forever, after: 1000 * time.Hour},
		{name: "override ends what is infinite", term: Tuple{1, ms, Atom("infinity")}, override: time.Minute, after: time.Hour, want: auth.ErrExpired},
		{name: "override below 0", term: Tuple{1, ms, 60}, override: -time.Second, want: auth.ErrExpired},
		{name: "override mends a strange max_age", term: Tuple{1, ms, nil}, override: time.Minute},

		{name: "signed in the future", term: Tuple{1, ms + 1, 60}, want: auth.ErrInvalid},
		{name: "signed in the future within skew", term: Tuple{1, ms + 1000, 60}, skew: time.Second},
		{name: "signed in the future beyond skew", term: Tuple{1, ms + 1001, 60}, skew: time.Second, want: auth.ErrInvalid},

		{name: "two elements, in time", term: Tuple{1, ms}, after: 24 * time.Hour},
		{name: "two elements, late", term: Tuple{1, ms}, after: 24*time.Hour + time.Millisecond, want: auth.ErrExpired},
		{name: "a map, in time", term: map[Atom]any{"data": 1, "signed": ms}, after: 24 * time.Hour},
		{name: "a map, late", term: map[Atom]any{"data": 1, "signed": ms}, after: 24*time.Hour + time.Millisecond, want: auth.ErrExpired},
		{name: "a map without data", term: map[Atom]any{"signed": ms}, want: auth.ErrInvalid},
		{name: "a map without signed", term: map[Atom]any{"data": 1}, want: auth.ErrInvalid},
		{name: "four elements", term: Tuple{1, ms, 60, 1}, want: auth.ErrInvalid},
		{name: "a list", term: []any{1, ms, 60}, want: auth.ErrInvalid},
		{name: "an integer", term: 1, want: auth.ErrInvalid},
		{name: "signed at no time", term: Tuple{1, "now", 60}, want: auth.ErrInvalid},
		{name: "signed after the end of time", term: Tuple{1, huge, 60}, want: auth.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := newTokens(t, func(cfg *TokenConfig) { cfg.VerifyMaxAge, cfg.Skew = c.override, c.skew })
			claims, err := k.Verify(goldenTime.Add(c.after), signed(t, k, c.term))
			require.ErrorIs(t, err, c.want)
			if c.want == nil {
				require.Equal(t, auth.Claims{Subject: "1", Data: int64(1), SignedAt: claims.SignedAt, ExpiresAt: claims.ExpiresAt}, claims)
			}
		})
	}
}

// rows B118, B121, B124
func TestVerifyRefusesWhatIsNoTokenOfOurs(t *testing.T) {
	k := newTokens(t)
	good := vectors[2].token
	parts := strings.Split(good, ".")
	encrypted, err := k.Encrypt(goldenTime, 1, 0)
	require.NoError(t, err)
	otherSalt, err := newTokens(t, func(c *TokenConfig) { c.Salt = "other" }).Sign(goldenTime, 1, 0)
	require.NoError(t, err)
	otherSecret, err := newTokens(t, func(c *TokenConfig) { c.Keys.Secrets = []string{strings.Repeat("x", 64)} }).Sign(goldenTime, 1, 0)
	require.NoError(t, err)
	last := parts[2][len(parts[2])-1]
	for _, c := range []struct {
		name, token string
		want        error
	}{
		{"no token", "", auth.ErrMissing},
		{"garbage", "garbage", auth.ErrInvalid},
		{"dots", "..", auth.ErrInvalid},
		{"two parts", parts[0] + "." + parts[1], auth.ErrInvalid},
		{"four parts", good + "." + parts[2], auth.ErrInvalid},
		{"an algorithm of another name", "bm9uZQ." + parts[1] + "." + parts[2], auth.ErrInvalid},
		{"an algorithm that it was not signed with", protectedHS384 + "." + parts[1] + "." + parts[2], auth.ErrInvalid},
		{"without signature", parts[0] + "." + parts[1] + ".", auth.ErrInvalid},
		{"half a signature", good[:len(good)-20], auth.ErrInvalid},
		{"another payload", strings.Replace(good, "g2gD", "g2gC", 1), auth.ErrInvalid},
		{"another salt", otherSalt, auth.ErrInvalid},
		{"another secret", otherSecret, auth.ErrInvalid},
		{"padding", good + "=", auth.ErrInvalid},
		{"a line end", good[:30] + "\n" + good[30:], auth.ErrInvalid},
		{"bits that nobody reads", good[:len(good)-1] + string(last+1), auth.ErrInvalid},
		{"an encrypted one", encrypted, auth.ErrInvalid},
		{"too long", good + strings.Repeat("A", auth.MaxToken), auth.ErrInvalid},
		{"a genuine payload that is no term", sign(k.ring.keys[0], []byte("hello")), auth.ErrInvalid},
		{"a genuine function", sign(k.ring.keys[0], []byte{termVersion, tagNewFun, 0, 0, 0, 4}), auth.ErrInvalid},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := k.Verify(goldenTime, c.token)
			require.ErrorIs(t, err, c.want)
			if c.name != "an encrypted one" {
				_, err = k.Decrypt(goldenTime, c.token)
				require.ErrorIs(t, err, c.want)
			}
		})
	}
}

// row B118
func TestSignaturesWithLongerHashesAreVerified(t *testing.T) {
	k := newTokens(t)
	payload, err := encodePayload("user-42", goldenTime, time.Hour)
	require.NoError(t, err)
	for protected, digest := range map[string]crypto.Hash{protectedHS256: crypto.SHA256, protectedHS384: crypto.SHA384, protectedHS512: crypto.SHA512} {
		text := protected + "." + encoding.EncodeToString(payload)
		claims, err := k.Verify(goldenTime, text+"."+encoding.EncodeToString(mac(digest, k.ring.keys[0], text)))
		require.NoError(t, err, protected)
		require.Equal(t, "user-42", claims.Data)
	}
}

// row B117
func TestOptionsOfTheKeyMakeOtherKeys(t *testing.T) {
	base := newTokens(t)
	for name, change := range map[string]func(*TokenConfig){
		"iterations": func(c *TokenConfig) { c.Keys.Iterations = 1001 },
		"length":     func(c *TokenConfig) { c.Keys.KeyLength = 64 },
		"sha384":     func(c *TokenConfig) { c.Keys.Digest = crypto.SHA384 },
		"sha512":     func(c *TokenConfig) { c.Keys.Digest = crypto.SHA512 },
	} {
		k := newTokens(t, change)
		require.NotEqual(t, base.ring.keys[0], k.ring.keys[0], name)
		token, err := k.Sign(goldenTime, 1, 0)
		require.NoError(t, err)
		require.True(t, strings.HasPrefix(token, protectedHS256+"."), "signatures stay SHA-256")
		_, err = k.Verify(goldenTime, token)
		require.NoError(t, err)
	}
}

func TestRotationSignsWithTheFirstSecretAndReadsWithAll(t *testing.T) {
	before, after := strings.Repeat("old!", 16), strings.Repeat("new!", 16)
	only := func(secrets ...string) *Tokens {
		return newTokens(t, func(c *TokenConfig) { c.Keys.Secrets = secrets })
	}
	old, both, fresh := only(before), only(after, before), only(after)
	type method struct {
		make func(*Tokens) (string, error)
		read func(*Tokens, string) error
	}
	for name, m := range map[string]method{
		"signed": {
			func(k *Tokens) (string, error) { return k.Sign(goldenTime, 1, 0) },
			func(k *Tokens, token string) error { _, err := k.Verify(goldenTime, token); return err },
		},
		"encrypted": {
			func(k *Tokens) (string, error) { return k.Encrypt(goldenTime, 1, 0) },
			func(k *Tokens, token string) error { _, err := k.Decrypt(goldenTime, token); return err },
		},
	} {
		t.Run(name, func(t *testing.T) {
			oldToken, err := m.make(old)
			require.NoError(t, err)
			newToken, err := m.make(both)
			require.NoError(t, err)
			require.NoError(t, m.read(both, oldToken))
			require.NoError(t, m.read(both, newToken))
			require.NoError(t, m.read(fresh, newToken))
			require.ErrorIs(t, m.read(old, newToken), auth.ErrInvalid)
			require.ErrorIs(t, m.read(fresh, oldToken), auth.ErrInvalid)
		})
	}
}

// row B123
func TestNewNamesEveryFaultAndNoSecret(t *testing.T) {
	_, err := NewTokens(TokenConfig{
		Keys: KeyConfig{Secrets: []string{"nineteen bytes long"}, Iterations: -1, KeyLength: -1, Digest: crypto.MD5}, Skew: -1,
	})
	require.Error(t, err)
	for _, field := range []string{"Keys.Secrets[0]", "Salt", "Keys.Iterations", "Keys.KeyLength", "Keys.Digest", "Skew"} {
		require.ErrorContains(t, err, "TokenConfig."+field)
	}
	require.NotContains(t, err.Error(), "nineteen")
	_, err = NewTokens(TokenConfig{Salt: "s"})
	require.ErrorContains(t, err, "TokenConfig.Keys.Secrets")
	_, err = NewTokens(TokenConfig{Salt: "s", Keys: KeyConfig{Secrets: []string{"exactly twenty bytes"}}})
	require.NoError(t, err)
}

// row B123: after NewTokens there is nothing left that a key could be derived from.
func TestKeysAreDerivedOnce(t *testing.T) {
	k := newTokens(t)
	require.Nil(t, k.config.Keys.Secrets)
	token, err := k.Sign(goldenTime, 1, 0)
	require.NoError(t, err)
	_, err = k.Verify(goldenTime, token)
	require.NoError(t, err)
}

//go:embed sign.go
var signSource string

// row B124. Time cannot be tested; what is called can.
func TestSignaturesAreComparedInConstantTime(t *testing.T) {
	files := gotoken.NewFileSet()
	parsed, err := parser.ParseFile(files, "sign.go", signSource, 0)
	require.NoError(t, err)
	calls := map[string]bool{} // in the function that looks at signatures
	for _, decl := range parsed.Decls {
		f, ok := decl.(*ast.FuncDecl)
		if !ok || f.Name.Name != "verify" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CallExpr:
				calls[types.ExprString(n.Fun)] = true
			case *ast.BinaryExpr:
				require.NotContains(t, types.ExprString(n), "signature")
			}
			return true
		})
	}
	require.Contains(t, calls, "hmac.Equal")
	for call := range calls {
		require.NotContains(t, []string{"bytes.Equal", "bytes.Compare", "slices.Equal", "slices.Compare", "reflect.DeepEqual"}, call)
	}
}

// row B122. The order is ours to prove: the tag stands before the ciphertext.
func TestEncryptPutsNonceTagAndCiphertextInThisOrder(t *testing.T) {
	nonce := bytes.Repeat([]byte{7}, 24)
	k := newTokens(t, func(c *TokenConfig) { c.Keys.Rand = bytes.NewReader(nonce) })
	token, err := k.Encrypt(goldenTime, 1, 0)
	require.NoError(t, err)
	raw, ok := decode64(strings.TrimPrefix(token, "XCP."))
	require.True(t, ok)
	payload, err := encodePayload(1, goldenTime, defaultMaxAge)
	require.NoError(t, err)
	require.Equal(t, nonce, raw[:24])
	require.Len(t, raw, 24+16+len(payload))
	// The ciphertext alone is what the stream cipher makes, wherever the tag is:
	// sealing a longer payload with the same nonce has it as its beginning.
	k.ring.rand = bytes.NewReader(nonce)
	longer, err := k.Encrypt(goldenTime, 1, Forever)
	require.NoError(t, err)
	rawLonger, _ := decode64(strings.TrimPrefix(longer, "XCP."))
	same := 12 // {1, signed_at, ...: as far as the two payloads are equal
	require.Equal(t, raw[40:40+same], rawLonger[40:40+same])
	require.NotEqual(t, raw[24:40], rawLonger[24:40])

	claims, err := k.Decrypt(goldenTime, token)
	require.NoError(t, err)
	require.Equal(t, int64(1), claims.Data)
	_, err = k.Verify(goldenTime, token)
	require.ErrorIs(t, err, auth.ErrInvalid)
}

func TestEncryptFailsWithoutRandomnessAndWithOtherKeys(t *testing.T) {
	k := newTokens(t, func(c *TokenConfig) { c.Keys.Rand = bytes.NewReader(nil) })
	_, err := k.Encrypt(goldenTime, 1, 0)
	require.Error(t, err)
	k = newTokens(t, func(c *TokenConfig) { c.Keys.KeyLength = 64 })
	_, err = k.Encrypt(goldenTime, 1, 0)
	require.ErrorContains(t, err, "64 bytes")
}

// seal is AES-GCM as plug_crypto 1 used it: ciphertext and tag apart.
func seal(t testing.TB, key, nonce, text, additional []byte) (ciphertext, tag []byte) {
	block, err := aes.NewCipher(key)
	require.NoError(t, err)
	aead, err := cipher.NewGCM(block)
	require.NoError(t, err)
	out := aead.Seal(nil, nonce, text, additional)
	return out[:len(text)], out[len(text):]
}

// oldToken is an encrypted token of plug_crypto 1.
func oldToken(t testing.TB, key, contentKey, payload []byte) string {
	wrapNonce, nonce := bytes.Repeat([]byte{1}, 12), bytes.Repeat([]byte{2}, 12)
	wrapped, wrapTag := seal(t, key, wrapNonce, contentKey, nil)
	text, tag := seal(t, contentKey, nonce, payload, []byte("A128GCM"))
	parts := []string{"A128GCM", string(wrapped) + string(wrapTag) + string(wrapNonce), string(nonce), string(text), string(tag)}
	for i, p := range parts {
		parts[i] = encoding.EncodeToString([]byte(p))
	}
	return strings.Join(parts, ".")
}

// row B122
func TestDecryptReadsTokensOfOldApplications(t *testing.T) {
	for _, length := range []int{16, 24, 32, 64} { // of which 32 count at most
		k := newTokens(t, func(c *TokenConfig) { c.Keys.KeyLength = length })
		payload, err := encodePayload("user-42", goldenTime, time.Hour)
		require.NoError(t, err)
		token := oldToken(t, k.ring.keys[0][:min(length, 32)], []byte("sixteen bytes ok"), payload)
		require.True(t, strings.HasPrefix(token, prefixAES))
		claims, err := k.Decrypt(goldenTime, token)
		require.NoError(t, err)
		require.Equal(t, "user-42", claims.Data)

		_, err = k.Decrypt(goldenTime.Add(2*time.Hour), token)
		require.ErrorIs(t, err, auth.ErrExpired)
		for i := len(prefixAES); i < len(token); i++ { // no byte can be changed
			if token[i] == '.' {
				continue
			}
			forged := []byte(token)
			forged[i] = 'A' + (forged[i]-'A'+1)%26
			_, err = k.Decrypt(goldenTime, string(forged))
			require.ErrorIs(t, err, auth.ErrInvalid, i)
		}
	}
}

func TestDecryptRefusesWhatWasChanged(t *testing.T) {
	k := newTokens(t)
	token, err := k.Encrypt(goldenTime, "user-42", 0)
	require.NoError(t, err)
	for i := range token {
		forged := []byte(token)
		if forged[i] == 'A' {
			forged[i] = 'B'
		} else {
			forged[i] = 'A'
		}
		_, err := k.Decrypt(goldenTime, string(forged))
		require.ErrorIs(t, err, auth.ErrInvalid, i)
	}
	for n := range token {
		_, err := k.Decrypt(goldenTime, token[:n])
		require.Error(t, err, n)
	}
	_, err = newTokens(t, func(c *TokenConfig) { c.Salt = "other" }).Decrypt(goldenTime, token)
	require.ErrorIs(t, err, auth.ErrInvalid)
}

func TestSignRefusesWhatCannotBeATerm(t *testing.T) {
	k := newTokens(t)
	_, err := k.Sign(goldenTime, struct{}{}, 0)
	require.ErrorIs(t, err, ErrTerm)
	_, err = k.Encrypt(goldenTime, make(chan int), 0)
	require.ErrorIs(t, err, ErrTerm)
	_, err = k.Sign(goldenTime, strings.Repeat("x", auth.MaxToken), 0)
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = k.Encrypt(goldenTime, strings.Repeat("x", auth.MaxToken), 0)
	require.ErrorIs(t, err, ErrTooLarge)
}

func TestWhatIsSignedOrEncryptedIsRead(t *testing.T) {
	k := newTokens(t)
	rapid.Check(t, func(t *rapid.T) {
		data := drawTerm(3).Draw(t, "data")
		age := rapid.OneOf(
			rapid.Just(Forever),
			rapid.Map(rapid.Int64Range(1, 1e10), func(ms int64) time.Duration { return time.Duration(ms) * time.Millisecond }),
		).Draw(t, "max age")
		at := time.UnixMilli(rapid.Int64Range(0, 1<<44).Draw(t, "signed at"))
		read := func(token string, err error, read func(time.Time, string) (auth.Claims, error)) {
			if errors.Is(err, ErrTooLarge) {
				return
			}
			require.NoError(t, err)
			end := at.Add(365 * 24 * time.Hour)
			if age != Forever {
				end = at.Add(age)
				_, err := read(end.Add(2*time.Millisecond), token)
				require.ErrorIs(t, err, auth.ErrExpired)
			}
			claims, err := read(end.Add(-time.Millisecond), token) // floats lose less than that
			require.NoError(t, err)
			require.Equal(t, data, claims.Data)
			require.True(t, claims.SignedAt.Equal(at))
		}
		token, err := k.Sign(at, data, age)
		read(token, err, k.Verify)
		token, err = k.Encrypt(at, data, age)
		read(token, err, k.Decrypt)
	})
}

func FuzzVerify(f *testing.F) {
	k := newTokens(f)
	for _, v := range vectors {
		f.Add(v.token)
	}
	f.Add("")
	f.Add(protectedHS512 + ".g2gD.AAAA")
	f.Fuzz(func(t *testing.T, token string) {
		claims, err := k.Verify(goldenTime, token)
		if err == nil { // then it is one of the seeds: nobody else knows the secret
			require.Contains(t, tokensOf(vectors), token)
			return
		}
		require.Zero(t, claims)
		require.True(t, errors.Is(err, auth.ErrInvalid) || errors.Is(err, auth.ErrExpired) || errors.Is(err, auth.ErrMissing))
	})
}

func tokensOf(vs []vector) (tokens []string) {
	for _, v := range vs {
		tokens = append(tokens, v.token)
	}
	return tokens
}

func FuzzDecrypt(f *testing.F) {
	// The fuzzer's workers are processes: their seeds must be the same.
	k := newTokens(f, func(c *TokenConfig) { c.Keys.Rand = bytes.NewReader(make([]byte, 24)) })
	token, err := k.Encrypt(goldenTime, "user-42", 0)
	require.NoError(f, err)
	payload, err := encodePayload(1, goldenTime, time.Hour)
	require.NoError(f, err)
	old := oldToken(f, k.ring.keys[0], []byte("sixteen bytes ok"), payload)
	f.Add(token)
	f.Add(old)
	f.Add("XCP.")
	f.Add(prefixAES + "...")
	f.Fuzz(func(t *testing.T, text string) {
		claims, err := k.Decrypt(goldenTime, text)
		if err == nil {
			require.Contains(t, []string{token, old}, text)
			return
		}
		require.Zero(t, claims)
		require.True(t, errors.Is(err, auth.ErrInvalid) || errors.Is(err, auth.ErrExpired) || errors.Is(err, auth.ErrMissing))
	})
}

// FuzzPayload is what a genuine token may do to us.
func FuzzPayload(f *testing.F) {
	k := newTokens(f)
	for _, v := range vectors {
		payload, err := k.ring.verify(v.token)
		require.NoError(f, err)
		f.Add(payload)
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		for _, override := range []time.Duration{0, time.Hour, Forever, -1} {
			claims, err := decodePayload(payload, goldenTime, override, 0)
			if err != nil {
				require.Zero(t, claims)
			} else if !claims.ExpiresAt.IsZero() {
				require.False(t, claims.ExpiresAt.Before(time.UnixMilli(goldenTime.UnixMilli())))
			}
		}
	})
}
