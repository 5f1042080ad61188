package natsd

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ErrConfig is what every fault that [Start] finds in its Config wraps.
var ErrConfig = errors.New("natsd: invalid configuration")

// Config says what server to run. The zero value is one without a cluster.
type Config struct {
	// ClusterListen is the host:port at which other servers connect. An empty
	// host means all interfaces, port 0 any free one. Empty: no cluster.
	ClusterListen string
	// Routes are other servers' ClusterListen, as host:port or
	// nats://host:port. They need not be up. One's own is ignored.
	Routes []string
	// Logger gets the server's warnings and errors, and its notices at level
	// debug. A route that is not reached is a warning, once until it is. nil: they
	// are dropped.
	Logger *slog.Logger
}

const (
	clusterName = "rollcall"
	// heardOfRetries is how often, once a second, a server is tried that is not
	// listed: a day. Not for ever, because each is a goroutine, and servers that
	// are replaced under new addresses never come back.
	heardOfRetries = 24 * 60 * 60
	routePing      = 5 * time.Second
	routePingsOut  = 2
)

// options checks the configuration and makes the server's options of it. The
// error names every fault.
func (c Config) options() (*server.Options, error) {
	opts := &server.Options{
		NoLog:      true, // see SetLogger
		NoSigs:     true,
		MaxPayload: server.MAX_PAYLOAD_SIZE,
	}
	if c.ClusterListen == "" {
		if len(c.Routes) > 0 {
			return nil, fmt.Errorf("%w: routes %q without an address to listen at for routes", ErrConfig, c.Routes)
		}
		opts.DontListen = true
		return opts, nil
	}
	var faults []error
	host, port, err := splitAddress(c.ClusterListen)
	if err != nil {
		faults = append(faults, fmt.Errorf("%w: cluster listen address %q: %w", ErrConfig, c.ClusterListen, err))
	}
	if host == "" {
		host = "0.0.0.0"
	}
	if port == 0 {
		port = server.RANDOM_PORT // 0 would be no cluster
	}
	opts.Host, opts.Port = "127.0.0.1", server.RANDOM_PORT
	opts.Cluster = server.ClusterOpts{
		Name:           clusterName,
		Host:           host,
		Port:           port,
		NoAdvertise:    true, // of client ports, which are on loopback
		ConnectRetries: heardOfRetries,
		PingInterval:   routePing,
		MaxPingsOut:    routePingsOut,
	}
	for _, route := range c.Routes {
		u, err := parseRoute(route)
		if err != nil {
			faults = append(faults, fmt.Errorf("%w: route %q: %w", ErrConfig, mask(route), err))
			continue
		}
		opts.Routes = append(opts.Routes, u)
	}
	return opts, errors.Join(faults...)
}

// parseRoute reads host:port or nats://host:port.
func parseRoute(route string) (*url.URL, error) {
	address := route
	if scheme, rest, ok := strings.Cut(route, "://"); ok {
		if scheme != "nats" && scheme != "nats-route" {
			return nil, fmt.Errorf("unknown scheme %q, must be nats", scheme)
		}
		address = rest
	}
	host, port, err := splitAddress(address)
	switch {
	case err != nil:
		return nil, err
	case host == "":
		return nil, errors.New("no host")
	case port == 0:
		return nil, errors.New("port must not be 0")
	}
	return &url.URL{Scheme: "nats-route", Host: net.JoinHostPort(host, strconv.Itoa(port))}, nil
}

func splitAddress(address string) (host string, port int, err error) {
	host, portText, err := net.SplitHostPort(address)
	if err != nil {
		var addrErr *net.AddrError
		if errors.As(err, &addrErr) {
			return "", 0, fmt.Errorf("%s, must be host:port", addrErr.Err)
		}
		return "", 0, err
	}
	if strings.ContainsAny(host, "@/ ?#") {
		return "", 0, fmt.Errorf("invalid host %q", mask(host))
	}
	n, err := strconv.ParseUint(portText, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("invalid port %q, must be 0 to 65535", portText)
	}
	return host, int(n), nil
}

// mask hides what stands before the "@" of a URL, which may be a password.
func mask(s string) string {
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return s
	}
	scheme := ""
	if before, _, ok := strings.Cut(s[:at], "://"); ok {
		scheme = before + "://"
	}
	return scheme + "***" + s[at:]
}
