package serve

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/rollcall-go/rollcall/transport/natsbus"
	"github.com/rollcall-go/rollcall/transport/origin"
)

// settings are what the flags of this package say.
type settings struct {
	listen          string
	adminListen     string // empty: none
	name            string
	nats            string
	clusterListen   string
	routes          []string
	buckets         int
	origins         origin.Check
	logLevel        slog.Level
	logJSON         bool
	messageRate     int // a second, of one client
	maxConns        int // WebSockets; 0 is as many as there may be files
	maxPerAddress   int // 0: no bound
	addressHeader   string
	shutdownTimeout time.Duration
}

const (
	defaultListen          = "127.0.0.1:4000"
	defaultMessageRate     = 500
	defaultShutdownTimeout = 15 * time.Second
	maxMessageRate         = 1_000_000_000
	maxName                = 255 // bytes, the limit of presence
)

// parse reads the command line. The error is flag.ErrHelp, when help was asked
// for and printed to stdout, or a *UsageError that names the flag, or every
// fault in how the flags go together.
func parse(app App, args []string, stdout io.Writer) (*settings, error) {
	s := &settings{listen: defaultListen, messageRate: defaultMessageRate, shutdownTimeout: defaultShutdownTimeout}
	fs := flag.NewFlagSet(app.Name, flag.ContinueOnError)
	fs.SetOutput(io.Discard)
	fs.StringVar(&s.listen, "listen", s.listen, "`host:port` to serve HTTP at; port 0 is any free one")
	fs.StringVar(&s.adminListen, "admin-listen", "", "`host:port` to serve /healthz, /metrics and /debug/pprof/ at, where they wait for no client; on the operator's network only, for it asks nobody who he is; port 0 is any free one (default none: /metrics is for everybody at --listen)")
	fs.StringVar(&s.name, "name", "", "`name` of this replica, unique in its cluster and best kept over restarts (default the host's name and the port)")
	fs.StringVar(&s.nats, "nats", "", "`URL` of a NATS server to use, or several of one cluster, separated by commas (default an embedded server)")
	fs.StringVar(&s.clusterListen, "cluster-listen", "", "`host:port` at which the embedded NATS server takes routes from other replicas; on a private network only")
	fs.Func("routes", "`host:port,...` of other replicas' --cluster-listen", func(v string) error {
		s.routes = append(s.routes, splitList(v)...)
		return nil
	})
	fs.IntVar(&s.buckets, "buckets", 0, "`number` of NATS subjects for all topics, the same on all replicas of a cluster; for more than some 10,000 topics; 0 is a subject a topic")
	fs.Func("allow-origin", "`origin,...` of web pages that may connect: https://example.com, //example.com, //*.example.com, or * for all (default those from the host that is served)", s.setOrigins)
	fs.IntVar(&s.messageRate, "message-rate", s.messageRate, "`number` of messages a second that one client may send, and twice as many at once after a pause; one that sends more is closed")
	fs.IntVar(&s.maxConns, "max-connections", 0, "`number` of WebSocket connections at a time; 0 is nine tenths of the files that the process may have open")
	fs.IntVar(&s.maxPerAddress, "max-connections-per-address", 0, "`number` of connections at a time from one IP address, or one /64 of IPv6, where many people may sit behind one; 0 is no bound")
	fs.StringVar(&s.addressHeader, "address-header", "", "`name` of the header in which a proxy in front tells the client's address last, such as X-Forwarded-For; only where clients cannot go around that proxy (default the address of the socket)")
	fs.Func("log-level", "`level` of the log: debug, info, warn or error (default info)", s.setLogLevel)
	fs.Func("log-format", "`format` of the log: text or json (default text)", s.setLogFormat)
	fs.DurationVar(&s.shutdownTimeout, "shutdown-timeout", s.shutdownTimeout, "`time` that a shutdown may take")
	if app.Flags != nil {
		app.Flags(fs)
	}

	switch err := fs.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		printHelp(stdout, app, fs)
		return nil, err
	case err != nil:
		return nil, usagef("%s", dashes(err.Error()))
	case fs.NArg() > 0:
		return nil, usagef("unexpected argument %q", fs.Arg(0))
	}
	faults := s.faults()
	if app.Check != nil {
		faults = append(faults, app.Check())
	}
	if err := errors.Join(faults...); err != nil {
		return nil, &UsageError{err}
	}
	return s, nil
}

// alone reports whether there can be no other replicas.
func (s *settings) alone() bool { return s.nats == "" && s.clusterListen == "" }

// faults is what is wrong with flags that are well by themselves.
func (s *settings) faults() []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if err := checkListen(s.listen); err != nil {
		fault("--listen %q: %w", s.listen, err)
	}
	if s.adminListen != "" {
		if err := checkListen(s.adminListen); err != nil {
			fault("--admin-listen %q: %w", s.adminListen, err)
		} else if s.adminListen == s.listen && !strings.HasSuffix(s.listen, ":0") {
			fault("--admin-listen %q: must not be that of --listen", s.adminListen)
		}
	}
	if len(s.name) > maxName || !utf8.ValidString(s.name) {
		fault("--name %.40q: must be UTF-8 of at most %d bytes", s.name, maxName)
	}
	if s.buckets < 0 || s.buckets > natsbus.MaxBuckets {
		fault("--buckets %d: must be 0 to %d", s.buckets, natsbus.MaxBuckets)
	}
	switch {
	case s.nats != "" && s.clusterListen != "":
		fault("--cluster-listen is for the embedded NATS server, which --nats replaces: give one of them")
	case len(s.routes) > 0 && s.clusterListen == "":
		fault("--routes needs --cluster-listen, the address of this replica for the others")
	}
	if s.messageRate <= 0 || s.messageRate > maxMessageRate {
		fault("--message-rate %d: must be 1 to %d", s.messageRate, maxMessageRate)
	}
	if s.maxConns < 0 {
		fault("--max-connections %d: must not be negative", s.maxConns)
	}
	if s.maxPerAddress < 0 {
		fault("--max-connections-per-address %d: must not be negative", s.maxPerAddress)
	}
	if s.addressHeader != "" && s.maxPerAddress == 0 {
		fault("--address-header is for --max-connections-per-address, which is not given")
	}
	if s.shutdownTimeout <= 0 {
		fault("--shutdown-timeout %v: must be positive", s.shutdownTimeout)
	}
	return faults
}

// messageStart is how many messages a client may send at once that has just
// connected: the joins of its 100 channels and as many more, where the rate is the
// default.
func (s *settings) messageStart() int {
	return max(2*s.messageRate/5, min(2*s.messageRate, 200))
}

func checkListen(address string) error {
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		return errors.New("must be host:port, such as " + defaultListen)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return errors.New("the port must be a number from 0 to 65535")
	}
	return nil
}

func (s *settings) setOrigins(v string) error {
	entries := splitList(v)
	if len(entries) == 1 && entries[0] == "*" {
		s.origins = origin.Any()
		return nil
	}
	check := origin.List(entries...)
	if err := check.Err(); err != nil {
		return err
	}
	s.origins = check
	return nil
}

func (s *settings) setLogLevel(v string) error {
	switch v {
	case "debug", "info", "warn", "error":
		return s.logLevel.UnmarshalText([]byte(v))
	}
	return errors.New("must be debug, info, warn or error")
}

func (s *settings) setLogFormat(v string) error {
	switch v {
	case "text", "json":
		s.logJSON = v == "json"
		return nil
	}
	return errors.New("must be text or json")
}

func (s *settings) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: s.logLevel}
	if s.logJSON {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// splitList splits at commas, and drops spaces and what is empty.
func splitList(list string) (items []string) {
	for item := range strings.SplitSeq(list, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// dashes makes package flag's "-name" in an error the "--name" of the help.
func dashes(text string) string {
	for _, before := range []string{"flag ", "defined: ", "argument: "} {
		text = strings.Replace(text, before+"-", before+"--", 1)
	}
	return text
}

func printHelp(w io.Writer, app App, fs *flag.FlagSet) {
	fmt.Fprintf(w, "%s\n\nFlags:\n", strings.TrimSpace(app.Synopsis))
	fs.VisitAll(func(f *flag.Flag) {
		value, usage := flag.UnquoteUsage(f)
		if value != "" {
			value = " " + strings.ToUpper(value)
		}
		def := ""
		if f.DefValue != "" && f.DefValue != "false" {
			def = fmt.Sprintf(" (default %s)", f.DefValue)
		}
		fmt.Fprintf(w, "  --%s%s\n        %s%s\n", f.Name, value, usage, def)
	})
}
