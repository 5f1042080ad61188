package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/rollcall-go/rollcall/cmd/rollcall-bench/internal/load"
)

// Hidden commands, which take the place of the mode. The load package starts this
// program with them.
const (
	floorCommand = "floor-server" // KIND: --floor
	quietCommand = "quiet-room"   // URL TOPIC: presence and kill
)

func main() {
	// SIGINT and SIGTERM end the run and every process that it started.
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := command(ctx, os.Args[1:], os.Stdout, os.Stderr)
	cancel()
	os.Exit(code)
}

// command runs the program and returns the exit code: 2 for invalid arguments, 1
// for a run that failed.
func command(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	var err error
	switch {
	case len(args) == 2 && args[0] == floorCommand:
		err = load.ServeFloor(ctx, stdout, args[1])
	case len(args) == 3 && args[0] == quietCommand:
		err = load.ServeQuietRoom(ctx, os.Stdin, stdout, args[1], args[2])
	default:
		var config *load.Config
		var out output
		config, out, err = parse(args)
		if errors.Is(err, flag.ErrHelp) {
			printHelp(stdout)
			return 0
		}
		if err != nil {
			printError(stderr, err)
			fmt.Fprintln(stderr, "rollcall-bench: see --help for the modes and flags")
			return 2
		}
		config.Progress = stderr
		err = measure(ctx, config, out, stdout, stderr)
	}
	if err != nil {
		printError(stderr, err)
		return 1
	}
	return 0
}

func measure(ctx context.Context, config *load.Config, out output, stdout, stderr io.Writer) error {
	report, err := load.Run(ctx, *config)
	if err != nil {
		return err
	}
	return out.print(report, stdout, stderr)
}

// printError writes each line of err.
func printError(w io.Writer, err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(w, "rollcall-bench: %s\n", strings.TrimRight(line, "\n"))
	}
}

// output is the format of the report; the zero value is a table.
type output struct{ json, lines bool }

// print writes a report to stdout. A warning that its figures are unreliable goes
// to stderr, so that stdout can be parsed.
func (o output) print(report *load.Report, stdout, stderr io.Writer) error {
	if warning := report.Machine.Warning(); warning != "" {
		fmt.Fprintln(stderr, "rollcall-bench:", warning)
	}
	switch {
	case o.json:
		return json.NewEncoder(stdout).Encode(report)
	case o.lines:
		return report.WriteBenchmarks(stdout)
	}
	return report.WriteTable(stdout)
}
