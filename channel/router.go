package channel

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-go/rollcall/presence"
)

// A Handler is what one mounted socket ("/socket") does: who may connect, and
// which topics reach which channel. It must not be changed once it is used.
type Handler struct {
	// Name is what the handler is called in logs.
	Name string
	// Log is the level at which connections are logged, accepted or refused.
	// Default info.
	Log LogLevel
	// Connect admits a connection, and may give it an id and assigns. An error
	// refuses it with 403; a *ConnectError chooses the answer. Nil admits
	// everybody. It is called concurrently.
	Connect func(ctx context.Context, c *Conn) error
	// Routes are tried in order; the first that matches wins.
	Routes []Route
	// Serializers are versions of the protocol that the application serves
	// itself. They are tried in order, before those of this package ([V2] and
	// [V1]), which serve the versions that none of them does. Transports that are
	// to serve different versions are given handlers of their own.
	Serializers []ServedVersion
	// MaxChannels is how many channels one connection may have joined; a client
	// over it is answered "too many channels joined". Default
	// Config.MaxChannels.
	MaxChannels int

	// Of NewHandler.
	checked  bool
	dialects []*dialect // of Serializers
}

// A Route leads the topics of a pattern to a kind of channel.
type Route struct {
	// Pattern is a topic, or the beginning of one followed by "*".
	Pattern string
	// New makes the channel of one join.
	New func() Channel
	// Fetch enriches or masks what this route's clients see in presence_state
	// and presence_diff: it may replace the Data of metas and set the Fields of
	// presences. It is called once for a state and once for a diff (a key in
	// both of its sides has the metas of its leave, then those of its join), for
	// all clients, with the keys in order. It must not change list or what
	// it holds, and must return the same keys and Refs in the same order; never
	// what is hidden ([presence.Hidden]), which it is not given.
	//
	// There is one call at a time for a topic and route, and Config.MaxFetches
	// in all; other topics do not wait. Where it fails, panics, or has not
	// returned after Config.FetchTimeout, which is also ctx's deadline, that is
	// logged and counted, and clients see empty metas, never those that it may be
	// there to mask. The next state or diff tries again.
	Fetch func(ctx context.Context, topic string, list []presence.Presence) ([]presence.Presence, error)
	// FetchOnlyAdds: Fetch masks nothing, so that where it fails clients may see
	// the metas as they were tracked.
	FetchOnlyAdds bool
	// Presence is what this route's clients are shown of who is present.
	Presence PresenceView
	// DiffWindow is how long changes are merged into one presence_diff, or
	// presence_count. By default, 0, that adapts to the size of the room, the rate of
	// changes and the load, and is half a second at most; see Presence in the package
	// documentation. A positive value is fixed: the first change of a topic that was
	// quiet for DiffWindow is sent at once, and those after it together, DiffWindow
	// later. Then there is one diff in each DiffWindow, whatever that costs; only a state
	// that a client asks for may have changes sent earlier.
	DiffWindow time.Duration
	// LeaveGrace is how long the presences of a channel whose connection was lost
	// stay: a page that is refreshed, a tunnel. Default 0: none. Whoever tracks
	// the same key in the same topic within it takes the presence over, which is
	// one update and no leave; on another replica it is a join, then a leave of
	// the old one. A phx_leave, a stop, a crash, a disconnect by id and a drain
	// are no loss: then presences leave at once. See Config.MaxGraces.
	LeaveGrace time.Duration
	// NewMetas makes the handler that follows the presences of a topic on this
	// replica, whoever they are of: when the first channel of this route joins
	// it; the handler is dropped, with its state, when the last one is gone. No
	// call begins after that.
	NewMetas func(e *Endpoint, topic string) MetasHandler
	// PushState sends presence_state after every join, without a call of
	// [Socket.PushPresenceState].
	PushState bool
	// LogJoin and LogHandleIn are the levels at which joins and messages are
	// logged. Default info and debug.
	LogJoin, LogHandleIn LogLevel
	// Assigns are values that [Socket.Value] finds before those of the
	// connection.
	Assigns map[string]any
}

// NewHandler checks a handler and returns a copy of it. The error names every
// fault of its routes and serializers.
func NewHandler(h Handler) (*Handler, error) {
	h.checked = false
	h.Routes, h.Serializers = slices.Clone(h.Routes), slices.Clone(h.Serializers)
	var err error
	if h.dialects, err = h.check(); err != nil {
		return nil, err
	}
	h.checked = true
	return &h, nil
}

// check names the faults of a handler, and returns what its serializers are.
func (h *Handler) check() ([]*dialect, error) {
	if h.checked {
		return h.dialects, nil
	}
	var own []*dialect
	errs := []error{h.checkRoutes()}
	if h.MaxChannels < 0 {
		errs = append(errs, fmt.Errorf("channel: Handler.MaxChannels is %d, must not be negative", h.MaxChannels))
	}
	for i, s := range h.Serializers {
		d, err := newDialect(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("channel: serializer %d (%q): %w", i, s.Requirement, err))
		}
		own = append(own, d)
	}
	return own, errors.Join(errs...)
}

func (h *Handler) checkRoutes() error {
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
		if r.Presence > PresenceNone {
			fault("Presence is none of the views")
		}
		if r.DiffWindow < 0 {
			fault("DiffWindow is %v, must not be negative", r.DiffWindow)
		}
		if r.LeaveGrace < 0 {
			fault("LeaveGrace is %v, must not be negative", r.LeaveGrace)
		}
		if r.FetchOnlyAdds && r.Fetch == nil {
			fault("FetchOnlyAdds without Fetch")
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
