package origin

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// originRequest is a request to host; origin "-" means no Origin header.
func originRequest(host, origin string, secure bool) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "/socket/websocket", nil)
	r.Host = host
	if origin != "-" {
		r.Header["Origin"] = []string{origin}
	}
	if secure {
		r.TLS = &tls.ConnectionState{}
	}
	return r
}

func TestCheck(t *testing.T) {
	list := List("https://example.com", "http://scheme.com", "//plain.com", "//another.com:888", "//*.other.com", "https://*.tls.com", "//LOUD.com", "app://local")
	tests := []struct {
		name   string
		check  Check
		host   string
		origin string
		secure bool
		want   bool
	}{
		// B021
		{"no origin, zero value", Check{}, "example.com", "-", false, true},
		{"no origin, same origin", SameOrigin(), "example.com", "-", false, true},
		{"no origin, list", list, "example.com", "-", false, true},
		{"no origin, function", Func(func(*http.Request, *url.URL) bool { return false }), "example.com", "-", false, true},
		// B022
		{"any: other host", Any(), "example.com", "https://evil.com", false, true},
		{"any: null", Any(), "example.com", "null", false, true},
		{"any: file", Any(), "example.com", "file://", false, true},
		{"any: empty", Any(), "example.com", "", false, true},
		{"any: garbage", Any(), "example.com", "http://[::1", false, true},
		// B023 as in DESIGN 5.1
		{"default: same host", Check{}, "example.com", "http://example.com", false, true},
		{"default: scheme and port ignored", Check{}, "example.com:4000", "https://example.com:3000", false, true},
		{"default: case ignored", Check{}, "Example.com", "http://eXample.com", false, true},
		{"default: a letter that Unicode folds", Check{}, "kelvin.com", "http://\u212aelvin.com", false, false},
		{"default: other host", Check{}, "example.com", "http://evil.com", false, false},
		{"default: sub-domain", Check{}, "example.com", "http://a.example.com", false, false},
		{"default: suffix", Check{}, "example.com", "http://evil-example.com", false, false},
		{"default: the host as user name", Check{}, "example.com", "http://example.com@evil.com", false, false},
		{"default: IPv6", Check{}, "[::1]:4000", "http://[::1]:3000", false, true},
		{"default: other IPv6", Check{}, "[::1]:4000", "http://[::2]:4000", false, false},
		{"default: no host in request", Check{}, "", "http://example.com", false, false},
		{"default: user name in request's host", Check{}, "x@evil.com", "http://evil.com", false, false},
		{"SameHost is the default", SameHost(), "example.com", "http://evil.com", false, false},
		// B026
		{"same origin", SameOrigin(), "example.com", "http://example.com", false, true},
		{"same origin: default port written", SameOrigin(), "example.com:80", "http://example.com", false, true},
		{"same origin: port", SameOrigin(), "example.com:4000", "http://example.com:4000", false, true},
		{"same origin: other port", SameOrigin(), "example.com:4000", "http://example.com", false, false},
		{"same origin: over TLS", SameOrigin(), "example.com", "https://example.com", true, true},
		{"same origin: other scheme", SameOrigin(), "example.com", "https://example.com", false, false},
		{"same origin: other scheme, same port", SameOrigin(), "example.com:4000", "https://example.com:4000", false, false},
		{"same origin: scheme of a page not over TLS", SameOrigin(), "example.com", "http://example.com", true, false},
		{"same origin: other host", SameOrigin(), "example.com", "http://evil.com", false, false},
		// B024
		{"list: scheme and host", list, "x", "https://example.com", false, true},
		{"list: default port written", list, "x", "https://example.com:443", false, true},
		{"list: other port", list, "x", "https://example.com:8443", false, false},
		{"list: other scheme", list, "x", "http://example.com", false, false},
		{"list: http", list, "x", "http://scheme.com", false, true},
		{"list: http on 8080", list, "x", "http://scheme.com:8080", false, false},
		{"list: any scheme, any port", list, "x", "https://plain.com:1234", false, true},
		{"list: sub-domain not listed", list, "x", "https://a.plain.com", false, false},
		{"list: port listed", list, "x", "https://another.com:888", false, true},
		{"list: port not the listed one", list, "x", "https://another.com", false, false},
		{"list: sub-domain", list, "x", "http://a.other.com", false, true},
		{"list: deep sub-domain", list, "x", "http://a.b.c.other.com:99", false, true},
		{"list: domain of the wildcard", list, "x", "http://other.com", false, true},
		{"list: suffix of the wildcard", list, "x", "http://evil-other.com", false, false},
		{"list: wildcard as prefix", list, "x", "http://other.com.evil.com", false, false},
		{"list: wildcard with scheme", list, "x", "https://a.tls.com", false, true},
		{"list: wildcard with other scheme", list, "x", "http://a.tls.com", false, false},
		{"list: upper case entry", list, "x", "http://loud.com", false, true},
		{"list: scheme without port", list, "x", "app://local", false, true},
		{"list: a literal star", list, "x", "http://*.other.com", false, true},
		// B028
		{"default: null", Check{}, "example.com", "null", false, false},
		{"default: file", Check{}, "example.com", "file://", false, false},
		{"default: empty", Check{}, "example.com", "", false, false},
		{"default: garbage", Check{}, "example.com", "http://[::1", false, false},
		{"list: null", list, "x", "null", false, false},
		{"list: file", list, "x", "file://", false, false},
		{"list: empty", list, "x", "", false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			require.NoError(t, test.check.Err())
			require.Equal(t, test.want, test.check.Allows(originRequest(test.host, test.origin, test.secure)))
		})
	}
}

func TestCheckOfTwoHeadersNeedsBothAllowed(t *testing.T) {
	r := originRequest("example.com", "http://example.com", false)
	require.True(t, SameHost().Allows(r))
	r.Header["Origin"] = append(r.Header["Origin"], "http://evil.com")
	require.False(t, SameHost().Allows(r))
}

func TestFuncGetsTheParsedOrigin(t *testing.T) {
	tests := []struct{ origin, host, opaque string }{
		{"https://a.example.com:99", "a.example.com:99", ""},
		{"null", "", ""},
		{"file://", "", ""},
		{"", "", ""},
		{"http://[::1", "", "http://[::1"},
	}
	for _, test := range tests {
		t.Run(test.origin, func(t *testing.T) {
			for _, verdict := range []bool{true, false} {
				var got *url.URL
				check := Func(func(r *http.Request, origin *url.URL) bool {
					require.Equal(t, "example.com", r.Host)
					got = origin
					return verdict
				})
				require.Equal(t, verdict, check.Allows(originRequest("example.com", test.origin, false)))
				require.NotNil(t, got)
				require.Equal(t, test.host, got.Host)
				require.Equal(t, test.opaque, got.Opaque)
			}
		})
	}
}

func TestOriginEntryFaultsAreReportedAtOnce(t *testing.T) {
	check := List("example.com", "//ok.com", "https://", "//a.*.com", "//*", "https://x.com/path", "http://u@x.com", "http://[::1")
	require.Error(t, check.Err())
	lines := strings.Split(check.Err().Error(), "\n")
	require.Len(t, lines, 7)
	for i, part := range []string{
		`"example.com" has no host`,
		`"https://" has no host`,
		`"//a.*.com": * may only stand`,
		`"//*": * may only stand`,
		`"https://x.com/path": only a scheme`,
		`"http://u@x.com": only a scheme`,
		`"http://[::1": missing ']'`,
	} {
		require.Contains(t, lines[i], part)
	}
	require.Error(t, List().Err())
	require.Error(t, Func(nil).Err())
}

// FuzzOrigin: no Origin header panics, and none that names another host gets
// past a check.
func FuzzOrigin(f *testing.F) {
	for _, seed := range []string{"", "null", "file://", "https://example.com", "//example.com", "http://example.com@evil.com", "http://[::1", "http://a.example.com:99", "\x00", "http://example.com:bad"} {
		f.Add(seed, "example.com", "//*.example.com")
	}
	f.Add("https://a", "[::1]:80", "https://a:1")
	f.Fuzz(func(t *testing.T, origin, host, entry string) {
		r := originRequest(host, "", false)
		r.Header["Origin"] = []string{origin}
		parsed, err := url.Parse(origin)
		noHost := err != nil || parsed.Hostname() == ""
		for _, check := range []Check{SameHost(), SameOrigin()} {
			if check.Allows(r) {
				require.False(t, noHost)
				require.Contains(t, lowerASCII(host), lowerASCII(parsed.Hostname()))
			}
		}
		list := List(entry)
		if list.Err() == nil && list.Allows(r) {
			require.False(t, noHost)
			require.True(t, strings.HasSuffix(lowerASCII(parsed.Hostname()), list.entries[0].host))
		}
	})
}
