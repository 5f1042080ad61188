package serve

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/websocket"
)

// An App is a command's part of a replica.
type App struct {
	// Name begins every line that the command prints: "rollcall".
	Name string
	// Synopsis is the first lines of its help: how it is called, and what it
	// does.
	Synopsis string
	// Flags adds the app's own flags to those of this package. May be nil.
	Flags func(*flag.FlagSet)
	// Check is called after the flags were parsed, before anything is started.
	// Its error is about them. May be nil.
	Check func() error
	// Build makes what is served. It is called once, when all of env stands.
	Build func(env *Env) (http.Handler, error)
}

// Env is what an app is built on. It is the app's until it is told to close.
type Env struct {
	// Replica is the replica's name.
	Replica  string
	Endpoint *channel.Endpoint
	Tracker  *presence.Tracker
	Logger   *slog.Logger
	// Socket are options for websocket.New: what the flags say about origins.
	Socket websocket.Options
	// Authenticated is to be set by an app that lets in only clients who can
	// prove something. Otherwise a warning is logged.
	Authenticated bool

	closers []func(context.Context) error
}

// OnClose has f called when the replica shuts down, after the endpoint has been
// closed and before the tracker is. Of several the last is called first. f must
// return when its context ends. Call it in Build.
func (e *Env) OnClose(f func(context.Context) error) { e.closers = append(e.closers, f) }

// Mount makes the WebSocket transport of a handler, closed with the replica. Its
// error names the flag at fault.
func (e *Env) Mount(h channel.Handler) (http.Handler, error) {
	handler, err := channel.NewHandler(h)
	if err != nil {
		return nil, err
	}
	transport, err := websocket.New(e.Endpoint, handler, e.Socket)
	if err != nil {
		return nil, err
	}
	e.OnClose(transport.Close)
	return transport, nil
}

// A UsageError is about how the command was called. Run returns 2 for one.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

func usagef(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }
