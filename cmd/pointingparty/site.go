package main

import (
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
)

// webFiles is the page as it lies in web. What npm installs there is part of it
// where it was installed before the program was built.
//
//go:embed web
var webFiles embed.FS

const phoenixDir = "web/node_modules/phoenix/priv/static/"

// siteFiles are the files that are served, by the path of their URL.
var siteFiles = []struct{ url, file, contentType string }{
	{"/", "web/index.html", "text/html; charset=utf-8"},
	{"/assets/app.js", "web/app.js", "text/javascript; charset=utf-8"},
	{"/assets/table.js", "web/table.js", "text/javascript; charset=utf-8"},
	{"/assets/style.css", "web/style.css", "text/css; charset=utf-8"},
	{"/assets/icon.svg", "web/icon.svg", "image/svg+xml"},
	{"/assets/phoenix.mjs", phoenixDir + "phoenix.mjs", "text/javascript; charset=utf-8"},
	{"/assets/phoenix.mjs.map", phoenixDir + "phoenix.mjs.map", "application/json"},
}

// errNoPhoenix: the program was built without the client library.
var errNoPhoenix = errors.New(`pointingparty: built without the "phoenix" npm package: run "npm ci" in cmd/pointingparty/web, then build again`)

// site is the page's files, ready to serve. It never changes.
type site struct {
	files map[string]asset // by the path of the URL
}

type asset struct {
	data        []byte
	contentType string
	etag        string
}

// newSite reads the page's files. It fails with errNoPhoenix when the client
// library is not among them.
func newSite(files fs.FS) (*site, error) {
	s := &site{files: make(map[string]asset, len(siteFiles))}
	for _, f := range siteFiles {
		data, err := fs.ReadFile(files, f.file)
		if errors.Is(err, fs.ErrNotExist) && f.file == phoenixDir+"phoenix.mjs" {
			return nil, errNoPhoenix
		}
		if errors.Is(err, fs.ErrNotExist) && f.file == phoenixDir+"phoenix.mjs.map" {
			continue // for debuggers only
		}
		if err != nil {
			return nil, fmt.Errorf("pointingparty: page: %w", err)
		}
		sum := sha256.Sum256(data)
		s.files[f.url] = asset{data, f.contentType, `"` + base64.RawURLEncoding.EncodeToString(sum[:12]) + `"`}
	}
	return s, nil
}

// serve answers with the file of a URL's path. Browsers ask again each time and
// are told when nothing has changed.
func (s *site) serve(w http.ResponseWriter, r *http.Request, path string) {
	f, ok := s.files[path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", f.etag)
	if r.Header.Get("If-None-Match") == f.etag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Length", fmt.Sprint(len(f.data)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(f.data)
	}
}

// policy allows the page what it is made of, and nothing from anywhere else: no
// inline script or style, no frames around it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

// routes is everything that is served: the page for / and for every room, its
// assets and the socket.
func routes(s *site, socket http.Handler) http.Handler {
	page := func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, "/") }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", page)
	mux.HandleFunc("GET /r/{room}", page)
	mux.HandleFunc("GET /r/{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/", http.StatusFound)
	})
	mux.HandleFunc("GET /assets/", func(w http.ResponseWriter, r *http.Request) { s.serve(w, r, r.URL.Path) })
	mux.Handle("/socket/websocket", socket)
	return secured(mux)
}

// secured sets the headers that every answer has.
func secured(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "same-origin") // the name of a room is nobody else's business
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		next.ServeHTTP(w, r)
	})
}
