package websocket

import (
	"net/http"
	"net/url"

	"github.com/rollcall-go/rollcall/transport/origin"
)

// An OriginCheck decides which web pages may open a connection: browsers let any
// page on the web open a WebSocket, with the cookies of whoever visits it. The
// zero value is [SameHost]. Package origin, which long polling shares, has the
// details of each.
type OriginCheck = origin.Check

// SameHost allows an origin whose host is the host of the request. It is the
// default.
func SameHost() OriginCheck { return origin.SameHost() }

// SameOrigin allows an origin whose scheme, host and port are those of the
// request.
func SameOrigin() OriginCheck { return origin.SameOrigin() }

// AnyOrigin allows every origin.
func AnyOrigin() OriginCheck { return origin.Any() }

// Origins allows the listed origins; see [origin.List]. [New] reports faults.
func Origins(entries ...string) OriginCheck { return origin.List(entries...) }

// OriginFunc asks decide; see [origin.Func].
func OriginFunc(decide func(r *http.Request, origin *url.URL) bool) OriginCheck {
	return origin.Func(decide)
}
