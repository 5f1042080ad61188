package httpinfo

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/rollcall-go/rollcall/channel"
)

// ConnectInfo is what the session may know of the request (B013), which came by
// the transport of that name with an auth token, or none. Cookies and headers
// other than those listed are not passed on. It may be called concurrently.
func ConnectInfo(transport string, r *http.Request, token string) channel.ConnectInfo {
	return channel.ConnectInfo{
		Transport:  transport,
		Params:     connectParams(r),
		RemoteAddr: remoteAddr(r.RemoteAddr),
		Host:       r.Host,
		URI:        requestURI(r),
		UserAgent:  r.UserAgent(),
		XHeaders:   xHeaders(r.Header),
		AuthToken:  token,
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

// xHeaders are the headers whose name begins with "x-", in lower case.
func xHeaders(h http.Header) map[string][]string {
	found := make(map[string][]string)
	for name, values := range h {
		if name = strings.ToLower(name); strings.HasPrefix(name, "x-") {
			found[name] = slices.Clone(values)
		}
	}
	if len(found) == 0 {
		return nil
	}
	return found
}
