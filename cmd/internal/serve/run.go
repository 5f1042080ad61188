package serve

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
)

// Exit codes.
const (
	exitOK    = 0
	exitError = 1
	exitUsage = 2
)

// Main runs an app as the process: SIGTERM and SIGINT begin its shutdown, a
// second one ends it at once. It returns what the process should exit with.
func Main(app App, args []string) int {
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	defer signal.Stop(signals)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	code := make(chan int, 1)
	go func() { code <- Run(ctx, app, args, os.Stdout, os.Stderr) }()
	for second := false; ; second = true {
		select {
		case c := <-code:
			return c
		case s := <-signals:
			if second {
				// Run is left behind: the process ends.
				fmt.Fprintf(os.Stderr, "%s: %v again: ending at once\n", app.Name, s)
				return exitError
			}
			cancel()
		}
	}
}

// Run starts a replica, serves until ctx ends, and shuts down. It returns an
// exit code, having said what was wrong on stderr, in a line for each fault.
func Run(ctx context.Context, app App, args []string, stdout, stderr io.Writer) int {
	s, err := parse(app, args, stdout)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	if err == nil {
		err = run(ctx, app, s, stdout, stderr)
	}
	if err == nil {
		return exitOK
	}
	for line := range strings.Lines(err.Error()) {
		// Errors of the app may begin with its name.
		fmt.Fprintf(stderr, "%s: %s\n", app.Name, strings.TrimPrefix(strings.TrimRight(line, "\n"), app.Name+": "))
	}
	if usage := (*UsageError)(nil); errors.As(err, &usage) {
		fmt.Fprintf(stderr, "%s: see --help for the flags\n", app.Name)
		return exitUsage
	}
	return exitError
}

func run(ctx context.Context, app App, s *settings, stdout, stderr io.Writer) error {
	logger := s.logger(stderr)
	r, err := start(ctx, app, s, logger)
	if err != nil {
		return err
	}
	if address := r.clusterAddr(); address != "" {
		fmt.Fprintf(stdout, "%s: cluster at %s\n", app.Name, address)
	}
	if r.admin != nil {
		fmt.Fprintf(stdout, "%s: admin at %s\n", app.Name, urlOf(r.admin.listener.Addr()))
	}
	fmt.Fprintf(stdout, "%s: listening at %s\n", app.Name, urlOf(r.listener.Addr()))

	select {
	case <-ctx.Done():
		logger.Info("shutting down", "replica", r.name, "timeout", s.shutdownTimeout)
	case err = <-r.failed:
		err = fmt.Errorf("serve HTTP: %w", err)
	}
	// Not of ctx, which has ended.
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.shutdownTimeout)
	defer cancel()
	return errors.Join(err, r.stop(last))
}
