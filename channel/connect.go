package channel

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"golang.org/x/time/rate"

	"github.com/rollcall-go/rollcall/channel/wire"
)

// A ConnectRequest is a client that asks to connect: what a [Handler]'s Connect is
// given. It is not kept beyond that call and the hooks that are told of it; what
// channels need of it, Connect assigns to the connection or puts in Context.
type ConnectRequest struct {
	// Conn is the connection that will begin if Connect accepts it.
	*Conn
	// Params are the parameters that the client connected with.
	Params Params
	// Info is what the transport knows of the client.
	Info wire.ConnectInfo
	// Context has the values that [Socket.Context] is to carry: Connect may set it to a
	// context made from its own. Only its values are kept, not its cancellation or
	// deadline. Nil: none.
	Context context.Context
}

// Connect negotiates the protocol and asks the handler. It comes before the
// transport accepts the client; nothing is registered yet. ctx is the
// handler's. The error is always a *ConnectError.
func (e *Endpoint) Connect(ctx context.Context, h *Handler, info wire.ConnectInfo) (*Conn, error) {
	began := e.telemetry.connectBegan(h, info)
	r, asked, err := e.connect(ctx, h, info)
	if err != nil {
		err = asRefusal(err)
	}
	switch {
	case !asked:
		e.Reject(wire.Rejection{
			Cause: connectCause(err), Transport: info.Transport, Remote: addrString(info.RemoteAddr),
			Code: err.(*ConnectError).Status, Err: err,
		})
	case !began.IsZero():
		e.telemetry.connect(ConnectEvent{
			Endpoint: e, Handler: h, Request: r, Protocol: r.protocol.Version, Duration: e.telemetry.since(began), Err: err,
		})
	}
	if err != nil {
		return nil, err
	}
	return r.Conn, nil
}

// connectCause is why a connection was refused before the handler was asked.
func connectCause(err error) wire.Cause {
	switch {
	case errors.Is(err, wire.ErrVersion):
		return wire.CauseVersion
	case errors.Is(err, ErrClosed):
		return wire.CauseDraining
	}
	return wire.CauseFault
}

// asRefusal makes a *ConnectError of what refused a connection (B006, B007).
func asRefusal(err error) *ConnectError {
	refusal := &ConnectError{Err: err}
	if answer := (*ConnectError)(nil); errors.As(err, &answer) {
		*refusal = *answer
	}
	if refusal.Status == 0 {
		refusal.Status = statusForbidden
	}
	return refusal
}

// HTTP statuses; net/http is for the transports to import.
const (
	statusForbidden   = 403
	statusInternal    = 500
	statusUnavailable = 503
)

// connect makes a connection; asked reports whether the handler was asked.
func (e *Endpoint) connect(ctx context.Context, h *Handler, info wire.ConnectInfo) (r *ConnectRequest, asked bool, err error) {
	if e.isDraining() {
		return nil, false, &ConnectError{Status: statusUnavailable, Err: ErrClosed}
	}
	if !h.checked {
		return nil, false, &ConnectError{Status: statusInternal, Err: errUnchecked}
	}
	params := decodeParams(info.Params)
	if info.Vsn == "" {
		switch vsn := params["vsn"].(type) {
		case nil:
			info.Vsn = defaultVsn
		case string:
			info.Vsn = strings.Clone(vsn) // not a part of the URI
		default: // vsn[]=2.0.0
			return nil, false, fmt.Errorf("%w: vsn is not a string", wire.ErrVersion)
		}
	}
	c := &Conn{
		endpoint:  e,
		handler:   h,
		transport: info.Transport,
		vsn:       info.Vsn,
		remote:    info.RemoteAddr,
	}
	c.session = *wire.NewSession(&e.limits, cmp.Or(h.MaxChannels, e.config.MaxChannels), h.routes)
	c.messages = rate.NewLimiter(rate.Limit(e.config.MessageRate), e.config.MessageBurst)
	c.messages.AllowN(time.Now(), e.config.MessageBurst-e.config.MessageStart)
	if c.protocol, err = h.negotiate(c.vsn); err != nil {
		return nil, false, err
	}
	r = &ConnectRequest{Conn: c, Params: params, Info: info}
	return r, true, r.ask(ctx)
}

// ask asks the handler.
func (r *ConnectRequest) ask(ctx context.Context) (err error) {
	if r.handler.Connect == nil {
		return nil
	}
	defer func() {
		if v := recover(); v != nil {
			r.endpoint.logPanic("Connect", v)
			err = fmt.Errorf("panic in Connect: %v", v)
		}
	}()
	if err := r.handler.Connect(ctx, r); err != nil {
		return err
	}
	if r.Context != nil {
		r.mu.Lock()
		r.addExtra().values = context.WithoutCancel(r.Context)
		r.mu.Unlock()
	}
	if id := r.ID(); id != "" {
		if err := wire.CheckTopic(id); err != nil {
			return fmt.Errorf("id: %w", err)
		}
	}
	return nil
}

func addrString(addr net.Addr) string {
	if addr == nil {
		return ""
	}
	return addr.String()
}
