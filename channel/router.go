package channel

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/rollcall-go/rollcall/channel/internal/fastlane"
	"github.com/rollcall-go/rollcall/channel/wire"
	"github.com/rollcall-go/rollcall/presence"
)

// A Handler is what one mounted socket ("/socket") does: who may connect, and
// which topics reach which channel. [NewHandler] makes one of it that can be used.
type Handler struct {
	// Name is what the handler is called in logs.
	Name string
	// Log is the level at which connections are logged, accepted or refused, such as
	// slog.LevelDebug or [LogNever]. Default info.
	Log slog.Leveler
	// Connect admits a connection, and may give it an id and assigns. An error
	// refuses it with 403; a *ConnectError chooses the answer. Nil admits
	// everybody. It is called concurrently.
	Connect func(ctx context.Context, r *ConnectRequest) error
	// Routes are tried in order; the first that matches wins.
	Routes []Route
	// Protocols are wire protocols that the application serves itself (row B043), by
	// version, "major.minor": "3.1" is for clients whose vsn is 3.1.0 or 3.1.7. They come
	// before Phoenix's, which have the versions 2.0 and 1.0. A protocol must be
	// comparable, as a pointer is: clients of all handlers that name an equal one are
	// sent the same frames of a broadcast. Transports that are to serve different
	// protocols are given handlers of their own.
	Protocols map[string]wire.Protocol
	// MaxChannels is how many channels one connection may have joined, or [NoLimit]; a
	// client over it is answered "too many channels joined". Default
	// Config.MaxChannels.
	MaxChannels int

	// Of NewHandler.
	checked   bool
	protocols map[string]*fastlane.Served // Phoenix's too
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
	// Presence says how much of a topic's presence this route's clients are shown.
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
	LogJoin, LogHandleIn slog.Leveler
	// Assigns are values that [Socket.Value] finds before those of the
	// connection.
	Assigns map[string]any
}

// NewHandler checks a handler and returns a copy of it. The error names every
// fault of its routes and protocols.
func NewHandler(h Handler) (*Handler, error) {
	h.Routes, h.Protocols = slices.Clone(h.Routes), maps.Clone(h.Protocols)
	var err error
	if h.protocols, err = h.check(); err != nil {
		return nil, err
	}
	h.checked = true
	return &h, nil
}

// errUnchecked refuses the connections of a handler that nothing has checked.
var errUnchecked = errors.New("channel: the Handler was not made by NewHandler")

// check returns the protocols of a handler, or its faults.
func (h *Handler) check() (map[string]*fastlane.Served, error) {
	protocols := map[string]*fastlane.Served{}
	for _, ours := range fastlane.Phoenix() {
		protocols[ours.Version] = ours
	}
	errs := []error{h.checkRoutes()}
	switch {
	case h.MaxChannels == NoLimit:
		h.MaxChannels = math.MaxInt32
	case h.MaxChannels < 0:
		errs = append(errs, fmt.Errorf("channel: Handler.MaxChannels is %d, must not be negative", h.MaxChannels))
	}
	for _, version := range slices.Sorted(maps.Keys(h.Protocols)) {
		s, err := fastlane.Serve(version, h.Protocols[version])
		if err != nil {
			errs = append(errs, fmt.Errorf("channel: protocol %q: %w", version, err))
		}
		protocols[version] = s
	}
	return protocols, errors.Join(errs...)
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

// routes reports whether a topic has a route.
func (h *Handler) routes(topic string) bool { return h.route(topic) != nil }

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

// defaultVsn is the version of a client without vsn.
const defaultVsn = "1.0.0"

// negotiate finds the protocol of a version (rows B004, B005).
func (h *Handler) negotiate(vsn string) (*fastlane.Served, error) {
	if !fastlane.ValidVersion(vsn, 3) {
		return nil, fmt.Errorf("%w: %q: not of the form x.y.z", wire.ErrVersion, vsn)
	}
	s := h.protocols[vsn[:strings.LastIndexByte(vsn, '.')]]
	if s == nil {
		return nil, fmt.Errorf("%w: %q", wire.ErrVersion, vsn)
	}
	return s, nil
}

// A PresenceView says how much of a topic's presence the clients of a route are shown.
type PresenceView uint8

const (
	// PresenceFull: presence_state when a channel pushes the state, and
	// presence_diff for what changes, as in Phoenix.
	PresenceFull PresenceView = iota
	// PresenceCounts: how many, and not who: the event presence_count with
	// {"keys": 2, "sessions": 3}, that is so many users, in so many tabs. It is
	// pushed in place of presence_state, and sent whenever a number has changed,
	// in the same windows as presence_diff: the newest counts, one frame for all.
	// Fetch is not called.
	PresenceCounts
	// PresenceNone: nothing. Channels can track, and PushPresenceState does
	// nothing; a replica does not follow the topic for them.
	PresenceNone
)

const (
	eventPresenceState = "presence_state"
	eventPresenceDiff  = "presence_diff"
	eventPresenceCount = "presence_count"
)
