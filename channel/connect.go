package channel

import (
	"net"
	"net/url"
	"time"
)

// ConnectInfo is what a transport knows of a connection before it is accepted.
// What a transport does not know stays zero.
type ConnectInfo struct {
	// Transport is "websocket" or "longpoll".
	Transport string
	// Params is the query, with variables of the path merged in. Keys may be
	// nested ("a[b]=c"); [Conn.Params] has them decoded.
	Params url.Values
	// Vsn is the version of the protocol. Transports leave it empty: Connect
	// reads it from Params, and [Conn.Info] has it.
	Vsn string
	// RemoteAddr is the client's address as the transport sees it.
	RemoteAddr net.Addr
	// Host is the Host header.
	Host string
	// URI is the requested URI.
	URI *url.URL
	// UserAgent is the User-Agent header.
	UserAgent string
	// XHeaders are the headers whose name begins with "x-", in lower case.
	XHeaders map[string][]string
	// AuthToken is the token that phoenix.js sends apart from the params.
	AuthToken string
	// At is when the request came, for the duration that is logged. Zero: when
	// Connect was called.
	At time.Time
}
