package intake

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// networkBits is how much of an IPv6 address counts: the rest is the client's to
// choose.
const networkBits = 64

// keyOf is what an address counts as.
func keyOf(a netip.Addr) netip.Addr {
	a = a.Unmap().WithZone("")
	if a.Is4() {
		return a
	}
	network, _ := a.Prefix(networkBits) // never fails: a is IPv6
	return network.Addr()
}

// remoteAddress is the address of the socket that a request came by; the zero
// Addr if that is no IP address, as with a Unix socket.
func remoteAddress(r *http.Request) netip.Addr { return parseAddress(r.RemoteAddr) }

// FromHeader reads the address from a header that a proxy sets: the last one in
// it, which is what the nearest proxy has seen, with or without a port. It is
// the address of the socket where the header is absent or its last entry no address.
//
// Use it only where the server is unreachable except through a proxy that sets this
// header, or adds to it: any other client can claim any address.
func FromHeader(name string) func(*http.Request) netip.Addr {
	return func(r *http.Request) netip.Addr {
		if lines := r.Header.Values(name); len(lines) > 0 {
			last := lines[len(lines)-1]
			if a := parseAddress(strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:])); a.IsValid() {
				return a
			}
		}
		return remoteAddress(r)
	}
}

// parseAddress reads "192.0.2.1", "2001:db8::1", "[2001:db8::1]", and each of them
// with a port. The zero Addr is none.
func parseAddress(text string) netip.Addr {
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr()
	}
	if inner, ok := strings.CutPrefix(text, "["); ok {
		text = strings.TrimSuffix(inner, "]")
	}
	a, _ := netip.ParseAddr(text)
	return a
}

// addressOf is the address of a connection's client.
func addressOf(c net.Conn) netip.Addr {
	if tcp, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		return tcp.AddrPort().Addr()
	}
	return netip.Addr{}
}
