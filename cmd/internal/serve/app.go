package serve

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/longpoll"
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
	Socket websocket.Config
	// Polling are options for longpoll.New: the same of origins, and the bus where
	// there may be other replicas. Then Mount needs a Polling.Secret, which is the
	// app's to set, the same on all replicas.
	Polling longpoll.Config
	// Authenticated is to be set by an app that lets in only clients who can
	// prove something. Otherwise a warning is logged.
	Authenticated bool

	closers []func(context.Context) error
}

// OnClose has f called when the replica shuts down, after the endpoint has been
// closed and before the tracker is. Of several the last is called first. f must
// return when its context ends. Call it in Build.
func (e *Env) OnClose(f func(context.Context) error) { e.closers = append(e.closers, f) }

// Mount makes the transports of a handler, closed with the replica, for the app
// to serve below path: WebSocket at path+"/websocket", and long polling at
// path+"/longpoll". Without a secret in a cluster there is no long polling, for
// its clients may reach any replica with any request; a warning says so, with
// remedy, which names the flag that is missing.
func (e *Env) Mount(path string, h channel.Handler, remedy string) (http.Handler, error) {
	handler, err := channel.NewHandler(h)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	socket, err := websocket.New(e.Endpoint, handler, e.Socket)
	if err != nil {
		return nil, err
	}
	e.OnClose(socket.Close)
	mux.Handle(path+"/websocket", socket)
	if e.Polling.Bus != nil && e.Polling.Secret == nil {
		e.Logger.Warn("long polling is off: replicas need a secret in common for it", "path", path+"/longpoll", "remedy", remedy)
		return mux, nil
	}
	polling, err := longpoll.New(e.Endpoint, handler, e.Polling)
	if err != nil {
		return nil, err
	}
	e.OnClose(polling.Close)
	mux.Handle(path+"/longpoll", polling)
	return mux, nil
}

// A UsageError is about how the command was called. Run returns 2 for one.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

func usagef(format string, args ...any) error { return &UsageError{fmt.Errorf(format, args...)} }
