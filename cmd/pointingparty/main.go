package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"

	"github.com/rollcall-go/rollcall/cmd/internal/serve"
	"github.com/rollcall-go/rollcall/transport/websocket"
)

func main() {
	load := func() (*site, error) { return newSite(webFiles) }
	os.Exit(serve.Main(program(load), os.Args[1:]))
}

const synopsis = `Usage: pointingparty [flags]

Serves planning poker. Open the address that it prints, and give the link of your
room to the others.`

// program is the command, with the page's files as load has them.
func program(load func() (*site, error)) serve.App {
	deck := builtinDeck
	cards := ""
	return serve.App{
		Name:     "pointingparty",
		Synopsis: synopsis,
		Flags: func(fs *flag.FlagSet) {
			fs.StringVar(&cards, "cards", "", "JSON `file` with the cards (default a built-in deck)")
		},
		Check: func() (err error) {
			if cards != "" {
				deck, err = LoadDeck(cards)
			}
			return err
		},
		Build: func(env *serve.Env) (http.Handler, error) {
			site, err := load()
			if err != nil {
				return nil, err
			}
			return build(env, deck, site)
		},
	}
}

// build makes the app, with a socket that lets in the pages that the flags allow.
func build(env *serve.Env, deck Deck, site *site) (http.Handler, error) {
	a, err := newApp(env.Endpoint, env.Tracker, deck, site, env.Logger)
	if err != nil {
		return nil, err
	}
	env.OnClose(a.Close)
	if a.socket, err = websocket.New(env.Endpoint, a.channels, env.Socket); err != nil {
		return nil, fmt.Errorf("pointingparty: %w", err)
	}
	a.http = routes(site, a.socket, env.Replica)
	return a.http, nil
}
