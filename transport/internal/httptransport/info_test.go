package httptransport

import (
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// B002, B013.
func TestConnectInfoIsWhatASessionMayKnow(t *testing.T) {
	r := httptest.NewRequest(http.MethodGet, "/ws/bob/rest/a/b?user=eve&vsn=2.0.0", nil)
	r.Host = "example.com:4000"
	r.RemoteAddr = "192.0.2.1:77"
	r.TLS = &tls.ConnectionState{}
	r.Header = http.Header{"User-Agent": {"me/1"}, "X-One": {"1", "2"}, "Cookie": {"secret"}, "Authorization": {"secret"}}
	mux := http.NewServeMux()
	called := false
	mux.HandleFunc("/ws/{user}/rest/{path...}", func(_ http.ResponseWriter, r *http.Request) {
		called = true
		info := ConnectInfo("carrier pigeon", r, "tok")
		require.Equal(t, "carrier pigeon", info.Transport)
		require.Equal(t, "tok", info.AuthToken)
		require.Equal(t, "bob", info.Params.Get("user"), "the path is merged over the query")
		require.Equal(t, "a/b", info.Params.Get("path"))
		require.Equal(t, "2.0.0", info.Params.Get("vsn"))
		require.Empty(t, info.Vsn)
		require.Equal(t, "example.com:4000", info.Host)
		require.Equal(t, "https://example.com:4000/ws/bob/rest/a/b?user=eve&vsn=2.0.0", info.URI.String())
		require.Equal(t, "me/1", info.UserAgent)
		require.Equal(t, map[string][]string{"x-one": {"1", "2"}}, info.XHeaders)
		require.Nil(t, info.TraceContextHeaders)
		require.Nil(t, info.SecWebSocketHeaders)
		require.Equal(t, r.TLS, info.TLS)
		require.Equal(t, 77, info.RemoteAddr.(*net.TCPAddr).Port)
	})
	mux.ServeHTTP(httptest.NewRecorder(), r)
	require.True(t, called)
}

func TestItemsOfAHeader(t *testing.T) {
	lines := []string{" a, b;c=\"d\" ,,\t", "", "a"}
	require.Equal(t, []string{"a", `b;c="d"`, "a"}, slices.Collect(Items(lines)))
	for item := range Items(lines) {
		require.Equal(t, "a", item)
		break
	}
	require.Empty(t, slices.Collect(Items(nil)))
}

func TestRemoteAddrThatIsNotTCP(t *testing.T) {
	require.Equal(t, "@", remoteAddr("@").String())
	require.Equal(t, "[::1]:80", remoteAddr("[::1]:80").String())
}
