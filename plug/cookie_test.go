package plug

import (
	"bytes"
	"crypto"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/channel/auth"
)

// Cookies that Python made (hashlib, and AES-GCM and ChaCha20-Poly1305 of its
// package cryptography 48, on OpenSSL, with HChaCha20 in front) by the
// description of row B014 and of [Cookies]: of the session below, written as OTP
// 26 writes it, with secret_key_base "abcdefgh" x 8 and the salts "sgn salt" and
// "enc salt". The nonces count up: from 0, and from 0 and 100.
const (
	signedCookie    = "SFMyNTY.g3QAAAADbQAAAAtfY3NyZl90b2tlbm0AAAAYNE9IaTQtVGw1dWZvNmVycjdPM3U3X0R4bQAAAAR1c2VydAAAAAF3BWFkbWludwR0cnVlbQAAAAd1c2VyX2lkYQc.fsnYW3kSrJgGsyMBnaNTwZdQ_tEz2_RQ4UNTlvRQ6OE"
	encryptedCookie = "XCP.AAECAwQFBgcICQoLDA0ODxAREhMUFRYXpov6piJrrpjtqiumWhopM1VVMGrPAmVibY3MlbZUWuZO0sR2idbknmsM5FUpMs4gvRvHZmdO2afu4SvYPBTbsqjaLczGWVqbh4bhpfV1drIWjV0sxsbgzscjGT5JnWwHbrhqF1YfgxGUyJQ8"
	oldCookie       = "QTEyOEdDTQ.i5RFRs8erVCPUT4dguzpD8K9ITiqD8ZmAocot1EPBnwAAQIDBAUGBwgJCgs.ZGVmZ2hpamtsbW5v.mRZOpdsB1fqbPlxP5blZim_8F5T3x7Ba9G-po_O6nseXqD4R_n5Ip-8qVXHCsTEwhNllHp0GQSy2_WQvuJ5lYGXtF2zI2vvkUKNKoEeOXHLWsiVvx4BK21N4JKw.JKUCbQMhGBXueI-6SnZnvg"
)

var cookieSession = map[any]any{"_csrf_token": "4OHi4-Tl5ufo6err7O3u7_Dx", "user": map[any]any{Atom("admin"): true}, "user_id": int64(7)}

func newCookies(t testing.TB, change ...func(*CookieConfig)) *Cookies {
	t.Helper()
	cfg := CookieConfig{Keys: KeyConfig{Secrets: []string{strings.Repeat("abcdefgh", 8)}}, SigningSalt: "sgn salt"}
	for _, c := range change {
		c(&cfg)
	}
	c, err := NewCookies(cfg)
	require.NoError(t, err)
	return c
}

func encrypting(cfg *CookieConfig) { cfg.EncryptionSalt = "enc salt" }

// row B014: signed, encrypted, and encrypted by plug_crypto 1.
func TestCookiesAreThoseOfAnotherImplementation(t *testing.T) {
	nonce := make([]byte, 24)
	for i := range nonce {
		nonce[i] = byte(i)
	}
	signed := newCookies(t)
	encrypted := newCookies(t, encrypting, func(c *CookieConfig) { c.Keys.Rand = bytes.NewReader(nonce) })
	for _, c := range []struct {
		cookies *Cookies
		value   string
		makes   bool
	}{{signed, signedCookie, true}, {encrypted, encryptedCookie, true}, {encrypted, oldCookie, false}} {
		content, err := c.cookies.Open(c.value)
		require.NoError(t, err)
		session, err := DecodeTerm(content)
		require.NoError(t, err)
		require.Equal(t, cookieSession, session)
		if c.makes {
			again, err := c.cookies.Seal(content)
			require.NoError(t, err)
			require.Equal(t, c.value, again)
		}
	}
	content, err := EncodeTerm(map[string]any{"user_id": 7})
	require.NoError(t, err)
	value, err := signed.Seal(content)
	require.NoError(t, err)
	opened, err := signed.Open(value)
	require.NoError(t, err)
	require.Equal(t, content, opened)
}

// row B014: a cookie that is not genuine is none.
func TestCookiesThatAreRefused(t *testing.T) {
	signed, encrypted := newCookies(t), newCookies(t, encrypting)
	refused := func(c *Cookies, value string) {
		t.Helper()
		_, err := c.Open(value)
		require.ErrorIs(t, err, ErrInvalid, "%.60s", value)
		if len(value) > 40 {
			require.NotContains(t, err.Error(), value[8:40])
		}
	}
	for _, value := range []string{signedCookie, encryptedCookie, oldCookie} {
		c := encrypted
		if value == signedCookie {
			c = signed
		}
		_, err := c.Open(value)
		require.NoError(t, err)
		for i := 1; i < len(value); i += 7 {
			other := byte('A')
			if value[i] == other {
				other = 'B'
			}
			refused(c, value[:i]+string(other)+value[i+1:])
			refused(c, value[:i])
		}
		refused(c, value+"A")
		refused(c, strings.Repeat(value, 100))
	}
	refused(signed, "")
	refused(signed, encryptedCookie)
	refused(encrypted, signedCookie)
	refused(newCookies(t, func(c *CookieConfig) { c.SigningSalt = "other" }), signedCookie)
	refused(newCookies(t, func(c *CookieConfig) { c.Keys.Iterations = 1001 }), signedCookie)
	refused(newCookies(t, func(c *CookieConfig) { c.Keys.Digest = crypto.SHA512 }), signedCookie)
	refused(newCookies(t, func(c *CookieConfig) { c.EncryptionSalt = "other" }), encryptedCookie)
	refused(newCookies(t, encrypting, func(c *CookieConfig) { c.SigningSalt = "other" }), oldCookie)
}

// row B014: after the secret changed, cookies of the old one are read.
func TestCookiesOfAnOldSecretAreRead(t *testing.T) {
	rotated := func(c *CookieConfig) { c.Keys.Secrets = append([]string{strings.Repeat("new", 20)}, c.Keys.Secrets...) }
	for _, value := range []string{encryptedCookie, oldCookie} {
		_, err := newCookies(t, encrypting, rotated).Open(value)
		require.NoError(t, err)
	}
	c := newCookies(t, rotated)
	content, err := c.Open(signedCookie)
	require.NoError(t, err)
	value, err := c.Seal(content)
	require.NoError(t, err)
	require.NotEqual(t, signedCookie, value, "the first secret signs")
	require.Equal(t, strings.Split(signedCookie, ".")[1], strings.Split(value, ".")[1])
}

func TestNewCookiesNamesFaultsAndNoSecret(t *testing.T) {
	_, err := NewCookies(CookieConfig{Keys: KeyConfig{Secrets: []string{"hunter2"}}})
	require.ErrorContains(t, err, "SigningSalt is empty")
	for _, salt := range []string{"", "e"} {
		_, err = NewCookies(CookieConfig{Keys: KeyConfig{Secrets: []string{"hunter2"}, Iterations: -1}, SigningSalt: "s", EncryptionSalt: salt})
		require.ErrorContains(t, err, "Secrets[0] has 7 bytes")
		require.ErrorContains(t, err, "Iterations is -1")
		require.NotContains(t, err.Error(), "hunter2")
	}
	_, err = newCookies(t).Seal(make([]byte, auth.MaxToken))
	require.ErrorIs(t, err, ErrTooLarge)
	_, err = EncodeTerm(make(chan int))
	require.ErrorIs(t, err, ErrTerm)
	_, err = DecodeTerm([]byte{131, 112, 0})
	require.ErrorIs(t, err, ErrInvalid)
}
