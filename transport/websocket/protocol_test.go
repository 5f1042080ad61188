package websocket

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/transport/internal/httptransport"
)

func TestParseProtocols(t *testing.T) {
	tests := []struct {
		name    string
		lines   []string
		offered []string
		token   string
		err     error
	}{
		{"none", nil, nil, "", nil},
		{"empty", []string{""}, nil, "", nil},
		{"one", []string{"phoenix"}, []string{"phoenix"}, "", nil},
		{"several, spaces", []string{" a ,b,, c\t"}, []string{"a", "b", "c"}, "", nil},
		{"several lines", []string{"a", "b"}, []string{"a", "b"}, "", nil},
		{"as phoenix.js sends it", []string{"phoenix,base64url.bearer.phx.dG9rK2VuLz0"}, []string{"phoenix"}, "tok+en/=", nil},
		{"token on a line of its own", []string{"phoenix", "base64url.bearer.phx.YQ"}, []string{"phoenix"}, "a", nil},
		{"standard alphabet", []string{"base64url.bearer.phx.+/+/"}, nil, "\xfb\xff\xbf", nil},
		{"URL alphabet", []string{"base64url.bearer.phx.-_-_"}, nil, "\xfb\xff\xbf", nil},
		{"padded", []string{"base64url.bearer.phx.YQ=="}, nil, "a", nil},
		{"empty token", []string{"phoenix, base64url.bearer.phx."}, []string{"phoenix"}, "", nil},
		{"not base64", []string{"phoenix, base64url.bearer.phx.!!"}, nil, "", errBadAuthToken},
		{"impossible length", []string{"base64url.bearer.phx.A"}, nil, "", errBadAuthToken},
		{"two tokens", []string{"base64url.bearer.phx.YQ, base64url.bearer.phx.Yg"}, nil, "", errTwoAuthTokens},
		{"an empty token and another", []string{"base64url.bearer.phx., base64url.bearer.phx.Yg"}, nil, "", errTwoAuthTokens},
		{"prefix in other case is a protocol", []string{"Base64url.bearer.phx.YQ"}, []string{"Base64url.bearer.phx.YQ"}, "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			offered, token, err := parseProtocols(http.Header{"Sec-Websocket-Protocol": test.lines})
			require.Equal(t, test.err, err)
			require.Equal(t, test.offered, offered)
			require.Equal(t, test.token, token)
		})
	}
}

func TestChooseProtocol(t *testing.T) {
	tests := []struct {
		name            string
		served, offered []string
		want            string
		err             error
	}{
		{"client offers none", []string{"a"}, nil, "", nil},
		{"the server's preference counts", []string{"a", "b"}, []string{"b", "a"}, "a", nil},
		{"second choice", []string{"a", "b"}, []string{"c", "b"}, "b", nil},
		{"only others", []string{"a"}, []string{"b"}, "", errNoProtocol},
		{"other case is other", []string{"a"}, []string{"A"}, "", errNoProtocol},
		{"nothing configured: phoenix", nil, []string{"x", "phoenix"}, "phoenix", nil},
		{"nothing configured: others", nil, []string{"x"}, "", nil},
		{"nothing configured, nothing offered", nil, nil, "", nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := chooseProtocol(test.served, test.offered)
			require.Equal(t, test.err, err)
			require.Equal(t, test.want, got)
		})
	}
}

// FuzzParseProtocols: nothing panics; a token that is carried comes out as it
// went in; errors do not show it.
func FuzzParseProtocols(f *testing.F) {
	f.Add("phoenix,base64url.bearer.phx.dG9rK2VuLz0", "secret")
	f.Add("base64url.bearer.phx.", "")
	f.Add(",,\t ,a", "\xff\x00")
	f.Add("base64url.bearer.phx.AA\r\nAA", "a,b")
	f.Fuzz(func(t *testing.T, line, token string) {
		offered, _, err := parseProtocols(http.Header{"Sec-Websocket-Protocol": {line}})
		if err != nil {
			require.Empty(t, offered)
			require.True(t, err == errBadAuthToken || err == errTwoAuthTokens)
		}
		for _, o := range offered {
			require.False(t, o == "" || strings.Contains(o, ",") || strings.HasPrefix(o, httptransport.AuthTokenPrefix))
		}
		encoded := httptransport.AuthTokenPrefix + base64.RawStdEncoding.EncodeToString([]byte(token))
		offered, got, err := parseProtocols(http.Header{"Sec-Websocket-Protocol": {"phoenix, " + encoded}})
		require.NoError(t, err)
		require.Equal(t, token, got)
		require.Equal(t, []string{"phoenix"}, offered)
	})
}
