// Package cookie lets clients in by the session of a Phoenix application: it
// reads the cookie in which Plug.Session, with its cookie store, keeps who is
// logged in (rows B013, B014 of the behaviour contract).
//
//	store, err := cookie.New(cookie.Config{
//		Name: "_my_app_key", // key, signing_salt, ... of the application's @session_options
//		Keys: token.CookieConfig{Secrets: []string{secretKeyBase}, SigningSalt: "jv2bPQdM"},
//	})
//	ws, err := websocket.New(endpoint, handler, websocket.Options{Session: store.Session})
//	lp, err := longpoll.New(endpoint, handler, longpoll.Options{Session: store.Session})
//
// and in the handler's Connect
//
//	session, _ := c.Info.Session.(map[string]any) // nil for who has none
//	user, ok := session["user_id"].(int64)        // as Plug.Conn.put_session put it
//
// where values are Erlang terms in Go; see [token.Atom]. The page gives its CSRF
// token to phoenix.js, as pages for LiveView do:
//
//	let csrf = document.querySelector("meta[name='csrf-token']").getAttribute("content")
//	new Socket("/socket", {params: {_csrf_token: csrf}})
//
// Who keeps sessions in another way gives the transports a function of its own:
//
//	Session: func(r *http.Request) (any, error) { return store.Get(r, "session") } // gorilla/sessions
//
// # Why there is a CSRF token
//
// A browser sends cookies with every handshake, also with one that a page of
// another site asked for. The transports' CheckOrigin keeps those out that a
// browser names; the token keeps out whoever has not read a page of the
// application. It is in the session, and each page has it masked anew. A session
// without a matching token is as good as none: the client is asked about by
// Connect, and has nil.
//
// # Concurrency, failure, shutdown
//
// All methods may be called concurrently. Nothing is decoded before it was found
// genuine, and nothing from outside makes this package panic, or allocate more
// than the limits of package token allow. No error and no log has a cookie, a
// token or a part of one in it. There is nothing to shut down.
package cookie
