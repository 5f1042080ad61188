package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
)

// builtSite is the page with a client library of the test's own.
func builtSite(t *testing.T) *site {
	files := fstest.MapFS{
		phoenixDir + "phoenix.mjs": {Data: []byte("export class Socket {}")},
	}
	for _, f := range siteFiles {
		if !strings.HasPrefix(f.file, phoenixDir) {
			data, err := os.ReadFile(f.file)
			require.NoError(t, err)
			files[f.file] = &fstest.MapFile{Data: data}
		}
	}
	s, err := newSite(files)
	require.NoError(t, err)
	return s
}

func get(t *testing.T, h http.Handler, path string, header ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Result()
}

func TestWhatIsServed(t *testing.T) {
	socket := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusTeapot) })
	h := routes(builtSite(t), socket)
	tests := []struct {
		path        string
		status      int
		contentType string
	}{
		{"/", 200, "text/html; charset=utf-8"},
		{"/r/amber-otter", 200, "text/html; charset=utf-8"},
		{"/r/%E6%9D%8E%2F%20x", 200, "text/html; charset=utf-8"},
		{"/r/", 302, ""},
		{"/r/a/b", 404, ""},
		{"/assets/app.js", 200, "text/javascript; charset=utf-8"},
		{"/assets/table.js", 200, "text/javascript; charset=utf-8"},
		{"/assets/style.css", 200, "text/css; charset=utf-8"},
		{"/assets/icon.svg", 200, "image/svg+xml"},
		{"/assets/phoenix.mjs", 200, "text/javascript; charset=utf-8"},
		{"/assets/package.json", 404, ""},
		{"/assets/../main.go", 307, ""},
		{"/main.go", 404, ""},
		{"/socket/websocket?vsn=2.0.0", http.StatusTeapot, ""},
	}
	for _, tt := range tests {
		t.Run(tt.path, func(t *testing.T) {
			res := get(t, h, tt.path)
			require.Equal(t, tt.status, res.StatusCode)
			if tt.contentType != "" {
				require.Equal(t, tt.contentType, res.Header.Get("Content-Type"))
			}
			require.Contains(t, res.Header.Get("Content-Security-Policy"), "default-src 'none'; script-src 'self';")
			require.Equal(t, "nosniff", res.Header.Get("X-Content-Type-Options"))
		})
	}
}

func TestAnUnchangedFileIsNotSentAgain(t *testing.T) {
	h := routes(builtSite(t), http.NotFoundHandler())
	first := get(t, h, "/assets/app.js")
	again := get(t, h, "/assets/app.js", "If-None-Match", first.Header.Get("ETag"))
	require.Equal(t, http.StatusNotModified, again.StatusCode)
	require.Equal(t, http.StatusOK, get(t, h, "/assets/app.js", "If-None-Match", `"other"`).StatusCode)
}

func TestAMissingClientLibrarySaysWhatToRun(t *testing.T) {
	files := fstest.MapFS{}
	for _, f := range siteFiles {
		if !strings.HasPrefix(f.file, phoenixDir) {
			files[f.file] = &fstest.MapFile{}
		}
	}
	_, err := newSite(files)
	require.ErrorIs(t, err, errNoPhoenix)
	require.ErrorContains(t, err, `run "npm ci" in cmd/pointingparty/web`)
}

// The page's policy forbids scripts and styles inside of the HTML, and the page
// puts what users write in as text.
func TestThePageKeepsItsPolicy(t *testing.T) {
	html, err := os.ReadFile("web/index.html")
	require.NoError(t, err)
	require.NotRegexp(t, `(?i)<script>`, string(html))
	require.NotRegexp(t, `(?i)<style|\sstyle=|\son[a-z]+=|javascript:|https?://`, string(html))
	for _, file := range []string{"web/app.js", "web/table.js"} {
		script, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotRegexp(t, `innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function`, string(script))
	}
}
