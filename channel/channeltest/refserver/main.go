// Refserver starts the reference server of the recorded transcripts by hand, for
// clients and replays that want a port:
//
//	go run ./channel/channeltest/refserver -listen 127.0.0.1:4000
//
// Its sockets and channels are described in package server. It ends in order on
// SIGINT and SIGTERM; a second signal ends it at once.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/rollcall-go/rollcall/channel/channeltest/refserver/server"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:4000", "address to listen on; port 0 chooses one")
	verbose := flag.Bool("v", false, "log every connection and join")
	flag.Parse()
	if err := run(*listen, *verbose); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(listen string, verbose bool) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelInfo
	}
	s, err := server.Start(ctx, server.Config{Logger: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))})
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return errors.Join(err, s.Close(context.Background()))
	}
	fmt.Printf("listening on http://%s\n", l.Addr())
	web := &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- web.Serve(l) }()
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	stop() // a second signal ends the process
	ending, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = errors.Join(err, s.Close(ending), web.Shutdown(ending))
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
