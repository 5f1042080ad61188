package main

import (
	"flag"
	"net/http"
	"os"

	"github.com/rollcall-go/rollcall/cmd/internal/serve"
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
			a, err := newApp(env.Endpoint, env.Tracker, deck, site, env.Socket, env.Logger)
			if err != nil {
				return nil, err
			}
			env.OnClose(a.Close)
			return a.http, nil
		},
	}
}
