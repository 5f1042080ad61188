package channel

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/rollcall-go/rollcall/presence"
)

// A Handler is what one mounted socket ("/socket") does: who may connect, and
// which topics reach which channel. It must not be changed once it is used.
type Handler struct {
	// Connect admits a connection, and may give it an id and assigns. An error
	// refuses it with 403; a *ConnectError chooses the answer. Nil admits
	// everybody. It is called concurrently.
	Connect func(ctx context.Context, c *Conn) error
	// Routes are tried in order; the first that matches wins.
	Routes []Route

	checked bool
}

// A Route leads the topics of a pattern to a kind of channel.
type Route struct {
	// Pattern is a topic, or the beginning of one followed by "*".
	Pattern string
	// New makes the channel of one join.
	New func() Channel
	// Fetch enriches or masks the presences that this route's clients see in
	// presence_state and presence_diff. It is called once for each state and
	// each side of a diff, not once per client, and one call at a time for a
	// topic. It must not change list or what it holds, and must keep the keys
	// and the Refs. Where it panics the clients see empty metas, never those that
	// it is there to mask. ctx ends after Config.FetchTimeout; a Fetch that does
	// not return holds up the presence frames of its topic and route, and nothing
	// else.
	Fetch func(ctx context.Context, topic string, list []presence.Presence) []presence.Presence
	// PushState sends presence_state after every join, without a call of
	// [Socket.PushPresenceState].
	PushState bool
	// Assigns are values that [Socket.Value] finds before those of the
	// connection.
	Assigns map[string]any
}

// NewHandler checks a handler and returns a copy of it. The error names every
// fault of its routes.
func NewHandler(h Handler) (*Handler, error) {
	h.Routes = append([]Route(nil), h.Routes...)
	if err := h.check(); err != nil {
		return nil, err
	}
	h.checked = true
	return &h, nil
}

func (h *Handler) check() error {
	if h.checked {
		return nil
	}
	var errs []error
	seen := map[string]int{}
	for i, r := range h.Routes {
		fault := func(format string, args ...any) {
			errs = append(errs, fmt.Errorf("channel: route %d (%q): %s", i, r.Pattern, fmt.Sprintf(format, args...)))
		}
		star := strings.IndexByte(r.Pattern, '*')
		switch first, dup := seen[r.Pattern]; {
		case r.Pattern == "":
			fault("the pattern is empty")
		case star >= 0 && star != len(r.Pattern)-1:
			fault("* may stand only at the end of a pattern")
		case dup:
			fault("never reached: route %d has the same pattern", first)
		default:
			seen[r.Pattern] = i
		}
		if r.New == nil {
			fault("New is nil")
		}
	}
	return errors.Join(errs...)
}

// route finds the route of a topic, nil if there is none.
func (h *Handler) route(topic string) *Route {
	for i := range h.Routes {
		if matches(h.Routes[i].Pattern, topic) {
			return &h.Routes[i]
		}
	}
	return nil
}

func matches(pattern, topic string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(topic, prefix)
	}
	return pattern == topic
}
