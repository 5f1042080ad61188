package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/cmd/internal/serve"
)

const synopsis = `Usage: rollcall serve [flags]

Runs a replica of the presence service. Clients connect to /socket, by WebSocket
or long polling, and join any "room:..." topic. GET /healthz tells how the
replica is.`

// service is what "rollcall serve" serves.
type service struct {
	lookupEnv func(string) (string, bool)
	flags     secretFlags
	secret    *secret // nil: everybody may connect
	// broadcastRate is how many broadcasts a second a client may send in a room.
	broadcastRate int
}

const (
	defaultBroadcastRate = 100
	maxBroadcastRate     = 1_000_000
)

func newService(lookupEnv func(string) (string, bool)) *service {
	return &service{lookupEnv: lookupEnv, broadcastRate: defaultBroadcastRate}
}

func (s *service) app() serve.App {
	return serve.App{
		Name:     "rollcall",
		Synopsis: synopsis,
		Flags: func(fs *flag.FlagSet) {
			s.flags.register(fs)
			fs.IntVar(&s.broadcastRate, "broadcast-rate", s.broadcastRate, "`number` of broadcasts a second that one client may send in a room, and twice as many at once after a pause; more are refused")
		},
		Check: s.check,
		Build: s.build,
	}
}

// check tells all that is wrong with the flags.
func (s *service) check() (err error) {
	s.secret, err = s.flags.load(s.lookupEnv)
	if s.broadcastRate < 1 || s.broadcastRate > maxBroadcastRate {
		err = errors.Join(err, fmt.Errorf("--broadcast-rate %d: must be 1 to %d", s.broadcastRate, maxBroadcastRate))
	}
	return err
}

func (s *service) build(env *serve.Env) (http.Handler, error) {
	env.Authenticated = s.secret != nil
	if s.secret != nil {
		env.Polling.Secret = s.secret.hash[:]
	}
	socket, err := env.Mount("/socket", s.handler(), "give all of them the same --secret-file, --secret or "+secretVariable)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/socket/", socket)
	return mux, nil
}

func (s *service) handler() channel.Handler {
	return channel.Handler{
		Name:    "rollcall",
		Connect: s.connect,
		Routes:  []channel.Route{{Pattern: "room:*", New: func() channel.Channel { return &room{broadcastRate: s.broadcastRate} }}},
	}
}

// connect lets in who knows the secret, if there is one.
func (s *service) connect(_ context.Context, r *channel.ConnectRequest) error {
	if s.secret == nil || s.secret.is(r.Params.String("secret")) || s.secret.is(r.Info.AuthToken) {
		return nil
	}
	return errSecret
}
