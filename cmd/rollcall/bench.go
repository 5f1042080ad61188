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
	"strconv"
	"strings"
	"syscall"

	"github.com/rollcall-go/rollcall/cmd/internal/load"
)

const benchSynopsis = `Usage: rollcall bench MODE [flags]

Loads a replica of the presence service, or two, on this machine, and tells what
that costs. The clients speak the real protocol over real sockets, from this
process. Modes:

  conns     idle connections, each joined: memory each, CPU a join
  fanout    one topic, many subscribers: CPU and latency of a delivery
  presence  many join one topic, then some leave and join again; what a quiet
            room beside them notices
  remote    joins and leaves on one replica, seen on another
  kill      a replica is killed; how long another shows its presences; what a
            quiet room beside them notices
  fresh     a replica starts in an idle cluster; how long until it shows all
  hostile   hostile clients, kind by kind: what the others notice, how they end

With --self a quiet room has a control beside it: the same room of a server that
has nothing else to do. What both wait is the machine's, the rest the server's.

  rollcall bench fanout --self                       of a server started for it
  rollcall bench conns --url http://127.0.0.1:4000 --pid 4711    of one that runs

Flags:
`

// floorCommand, in the place of a mode, is what --floor starts of this program.
const floorCommand = "floor-server"

// quietCommand likewise, what measures a quiet room, with a URL and a topic.
const quietCommand = "quiet-room"

// bench runs "rollcall bench" and returns the exit code: 2 for flags that cannot
// be, 1 for what went wrong. SIGINT and SIGTERM end it, and what it started.
func bench(args []string, stdout, stderr io.Writer) int {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	if len(args) == 2 && args[0] == floorCommand {
		if err := load.ServeFloor(ctx, stdout, args[1]); err != nil {
			printFaults(stderr, err)
			return 1
		}
		return 0
	}
	if len(args) == 3 && args[0] == quietCommand {
		if err := load.ServeQuietRoom(ctx, os.Stdin, stdout, args[1], args[2]); err != nil {
			printFaults(stderr, err)
			return 1
		}
		return 0
	}
	config, out, err := parseBench(args)
	if errors.Is(err, flag.ErrHelp) {
		printBenchHelp(stdout)
		return 0
	}
	if err == nil {
		err = config.Validate()
	}
	if err != nil {
		printFaults(stderr, err)
		fmt.Fprintln(stderr, "rollcall bench: see --help for the modes and flags")
		return 2
	}
	config.Progress = stderr
	report, err := load.Run(ctx, *config)
	if err != nil {
		printFaults(stderr, err)
		return 1
	}
	if err := out.print(report, stdout, stderr); err != nil {
		printFaults(stderr, err)
		return 1
	}
	return 0
}

// printFaults writes each line of an error.
func printFaults(w io.Writer, err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(w, "rollcall bench: %s\n", strings.TrimRight(line, "\n"))
	}
}

// output says how a report is printed, if not as a table.
type output struct{ json, lines bool }

// print writes a report, and what is against trusting it to stderr.
func (o output) print(report *load.Report, stdout, stderr io.Writer) error {
	if warning := report.Machine.Warning(); warning != "" {
		fmt.Fprintln(stderr, "rollcall bench:", warning)
	}
	switch {
	case o.json:
		return json.NewEncoder(stdout).Encode(report)
	case o.lines:
		return report.WriteBenchmarks(stdout)
	}
	return report.WriteTable(stdout)
}

func parseBench(args []string) (c *load.Config, out output, err error) {
	c = &load.Config{}
	fs := benchFlags(c, &out)
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		c.Mode, args = args[0], args[1:]
	}
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, out, err
	case err != nil:
		return nil, out, errors.New(strings.ReplaceAll(err.Error(), " -", " --"))
	case c.Mode == "":
		return nil, out, fmt.Errorf("no mode: there are %s", strings.Join(load.Modes, ", "))
	case fs.NArg() > 0:
		return nil, out, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	self, err := os.Executable()
	if err != nil {
		return nil, out, err
	}
	c.QuietCommand = []string{self, "bench", quietCommand}
	if c.Self {
		c.Command = []string{self, "serve"}
		c.FloorCommand = []string{self, "bench", floorCommand}
	}
	return c, out, nil
}

// benchFlags are the flags; what is not given stays zero, and gets the default
// of its mode.
func benchFlags(c *load.Config, out *output) *flag.FlagSet {
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&c.Self, "self", false, "start the servers, on loopback, and end them; their CPU and memory are measured (Linux)")
	fs.BoolVar(&c.Floor, "floor", false, "fanout, conns: do the same with the least server made of gorilla/websocket alone, in turn with this one; with --self")
	fs.Func("url", "`URL` of a server on this machine that runs, http://127.0.0.1:4000; twice for remote. Parameters such as ?secret=... are passed on", func(v string) error {
		c.URLs = append(c.URLs, v)
		return nil
	})
	fs.Func("pid", "`number` of the process of the server of each --url, to measure its CPU and memory (Linux)", numbers(&c.PIDs))
	fs.IntVar(&c.Clients, "clients", 0, "`number` of clients (default conns 5000, fanout and presence 1000, kill and fresh 200, hostile 100, remote 10 that watch)")
	fs.IntVar(&c.PerTopic, "per-topic", 0, "conns, kill: `number` of clients that share a topic (default 1; kill 100)")
	fs.DurationVar(&c.Hold, "hold", 0, "conns: `time` to be idle before memory is read (default 5s); fresh: before the server starts")
	fs.IntVar(&c.Hostile, "hostile", 0, "hostile: `number` of hostile clients at a time (default 5)")
	fs.BoolVar(&c.Reconnect, "reconnect", false, "kill: the clients connect to the other server, with the pauses of phoenix.js")
	fs.Func("window", "fanout: `n,...` publishes outstanding, each a step (default 1,8,32)", numbers(&c.Windows))
	fs.Float64Var(&c.Rate, "rate", 0, "fanout: `number` of publishes a second, one step more; hostile: of all steps; remote: of joins a second (default 20)")
	fs.IntVar(&c.Topics, "topics", 0, "remote: `number` of topics the joins are spread over; in a busy one changes are merged (default so many that each is quiet)")
	fs.IntVar(&c.Publishers, "publishers", 0, "fanout: `number` of clients that publish, in turn (default 1)")
	fs.IntVar(&c.Payload, "payload", 0, "fanout, hostile: `bytes` of a published payload (default 128)")
	fs.DurationVar(&c.Duration, "duration", 0, "fanout, hostile: `time` a step is measured (default 5s; hostile 3s); remote: time of joins (default 10s)")
	fs.Float64Var(&c.JoinRate, "join-rate", 0, "presence: `number` of joins a second (default all at once)")
	fs.Float64Var(&c.ChurnRate, "churn-rate", 0, "presence: `number` that leave a second, and join again 0.5 s later (default 20)")
	fs.DurationVar(&c.Churn, "churn", 0, "presence: `time` of that; negative for none (default 10s)")
	fs.IntVar(&c.Repeat, "repeat", 0, "`number` of times everything is done; medians are reported too (default 1)")
	fs.DurationVar(&c.Timeout, "timeout", 0, "`time` after which all ends in an error (default 10m)")
	fs.BoolVar(&out.json, "json", false, "print JSON and no table")
	fs.BoolVar(&out.lines, "benchfmt", false, "print lines that benchstat compares, as Go's benchmarks do, and no table")
	return fs
}

// numbers appends the numbers of a list.
func numbers(list *[]int) func(string) error {
	return func(v string) error {
		for part := range strings.SplitSeq(v, ",") {
			n, err := strconv.Atoi(strings.TrimSpace(part))
			if err != nil || n <= 0 {
				return errors.New("must be numbers above 0, separated by commas")
			}
			*list = append(*list, n)
		}
		return nil
	}
}

func printBenchHelp(w io.Writer) {
	var b strings.Builder
	b.WriteString(benchSynopsis)
	benchFlags(&load.Config{}, new(output)).VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		if value != "" {
			value = " " + strings.ToUpper(value)
		}
		fmt.Fprintf(&b, "  --%s%s\n        %s\n", f.Name, value, usage)
	})
	io.WriteString(w, b.String())
}
