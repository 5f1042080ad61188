package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/websocket"
)

// app is the pointing party on one replica: what it serves over HTTP, and the
// rooms behind.
type app struct {
	// Static.
	deck   Deck
	logger *slog.Logger
	rooms  *rooms

	http     http.Handler
	socket   *websocket.Transport
	channels *channel.Handler
}

// newApp makes the app over an endpoint and its tracker, which stay the caller's.
// site has the page's files; see [newSite]. socket says which pages may connect.
// Close the endpoint first, then the app.
func newApp(endpoint *channel.Endpoint, tracker *presence.Tracker, deck Deck, site *site, socket websocket.Config, logger *slog.Logger) (*app, error) {
	if len(deck) == 0 {
		return nil, errors.New("pointingparty: the deck has no cards")
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	a := &app{
		deck:   deck,
		logger: logger,
		rooms:  &rooms{endpoint: endpoint, tracker: tracker, logger: logger, byTopic: make(map[string]*room)},
	}
	var err error
	if a.channels, err = channel.NewHandler(a.handler()); err != nil {
		return nil, err
	}
	if socket.Logger == nil {
		socket.Logger = logger
	}
	if a.socket, err = websocket.New(endpoint, a.channels, socket); err != nil {
		return nil, fmt.Errorf("pointingparty: %w", err)
	}
	a.http = routes(site, a.socket)
	return a, nil
}

// handler is what is mounted at /socket: everybody may connect, and join any
// room.
func (a *app) handler() channel.Handler {
	return channel.Handler{
		Name: "pointingparty",
		Connect: func(_ context.Context, r *channel.ConnectRequest) error {
			if name := r.Params.String("name"); name != "" {
				r.Assign(assignName, name)
			}
			return nil
		},
		Routes: []channel.Route{{
			Pattern: topicPrefix + "*",
			New:     func() channel.Channel { return &member{app: a} },
			Fetch:   mask,
		}},
	}
}

// newTab names a tab: 64 random bits.
func (a *app) newTab() string { return rand.Text()[:13] }

// Close ends the rooms. The endpoint must have been closed before.
func (a *app) Close(ctx context.Context) error {
	a.rooms.close()
	return a.socket.Close(ctx)
}
