package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/rollcall-go/rollcall/cmd/rollcall-bench/internal/load"
)

const synopsis = `Usage: rollcall-bench MODE [flags]

Load-tests one or two Rollcall replicas on this machine and reports CPU, memory
and latency. Clients speak the Phoenix protocol over loopback sockets.

Modes:
  conns     idle connections, one join each: memory per connection, CPU per join
  fanout    one topic, many subscribers: CPU and latency per delivery
  presence  mass join of one topic, then churn; latency of a quiet room meanwhile
  remote    joins and leaves on one replica, observed on another
  kill      replica crash: time until its presences are gone; latency of a quiet
            room meanwhile
  fresh     replica start in an idle cluster: time until its list is complete
  hostile   latency beside misbehaving clients, one kind at a time

With --self, a control room on an idle server of its own is measured beside each
quiet room. Latency common to both rooms is machine noise.

Examples:
  rollcall-bench fanout --self
  rollcall-bench conns --url http://127.0.0.1:4000 --pid 4711

Flags:
`

// parse returns the validated config. The error names every fault at once, except
// for a flag that cannot be read, which ends the parsing.
func parse(args []string) (c *load.Config, out output, err error) {
	c = &load.Config{}
	var server string
	fs := newFlags(c, &server, &out)
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		c.Mode, args = args[0], args[1:]
	}
	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return nil, out, err
	case err != nil:
		return nil, out, errors.New(strings.ReplaceAll(err.Error(), " -", " --"))
	case c.Mode == "":
		return nil, out, fmt.Errorf("no mode: must be one of %s", strings.Join(load.Modes, ", "))
	case fs.NArg() > 0:
		return nil, out, fmt.Errorf("unexpected argument %q", fs.Arg(0))
	}
	self, err := os.Executable()
	if err != nil {
		return nil, out, err
	}
	c.FloorCommand = []string{self, floorCommand}
	c.QuietCommand = []string{self, quietCommand}
	var fault error
	switch {
	case c.Self:
		server, fault = findServer(server, self)
		c.Command = []string{server, "serve"}
	case server != "":
		fault = errors.New("--server needs --self: it names the program that --self starts")
	}
	return c, out, errors.Join(fault, c.Validate())
}

// newFlags returns the flags. Unset flags leave zeros in c, which stand for the
// defaults of the mode.
func newFlags(c *load.Config, server *string, out *output) *flag.FlagSet {
	fs := flag.NewFlagSet("rollcall-bench", flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.BoolVar(&c.Self, "self", false, "start and stop the servers on loopback and measure their CPU and memory (Linux)")
	fs.StringVar(server, "server", "", "`path` of the rollcall binary that --self starts (default: beside this program, then in $PATH)")
	fs.BoolVar(&c.Floor, "floor", false, "fanout, conns: repeat against a minimal gorilla/websocket server for comparison; requires --self")
	fs.Func("url", "`URL` of a running server on this machine, e.g. http://127.0.0.1:4000; twice for remote; query parameters such as ?secret=... are sent", func(v string) error {
		c.URLs = append(c.URLs, v)
		return nil
	})
	fs.Func("pid", "process `ID` of the server, one per --url, to measure its CPU and memory (Linux)", numbers(&c.PIDs))
	fs.IntVar(&c.Clients, "clients", 0, "`number` of clients (default conns 5000, fanout and presence 1000, kill and fresh 200, hostile 100, remote 10 observers)")
	fs.IntVar(&c.PerTopic, "per-topic", 0, "conns, kill: `number` of clients per topic (default conns 1, kill 100)")
	fs.DurationVar(&c.Hold, "hold", 0, "conns: idle `time` before memory is measured; fresh: before the new replica starts (default 5s)")
	fs.IntVar(&c.Hostile, "hostile", 0, "hostile: `number` of concurrent misbehaving clients (default 5)")
	fs.BoolVar(&c.Reconnect, "reconnect", false, "kill: clients reconnect to the other server using phoenix.js backoff")
	fs.Func("window", "fanout: `list` of numbers of outstanding publishes, one step each (default 1,8,32; none with --rate)", numbers(&c.Windows))
	fs.Float64Var(&c.Rate, "rate", 0, "`number` of publishes (fanout, hostile) or joins (remote) per second; in fanout one more step (default 20; none with --window)")
	fs.IntVar(&c.Topics, "topics", 0, "remote: `number` of topics that joins are spread over; changes within a busy topic are batched (default as many as 4s of joins)")
	fs.IntVar(&c.Publishers, "publishers", 0, "fanout: `number` of publishing clients, used round-robin (default 1)")
	fs.IntVar(&c.Payload, "payload", 0, "fanout, hostile: size of a published payload in `bytes` (default 128)")
	fs.DurationVar(&c.Duration, "duration", 0, "`time` measured: fanout and hostile per step, remote in all (default fanout 5s, hostile 3s, remote 10s)")
	fs.Float64Var(&c.JoinRate, "join-rate", 0, "presence: `number` of joins per second (default all at once)")
	fs.Float64Var(&c.ChurnRate, "churn-rate", 0, "presence: `number` of clients per second that leave and rejoin 0.5s later (default 20)")
	fs.DurationVar(&c.Churn, "churn", 0, "presence: churn `time`; negative disables churn (default 10s)")
	fs.IntVar(&c.Repeat, "repeat", 0, "`number` of runs; medians are added to the report (default 1)")
	fs.DurationVar(&c.Timeout, "timeout", 0, "`time` limit of all runs together (default 10m)")
	fs.BoolVar(&out.json, "json", false, "print JSON instead of a table")
	fs.BoolVar(&out.lines, "benchfmt", false, "print Go benchmark lines, for benchstat, instead of a table")
	return fs
}

// numbers returns a flag's function that appends comma-separated numbers to list.
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

func printHelp(w io.Writer) {
	var b strings.Builder
	b.WriteString(synopsis)
	newFlags(&load.Config{}, new(string), new(output)).VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		if value != "" {
			value = " " + strings.ToUpper(value)
		}
		fmt.Fprintf(&b, "  --%s%s\n        %s\n", f.Name, value, usage)
	})
	io.WriteString(w, b.String())
}
