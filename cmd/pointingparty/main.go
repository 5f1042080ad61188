package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rollcall-go/rollcall/channel"
	"github.com/rollcall-go/rollcall/cmd/internal/natsd"
	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/natsbus"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// shutdownPeriod is how long clients get to be told that this replica goes.
const shutdownPeriod = 10 * time.Second

// run is the program: it serves until ctx ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	flags := flag.NewFlagSet("pointingparty", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "localhost:4000", "`host:port` to serve at")
	name := flags.String("name", "", "name of this replica in its cluster (default host name and port)")
	cards := flags.String("cards", "", "JSON `file` with the cards (default a built-in deck)")
	natsURL := flags.String("nats", "", "`URL` of a NATS server to use (default an embedded one)")
	clusterListen := flags.String("cluster-listen", "", "`host:port` at which the embedded NATS server takes routes")
	clusterRoutes := flags.String("routes", "", "comma-separated `host:port` of other replicas' --cluster-listen")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("pointingparty: unexpected argument %q", flags.Arg(0))
	}
	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))

	deck := builtinDeck
	if *cards != "" {
		if deck, err = LoadDeck(*cards); err != nil {
			return err
		}
	}
	site, err := newSite(webFiles)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return fmt.Errorf("pointingparty: listen: %w", err)
	}
	defer listener.Close()

	nc, stopNATS, err := connect(*natsURL, natsd.Config{ClusterListen: *clusterListen, Routes: split(*clusterRoutes), Logger: logger})
	if err != nil {
		return err
	}
	defer stopNATS()
	bus, err := natsbus.New(nc, natsbus.Logger(logger))
	if err != nil {
		return err
	}
	defer bus.Close()

	if *name == "" {
		host, _ := os.Hostname()
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		*name = host + ":" + port
	}
	tracker, err := presence.Start(ctx, presence.Config{Name: *name, Bus: bus, Logger: logger})
	if err != nil {
		return err
	}
	endpoint, err := channel.New(channel.Config{Bus: bus, Presence: tracker, Logger: logger})
	if err != nil {
		return errors.Join(err, tracker.Close(context.Background()))
	}
	app, err := newApp(endpoint, tracker, deck, site, logger)
	if err != nil {
		return errors.Join(err, endpoint.Close(context.Background()), tracker.Close(context.Background()))
	}

	server := &http.Server{Handler: app.http, ReadHeaderTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(logger.Handler(), slog.LevelWarn)}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(stdout, "pointing party at http://%s/\n", listener.Addr())

	select {
	case <-ctx.Done():
	case err = <-served:
	}
	last, cancel := context.WithTimeout(context.Background(), shutdownPeriod)
	defer cancel()
	err = errors.Join(ignoreClosed(err), server.Shutdown(last), endpoint.Close(last), app.Close(last), tracker.Close(last))
	return err
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// connect dials the NATS server at url, or starts one.
func connect(url string, cfg natsd.Config) (nc *nats.Conn, stop func(), err error) {
	if url != "" {
		nc, err := natsd.Dial(url)
		if err != nil {
			return nil, nil, err
		}
		return nc, nc.Close, nil
	}
	server, err := natsd.Start(cfg)
	if err != nil {
		return nil, nil, err
	}
	if nc, err = server.Conn(); err != nil {
		server.Shutdown()
		return nil, nil, err
	}
	return nc, func() { nc.Close(); server.Shutdown() }, nil
}

func split(list string) (items []string) {
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}
