package httptransport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/channel/wire"
)

// A Connect asks an endpoint whether a client may connect. S is what the
// transport knows a *channel.Conn by. The error is a *channel.ConnectError, of
// which the endpoint has told.
type Connect[S any] func(context.Context, wire.ConnectInfo) (S, error)

// NewConnect asks endpoint on behalf of handler. The error names what is missing
// and the faults of the options, after the name of the transport.
func NewConnect[S any](transport string, endpoint *channel.Endpoint, handler *channel.Handler, options error, as func(*channel.Conn) S) (Connect[S], error) {
	var faults []error
	if endpoint == nil {
		faults = append(faults, errors.New("endpoint is nil"))
	}
	if handler == nil {
		faults = append(faults, errors.New("handler is nil"))
	}
	if err := errors.Join(append(faults, options)...); err != nil {
		return nil, fmt.Errorf("%s: %w", transport, err)
	}
	return func(ctx context.Context, info wire.ConnectInfo) (s S, err error) {
		c, err := endpoint.Connect(ctx, handler, info)
		if err != nil {
			return s, err // a nil c would be an S that is not nil
		}
		return as(c), nil
	}, nil
}

// A Session is the option of that name: what it returns is ConnectInfo.Session.
type Session func(*http.Request) (any, error)

// A Door is where clients of a transport come in. Its fields are static.
type Door[S any] struct {
	Transport string
	Session   Session // may be nil
	Connect   Connect[S]
	Reject    func(wire.Rejection)
	Logger    *slog.Logger
}

// Ask asks for the session of the client that sent r, then whether it may
// connect. A panic of the application is contained. The error, which has been
// told, is a *channel.ConnectError or has one in it where the answer was chosen.
func (d *Door[S]) Ask(r *http.Request, info wire.ConnectInfo) (s S, err error) {
	if d.Session != nil {
		if info.Session, err = d.session(r); err != nil {
			d.Reject(wire.Rejection{Cause: wire.CauseSession, Transport: d.Transport, Remote: r.RemoteAddr, Code: status(err), Err: err})
			return s, err
		}
	}
	defer d.contain("connect", &err)
	return d.Connect(r.Context(), info)
}

func (d *Door[S]) session(r *http.Request) (_ any, err error) {
	defer d.contain("session", &err)
	return d.Session(r)
}

// contain makes an error of a panic.
func (d *Door[S]) contain(doing string, err *error) {
	if p := recover(); p != nil {
		d.Logger.Error(d.Transport+": panic", "doing", doing, "panic", p, "stack", string(debug.Stack()))
		*err = &channel.ConnectError{Status: http.StatusInternalServerError, Err: fmt.Errorf("panic in %s", doing)}
	}
}

// status is what a refusal is answered with where the transport can choose.
func status(err error) int {
	if chosen := (*channel.ConnectError)(nil); errors.As(err, &chosen) && chosen.Status != 0 {
		return chosen.Status
	}
	return http.StatusForbidden
}
