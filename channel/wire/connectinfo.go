package wire

import (
	"crypto/tls"
	"net"
	"net/url"
	"time"
)

// ConnectInfo is what a transport knows of a connection before it is accepted
// (row B013). What a transport does not know stays zero. Cookies, and headers
// other than those named here, are not passed on; what is to be read of them is
// for the transport's Session option. Names of headers are in lower case.
type ConnectInfo struct {
	// Transport is "websocket" or "longpoll".
	Transport string
	// Params is the query, with variables of the path merged in. Keys may be
	// nested ("a[b]=c"); channel.ConnectRequest.Params has them decoded.
	Params url.Values
	// Vsn is the version of the protocol. Transports leave it empty: Connect
	// reads it from Params.
	Vsn string
	// RemoteAddr is the client's address as the transport sees it.
	RemoteAddr net.Addr
	// TLS is the connection's TLS as the transport sees it, nil without: behind a
	// proxy that ends TLS it is the proxy's. PeerCertificates are the client's;
	// only VerifiedChains tell that they were checked.
	TLS *tls.ConnectionState
	// Host is the Host header.
	Host string
	// URI is the requested URI.
	URI *url.URL
	// UserAgent is the User-Agent header.
	UserAgent string
	// XHeaders are the headers whose name begins with "x-".
	XHeaders map[string][]string
	// TraceContextHeaders are traceparent and tracestate (W3C Trace Context).
	TraceContextHeaders map[string][]string
	// SecWebSocketHeaders are the headers whose name begins with
	// "sec-websocket-". The entry of sec-websocket-protocol that carries the auth
	// token is not among them.
	SecWebSocketHeaders map[string][]string
	// Session is what the transport's Session option returned: the session that
	// the client's cookies name. Nil: none.
	Session any
	// AuthToken is the token that phoenix.js sends apart from the params.
	AuthToken string
	// At is when the request came, for the duration that is logged. Zero: when
	// Connect was called.
	At time.Time
}
