package httptransport

import (
	"iter"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// ConnectInfo is what the session may know of the request (B013), which came by
// the transport of that name with an auth token, or none. Cookies and headers
// other than those listed are not passed on. It may be called concurrently.
func ConnectInfo(transport string, r *http.Request, token string) wire.ConnectInfo {
	return wire.ConnectInfo{
		Transport:  transport,
		Params:     connectParams(r),
		RemoteAddr: remoteAddr(r.RemoteAddr),
		TLS:        r.TLS,
		Host:       r.Host,
		URI:        requestURI(r),
		UserAgent:  r.UserAgent(),
		XHeaders:   headers(r.Header, func(name string) bool { return hasPrefix(name, "x-") }),
		TraceContextHeaders: headers(r.Header, func(name string) bool {
			return strings.EqualFold(name, "traceparent") || strings.EqualFold(name, "tracestate")
		}),
		SecWebSocketHeaders: secWebSocketHeaders(r.Header),
		AuthToken:           token,
	}
}

// connectParams is the query with the variables of the path merged over it
// (B002): those of the http.ServeMux pattern that the request matched.
func connectParams(r *http.Request) url.Values {
	params := r.URL.Query()
	for segment := range strings.SplitSeq(r.Pattern, "/") {
		name, isVariable := strings.CutPrefix(segment, "{")
		if !isVariable {
			continue
		}
		name = strings.TrimSuffix(strings.TrimSuffix(name, "}"), "...")
		if name != "" && name != "$" {
			params.Set(name, r.PathValue(name))
		}
	}
	return params
}

// remoteAddr is the client's address as net/http gives it: a *net.TCPAddr where
// it is one.
func remoteAddr(text string) net.Addr {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return net.TCPAddrFromAddrPort(ap)
	}
	return otherAddr(text)
}

// An otherAddr is the address of a client that did not come over TCP.
type otherAddr string

func (otherAddr) Network() string  { return "other" }
func (a otherAddr) String() string { return string(a) }

// requestURI is the address that the client asked for, as far as the request
// shows it.
func requestURI(r *http.Request) *url.URL {
	u := *r.URL
	u.Scheme = "http"
	if r.TLS != nil {
		u.Scheme = "https"
	}
	u.Host = r.Host
	u.User = nil
	return &u
}

// hasPrefix reports whether a header's name begins with prefix, in any case.
func hasPrefix(name, prefix string) bool {
	return len(name) >= len(prefix) && strings.EqualFold(name[:len(prefix)], prefix)
}

// headers are those whose name is wanted, with names in lower case; nil without
// any.
func headers(h http.Header, wanted func(name string) bool) map[string][]string {
	var found map[string][]string
	for name, values := range h {
		if wanted(name) {
			if found == nil {
				found = make(map[string][]string)
			}
			found[strings.ToLower(name)] = slices.Clone(values)
		}
	}
	return found
}

// Items are the elements of a header that is a list, separated by commas on one
// line or several, in their order and without the empty ones.
func Items(lines []string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for _, line := range lines {
			for item := range strings.SplitSeq(line, ",") {
				if item = strings.Trim(item, " \t"); item != "" && !yield(item) {
					return
				}
			}
		}
	}
}

// AuthTokenPrefix marks the entry of Sec-WebSocket-Protocol that carries a
// token: browsers let a page set no other header of the handshake (B015).
const AuthTokenPrefix = "base64url.bearer.phx."

// secWebSocketHeaders are the headers of the handshake without the auth token,
// of which nobody is to keep a second copy.
func secWebSocketHeaders(h http.Header) map[string][]string {
	const protocol = "sec-websocket-protocol"
	found := headers(h, func(name string) bool { return hasPrefix(name, "sec-websocket-") })
	lines, offered := found[protocol], []string(nil)
	for item := range Items(lines) {
		if !strings.HasPrefix(item, AuthTokenPrefix) {
			offered = append(offered, item)
		}
	}
	switch {
	case len(offered) > 0:
		found[protocol] = []string{strings.Join(offered, ", ")}
	case lines != nil:
		delete(found, protocol)
	}
	return found
}
