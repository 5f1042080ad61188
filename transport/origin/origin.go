package origin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// A Check decides which web pages may connect, by the Origin header of a
// request. A request without one does not come from a page and is always
// allowed (row B021 of the contract).
//
// The zero value is [SameHost]. A Check is immutable and may be shared by
// several transports; each transport has its own (B030). Transports report its
// faults when they are made.
type Check struct {
	rule    rule
	entries []entry // ruleList
	decide  func(r *http.Request, origin *url.URL) bool
	faults  error
}

type rule uint8

const (
	ruleSameHost rule = iota
	ruleSameOrigin
	ruleAny
	ruleList
	ruleFunc
)

// SameHost allows an origin whose host is the host of the request, whatever
// their schemes and ports. It is the default.
func SameHost() Check { return Check{rule: ruleSameHost} }

// SameOrigin allows an origin whose scheme, host and port are those of the
// request (B026). The request's scheme is https when it came over TLS: behind a
// proxy that ends TLS this check refuses everybody, use [List] there.
func SameOrigin() Check { return Check{rule: ruleSameOrigin} }

// Any allows every origin, also "null", "file://" and an empty one (B022). It is
// safe only where nothing depends on the browser's cookies or on its place in a
// network.
func Any() Check { return Check{rule: ruleAny} }

// List allows the listed origins (B024):
//
//	https://example.com       this scheme, this host, the scheme's default port
//	https://example.com:8443  this scheme, host and port
//	//example.com             this host, any scheme and port
//	//example.com:888         this host and port, any scheme
//	//*.example.com           example.com and its sub-domains at any depth
//
// An entry without a host, with a path, or with "*" anywhere but in front of
// the first dot is a fault (B025).
func List(entries ...string) Check {
	check := Check{rule: ruleList}
	var faults []error
	if len(entries) == 0 {
		faults = append(faults, errors.New("an empty list of origins allows no page at all"))
	}
	for _, text := range entries {
		e, err := parseEntry(text)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		check.entries = append(check.entries, e)
	}
	check.faults = errors.Join(faults...)
	return check
}

// Func asks decide (B027). It is called for every request that has an
// Origin header, concurrently, with the origin parsed; its Host is empty for
// "null" and "file://". An origin that cannot be parsed comes as url.URL.Opaque.
func Func(decide func(r *http.Request, origin *url.URL) bool) Check {
	check := Check{rule: ruleFunc, decide: decide}
	if decide == nil {
		check.faults = errors.New("the origin function is nil")
	}
	return check
}

// Err names all faults that the check was made with, nil if there are none. A
// check with faults must not be used.
func (c Check) Err() error { return c.faults }

// Allows reports whether the request may connect. It may be called concurrently.
// Of several Origin headers all must be allowed.
func (c Check) Allows(r *http.Request) bool {
	if c.rule == ruleAny {
		return true
	}
	for _, text := range r.Header["Origin"] {
		if !c.allows(r, text) {
			return false
		}
	}
	return true
}

func (c Check) allows(r *http.Request, text string) bool {
	origin, err := url.Parse(text)
	if c.rule == ruleFunc {
		if err != nil {
			origin = &url.URL{Opaque: text}
		}
		return c.decide(r, origin)
	}
	if err != nil || origin.Hostname() == "" {
		return false // B028
	}
	switch c.rule {
	case ruleSameHost:
		host, _ := splitHost(r.Host)
		return host != "" && sameHostname(origin.Hostname(), host)
	case ruleSameOrigin:
		host, port := splitHost(r.Host)
		scheme := requestScheme(r)
		if port == "" {
			port = defaultPort(scheme)
		}
		return host != "" && origin.Scheme == scheme && sameHostname(origin.Hostname(), host) && originPort(origin) == port
	default:
		for _, e := range c.entries {
			if e.matches(origin) {
				return true
			}
		}
		return false
	}
}

// An entry is one line of a list of origins.
type entry struct {
	scheme     string // empty: any
	host       string // lower case, without "*."
	subdomains bool   // host may have any sub-domain in front
	port       string // empty: any, where scheme is empty too
}

func parseEntry(text string) (entry, error) {
	u, err := url.Parse(text)
	if err != nil {
		return entry{}, fmt.Errorf("origin %q: %w", text, errors.Unwrap(err))
	}
	host, subdomains := strings.CutPrefix(lowerASCII(u.Hostname()), "*.")
	switch {
	case host == "":
		return entry{}, fmt.Errorf("origin %q has no host; write https://host or //host", text)
	case strings.Contains(host, "*"):
		return entry{}, fmt.Errorf("origin %q: * may only stand for sub-domains, as in //*.example.com", text)
	case u.User != nil, u.Path != "", u.RawQuery != "", u.Fragment != "":
		return entry{}, fmt.Errorf("origin %q: only a scheme, a host and a port can be matched", text)
	}
	e := entry{scheme: u.Scheme, host: host, subdomains: subdomains, port: u.Port()}
	if e.scheme != "" {
		e.port = originPort(u)
	}
	return e, nil
}

func (e entry) matches(origin *url.URL) bool {
	if e.scheme != "" && e.scheme != origin.Scheme {
		return false
	}
	if (e.scheme != "" || e.port != "") && e.port != originPort(origin) {
		return false
	}
	host := lowerASCII(origin.Hostname())
	return host == e.host || e.subdomains && strings.HasSuffix(host, "."+e.host)
}

// originPort is the port of an origin, that of its scheme where none is given;
// empty where the scheme has no usual port.
func originPort(u *url.URL) string {
	if port := u.Port(); port != "" {
		return port
	}
	return defaultPort(u.Scheme)
}

func defaultPort(scheme string) string {
	switch scheme {
	case "http", "ws":
		return "80"
	case "https", "wss":
		return "443"
	}
	return ""
}

func requestScheme(r *http.Request) string {
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// splitHost takes a Host header apart; both are empty when it is no host.
func splitHost(hostport string) (host, port string) {
	u, err := url.Parse("//" + hostport)
	if err != nil || u.Host != hostport {
		return "", ""
	}
	return u.Hostname(), u.Port()
}

func sameHostname(a, b string) bool { return lowerASCII(a) == lowerASCII(b) }

// lowerASCII lowers A to Z only: other letters that Unicode takes for one of a
// host's (the Kelvin sign for a k) are other hosts.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}
