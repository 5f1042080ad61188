// Package cookie reads the session of a Phoenix application: the cookie in which
// Plug.Session, with its cookie store, keeps it (rows B013, B014 of the behaviour
// contract).
//
//	store, err := cookie.New(cookie.Config{
//		Name: "_my_app_key", // key, signing_salt, ... of the application's @session_options
//		Cookies: plug.CookieConfig{
//			Keys:        plug.KeyConfig{Secrets: []string{secretKeyBase}},
//			SigningSalt: "jv2bPQdM",
//		},
//	})
//	ws, err := websocket.New(endpoint, handler, websocket.Config{Session: store.Session})
//	lp, err := longpoll.New(endpoint, handler, longpoll.Config{Session: store.Session})
//
// In the handler's Connect:
//
//	session, _ := r.Info.Session.(map[string]any) // nil without a session
//	user, ok := session["user_id"].(int64)        // as Plug.Conn.put_session put it
//
// Values are Erlang terms in Go; see plug.Atom. The page gives its CSRF token to phoenix.js,
// as pages for LiveView do:
//
//	let csrf = document.querySelector("meta[name='csrf-token']").getAttribute("content")
//	new Socket("/socket", {params: {_csrf_token: csrf}})
//
// For sessions of another kind, give the transports another function:
//
//	Session: func(r *http.Request) (any, error) { return store.Get(r, "session") } // gorilla/sessions
//
// # CSRF tokens
//
// A browser sends cookies with every handshake, even if a page of another site asked for it.
// The transports' CheckOrigin refuses pages that a browser names as such; the CSRF token
// refuses clients that have not read a page of the application. It is in the session, and
// masked anew in each page. A session without a matching token counts as none: Connect is
// called, with a nil session.
//
// # Concurrency, errors and shutdown
//
// Methods may be called concurrently. Nothing is decoded before it is known to be genuine,
// and limits are those of package plug. No error and no log message contains a cookie, a
// token or a part of one. There is nothing to close.
package cookie
