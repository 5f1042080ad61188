package natsd

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/nats-io/nats.go"

	"github.com/rollcall-go/rollcall/transport/natsbus"
)

// ErrDial: Dial found no server to talk to.
var ErrDial = errors.New("natsd: cannot connect to NATS")

// Dial connects to servers that run elsewhere, with natsbus.Options followed by
// opts: urls is one URL or several of one cluster, separated by commas, such as
// "nats://user:password@host:4222"; the schemes are nats, tls, ws and wss. One
// of them must answer, within 2 s each. The error names the URL, without
// password.
func Dial(urls string, opts ...nats.Option) (*nats.Conn, error) {
	var shown []string
	for u := range strings.SplitSeq(urls, ",") {
		u = strings.TrimSpace(u)
		if err := checkURL(u); err != nil {
			return nil, fmt.Errorf("%w: URL %q: %w", ErrConfig, mask(u), err)
		}
		shown = append(shown, mask(u))
	}
	nc, err := nats.Connect(urls, append(natsbus.Options(), opts...)...)
	if err != nil {
		return nil, fmt.Errorf("%w at %s: %w", ErrDial, strings.Join(shown, ", "), withoutURL(err))
	}
	return nc, nil
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return withoutURL(err)
	}
	switch u.Scheme {
	case "nats", "tls", "ws", "wss":
	default:
		return fmt.Errorf("unknown scheme %q, must be nats, tls, ws or wss, as in nats://host:4222", u.Scheme)
	}
	if u.Hostname() == "" {
		return errors.New("no host")
	}
	return nil
}

// withoutURL takes the URL, which may hold a password, from an error about it.
func withoutURL(err error) error {
	var urlErr *url.Error
	if errors.As(err, &urlErr) {
		return urlErr.Err
	}
	return err
}
