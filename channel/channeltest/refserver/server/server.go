package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/rollcall-go/rollcall/bus"
	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/longpoll"
	"github.com/rollcall-go/rollcall/transport/membus"
	"github.com/rollcall-go/rollcall/transport/origin"
	"github.com/rollcall-go/rollcall/transport/websocket"
)

// Config is what a [Server] is started with. The zero value serves.
type Config struct {
	// Logger gets what happens. Nil: nothing is logged.
	Logger *slog.Logger
}

// A Server is the reference server: an http.Handler that may be served by any
// number of goroutines.
type Server struct {
	// static after Start
	endpoint   *channel.Endpoint
	tracker    *presence.Tracker
	transports []transport
	mux        *http.ServeMux
}

// transport is one way into a socket.
type transport interface {
	http.Handler
	Close(ctx context.Context) error
}

// unlimited is the rate of joins: the reference has no limit.
const unlimited = 1_000_000

// Start starts a server of one replica. ctx bounds the start only.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	b := membus.New().Bus()
	tracker, err := presence.Start(ctx, presence.Config{Name: "refserver", Bus: b, Logger: cfg.Logger})
	if err != nil {
		return nil, fmt.Errorf("refserver: %w", err)
	}
	s := &Server{tracker: tracker, mux: http.NewServeMux()}
	if err := s.start(cfg, b); err != nil {
		return nil, errors.Join(fmt.Errorf("refserver: %w", err), s.Close(ctx))
	}
	return s, nil
}

func (s *Server) start(cfg Config, b bus.Bus) (err error) {
	s.endpoint, err = channel.New(channel.Config{
		Bus: b, Presence: s.tracker, Logger: cfg.Logger,
		JoinRate: unlimited, JoinBurst: unlimited,
	})
	if err != nil {
		return err
	}
	for _, socket := range []struct {
		path     string
		connect  func(ctx context.Context, c *channel.ConnectRequest) error
		ws       websocket.Config
		longpoll longpoll.Config
	}{
		{"/socket", connect, websocket.Config{CheckOrigin: origin.Any()}, longpoll.Config{CheckOrigin: origin.Any()}},
		{
			"/short", connect,
			websocket.Config{CheckOrigin: origin.Any(), IdleTimeout: 2 * time.Second, MaxFrame: 64 << 10},
			longpoll.Config{CheckOrigin: origin.Any(), Window: 2 * time.Second, TokenAge: 3 * time.Second},
		},
		{"/origin", connect, websocket.Config{CheckOrigin: origin.List("//localhost")}, longpoll.Config{CheckOrigin: origin.List("//localhost")}},
		{"/auth", connectWithToken, websocket.Config{CheckOrigin: origin.Any()}, longpoll.Config{CheckOrigin: origin.Any()}},
	} {
		handler, err := channel.NewHandler(channel.Handler{Connect: socket.connect, Routes: routes})
		if err != nil {
			return err
		}
		socket.ws.Logger, socket.longpoll.Logger = cfg.Logger, cfg.Logger
		ws, err := websocket.New(s.endpoint, handler, socket.ws)
		if err != nil {
			return err
		}
		s.transports = append(s.transports, ws)
		s.mux.Handle(socket.path+"/websocket", ws)
		lp, err := longpoll.New(s.endpoint, handler, socket.longpoll)
		if err != nil {
			return err
		}
		s.transports = append(s.transports, lp)
		s.mux.Handle(socket.path+"/longpoll", lp)
	}
	s.mux.HandleFunc("GET /broadcast", s.broadcast)
	return nil
}

// ServeHTTP serves one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

// Close closes all connections with 1012 and waits until everything has ended,
// or until ctx has.
func (s *Server) Close(ctx context.Context) error {
	var errs []error
	if s.endpoint != nil {
		errs = append(errs, s.endpoint.Drain(ctx))
		for _, transport := range s.transports {
			errs = append(errs, transport.Close(ctx))
		}
		errs = append(errs, s.endpoint.Close(ctx))
	}
	return errors.Join(append(errs, s.tracker.Close(ctx))...)
}

// broadcast sends an event from outside of any channel: the params topic and
// event say what, all others are its payload.
func (s *Server) broadcast(w http.ResponseWriter, r *http.Request) {
	payload := map[string]any{}
	query := r.URL.Query()
	for name, values := range query {
		if name != "topic" && name != "event" {
			payload[name] = values[len(values)-1]
		}
	}
	if err := s.endpoint.Broadcast(query.Get("topic"), query.Get("event"), payload); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprint(w, "ok")
}

var errNoUser = errors.New("no user")

func connect(_ context.Context, r *channel.ConnectRequest) error {
	return admit(r.Conn, r.Params.String("user"))
}

func connectWithToken(_ context.Context, r *channel.ConnectRequest) error {
	if token := r.Info.AuthToken; token != "" {
		return admit(r.Conn, token)
	}
	return admit(r.Conn, r.Params.String("user"))
}

func admit(c *channel.Conn, user string) error {
	switch user {
	case "":
		return errNoUser
	case "ratelimited":
		return &channel.ConnectError{Status: http.StatusTooManyRequests, Body: "Too many requests"}
	}
	c.Assign("user", user)
	c.SetID("users:" + user)
	return nil
}

var routes = []channel.Route{
	{Pattern: "echo:*", New: func() channel.Channel { return echo{} }},
	{Pattern: "room:*", New: func() channel.Channel { return &room{} }},
	{Pattern: "party:*", New: func() channel.Channel { return &party{} }},
	{Pattern: "bench:*", New: func() channel.Channel { return bench{} }},
}

// user is whose connection it is.
func user(s *channel.Socket) string { return s.Value("user").(string) }

// must ends the channel when something fails, as the reference's code does.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// afterJoin is what a channel sends to itself in Join.
type afterJoin struct{}
