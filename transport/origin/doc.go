// Package origin decides which web pages may connect.
//
//	websocket.Config{CheckOrigin: origin.List("https://example.com", "//*.example.org")}
//
// Browsers let any page open a WebSocket, or post a form, to any server, with
// the cookies that its visitor has there. What they do not let a page do is lie
// in the Origin header, which names where it came from. So a transport asks a
// [Check] before it accepts a client:
//
//	SameHost     pages of the host that the request names; the default
//	SameOrigin   and of its scheme and port
//	List         the listed origins; needed behind a proxy that rewrites Host
//	Func         a function of the application
//	Any          every page
//
// Programs that are no browsers send no Origin, and none is asked of them: this
// protects users against pages, not servers against clients.
//
// A Check is a value, immutable, and may be used concurrently; there is nothing
// to shut down. Rows B021 to B030 of the behaviour contract.
package origin
