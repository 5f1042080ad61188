package load

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strings"
	"time"
)

// Modes are the values of Config.Mode.
var Modes = []string{"conns", "fanout", "presence", "remote", "kill", "fresh", "hostile"}

// Config says what to run. Zero fields get the default of the mode. The flags in
// the comments are the names that errors use.
type Config struct {
	Mode string

	// Self (--self) starts the servers with Command: a program and its first
	// arguments, followed by flags of "rollcall serve". Otherwise URLs (--url)
	// names the servers of one cluster: one, or two for remote. PIDs (--pid) names
	// their processes, for their CPU and memory.
	Self    bool
	Command []string
	URLs    []string
	PIDs    []int

	// Floor (--floor) repeats fanout and conns against minimal gorilla/websocket
	// servers. FloorCommand, followed by the kind of floor, must run [ServeFloor].
	// Floor requires Self.
	Floor        bool
	FloorCommand []string

	// QuietCommand, followed by a URL and a topic, must run [ServeQuietRoom]. It is
	// used by presence and kill.
	QuietCommand []string

	// Clients (--clients) is the number of clients: by default 5,000 for conns,
	// 1,000 for fanout and presence, 200 for kill and fresh, 100 for hostile (not
	// counting the misbehaving ones), 10 observers for remote. At most 50,000 for
	// conns and fanout, 20,000 for presence, 10,000 for the others.
	Clients int
	// PerTopic (--per-topic) is the number of clients of conns and kill per topic.
	// Default 1 and 100, at most 100 and 1,000: presence traffic grows with its
	// square.
	PerTopic int
	// Hold (--hold) is the idle time of conns before memory is read a second time,
	// and of fresh before the new server starts. Default 5 s, at most 10 min. Go
	// returns memory to the system slowly.
	Hold time.Duration
	// Hostile (--hostile) is the number of concurrent misbehaving clients of a kind.
	// Default 5, at most 100.
	Hostile int
	// Reconnect (--reconnect) makes the clients of kill reconnect to the other
	// server, using phoenix.js backoff, and rejoin.
	Reconnect bool

	// Windows (--window) lists numbers of outstanding publishes, 1 to 1,024; each
	// is a step of fanout. Rate (--rate) is publishes per second, 0.1 to 10,000, in
	// one more step of fanout and in every step of hostile, or joins per second of
	// remote, at most 1,000. The default of Rate is 20. Fanout uses the windows 1,
	// 8, 32 and the default rate if neither is set.
	Windows []int
	Rate    float64
	// Topics (--topics) is the number of topics that the joins of remote are spread
	// over, round-robin. The default is 4 s of joins, so that each topic is quiet:
	// changes in a busy topic are batched, those in a quiet one are sent at once.
	// At most 1,000.
	Topics int
	// Publishers (--publishers) is the number of clients that publish, used
	// round-robin. Default 1, at most 100.
	Publishers int
	// Payload (--payload) is the size of a published payload in bytes, 32 to
	// 65,536. Default 128.
	Payload int
	// Duration (--duration) is the measured time: of a step of fanout, after a
	// warm-up of a fifth of it, default 5 s; of each half of a step of hostile,
	// without and with misbehaving clients, default 3 s; of the joins of remote,
	// default 10 s. 100 ms to 10 min.
	Duration time.Duration

	// JoinRate (--join-rate) is joins per second of presence; 0 joins all at once.
	JoinRate float64
	// ChurnRate (--churn-rate) is the number of clients per second of presence that
	// leave and rejoin half a second later. Default 20. Churn (--churn) is the
	// duration, default 10 s, at most 10 min; a negative value disables churn.
	ChurnRate float64
	Churn     time.Duration

	// Repeat (--repeat) is the number of runs, each with new servers if Self is set.
	// Default 1, at most 100. The report includes medians.
	Repeat int
	// Timeout (--timeout) limits all runs together. Default 10 min, at most 2 h.
	Timeout time.Duration
	// Progress receives a line every second; nil for none.
	Progress io.Writer
}

// Limits.
const (
	maxClients      = 50_000
	maxRoom         = 20_000 // presence: a bit for each client, in each client
	maxSmall        = 10_000 // kill, fresh and remote
	maxWindow       = 1024
	maxPayload      = 64 << 10
	maxStep         = 10 * time.Minute
	maxRun          = 2 * time.Hour
	spareFiles      = 100
	away            = 500 * time.Millisecond // in churn, from leave to join
	shown           = time.Second            // in remote, from join to leave
	quietTopics     = 4 * time.Second        // in remote, between two joins of a topic
	maxTopics       = 1000
	maxRemoteJoins  = 10_000
	maxChurnedTimes = 100_000
)

func orDefault[T comparable](v *T, def T) {
	var zero T
	if *v == zero {
		*v = def
	}
}

func (c Config) withDefaults() Config {
	orDefault(&c.Clients, map[string]int{"conns": 5000, "fanout": 1000, "presence": 1000, "remote": 10, "kill": 200, "fresh": 200, "hostile": 100}[c.Mode])
	orDefault(&c.PerTopic, map[string]int{"kill": 100}[c.Mode])
	orDefault(&c.PerTopic, 1)
	orDefault(&c.Hold, 5*time.Second)
	switch c.Mode {
	case "fanout":
		if len(c.Windows) == 0 && c.Rate == 0 {
			c.Windows, c.Rate = []int{1, 8, 32}, 20
		}
		orDefault(&c.Duration, 5*time.Second)
	case "hostile":
		orDefault(&c.Rate, 20)
		orDefault(&c.Duration, 3*time.Second)
	default:
		orDefault(&c.Rate, 20)
		orDefault(&c.Topics, int(min(max(1, c.Rate*quietTopics.Seconds()), maxTopics)))
		orDefault(&c.Duration, 10*time.Second)
	}
	orDefault(&c.Publishers, 1)
	orDefault(&c.Hostile, 5)
	orDefault(&c.Payload, 128)
	orDefault(&c.ChurnRate, 20)
	orDefault(&c.Churn, 10*time.Second)
	orDefault(&c.Repeat, 1)
	orDefault(&c.Timeout, 10*time.Minute)
	return c
}

// Validate returns every fault in c, joined, or nil.
func (c *Config) Validate() error {
	d := c.withDefaults()
	return errors.Join(append(d.serverFaults(), d.loadFaults()...)...)
}

func (c *Config) serverFaults() (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	servers := 1
	if c.Mode == "remote" {
		servers = 2
	}
	switch {
	case c.Self && (len(c.URLs) > 0 || len(c.PIDs) > 0):
		fault("--self starts the servers: remove --url and --pid, or --self")
	case c.Self && len(c.Command) == 0:
		fault("--self: no command that starts a server")
	case c.Self:
	case c.Mode == "kill":
		fault("kill needs --self: it kills only servers that it started")
	case c.Mode == "fresh":
		fault("fresh needs --self: it starts another server of the cluster")
	case len(c.URLs) != servers:
		fault("%s needs --self, or --url for each of %d servers", c.Mode, servers)
	case len(c.PIDs) > 0 && len(c.PIDs) != len(c.URLs):
		fault("--pid: %d given, must be one for each of %d --url", len(c.PIDs), len(c.URLs))
	}
	switch {
	case !c.Floor:
	case len(floorsOf[c.Mode]) == 0:
		fault("--floor: not available for %s, only for fanout and conns", c.Mode)
	case !c.Self || len(c.FloorCommand) == 0:
		fault("--floor needs --self: it starts both servers")
	}
	for _, text := range c.URLs {
		if _, err := socketURL(text); err != nil {
			faults = append(faults, err)
		}
	}
	for _, pid := range c.PIDs {
		if !usageOf([]int{pid}).known {
			fault("--pid %d: no such process, or no /proc", pid)
		}
	}
	return faults
}

func (c *Config) loadFaults() (faults []error) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	within := func(flag string, v, low, high float64) {
		if !(v >= low && v <= high) {
			fault("%s %v: must be %v to %v", flag, v, low, high)
		}
	}
	lasts := func(flag string, v, low, high time.Duration) {
		if v < low || v > high {
			fault("%s %v: must be %v to %v", flag, v, low, high)
		}
	}
	most := map[string]int{"conns": maxClients, "fanout": maxClients, "presence": maxRoom, "remote": maxSmall, "kill": maxSmall, "fresh": maxSmall, "hostile": maxSmall}[c.Mode]
	if most == 0 {
		fault("unknown mode %q: must be one of %s", c.Mode, strings.Join(Modes, ", "))
		return faults
	}
	within("--clients", float64(c.Clients), 1, float64(most))
	// The server on this machine is likely to have the same limit.
	if files := maxFiles(); c.Clients+spareFiles > files {
		fault("--clients %d: the open-file limit is %d, and %d are kept spare; raise it with ulimit -n, for the server too", c.Clients, files, spareFiles)
	}
	within("--repeat", float64(c.Repeat), 1, 100)
	lasts("--timeout", c.Timeout, time.Second, maxRun)
	lasts("--duration", c.Duration, 100*time.Millisecond, maxStep)
	switch c.Mode {
	case "conns":
		within("--per-topic", float64(c.PerTopic), 1, 100)
		lasts("--hold", c.Hold, 0, maxStep)
	case "kill":
		within("--per-topic", float64(c.PerTopic), 1, 1000)
	case "hostile":
		within("--hostile", float64(c.Hostile), 1, 100)
		within("--rate", c.Rate, 0.1, 10_000)
		within("--payload", float64(c.Payload), minPayload, maxPayload)
	case "fresh":
		lasts("--hold", c.Hold, 0, maxStep)
	case "fanout":
		for _, w := range c.Windows {
			within("--window", float64(w), 1, maxWindow)
		}
		if c.Rate != 0 {
			within("--rate", c.Rate, 0.1, 10_000)
		}
		within("--publishers", float64(c.Publishers), 1, float64(min(100, max(1, c.Clients))))
		within("--payload", float64(c.Payload), minPayload, maxPayload)
	case "presence":
		within("--join-rate", c.JoinRate, 0, 100_000)
		if c.Churn > 0 {
			lasts("--churn", c.Churn, 100*time.Millisecond, maxStep)
			// A client must have rejoined before its next leave.
			within("--churn-rate", c.ChurnRate, 0.1, max(0.1, float64(c.Clients)/2))
			if n := c.ChurnRate * c.Churn.Seconds(); n > maxChurnedTimes {
				fault("--churn-rate and --churn: %.0f leaves, limit is %d", n, maxChurnedTimes)
			}
		}
	case "remote":
		within("--rate", c.Rate, 0.1, 1000)
		within("--topics", float64(c.Topics), 1, maxTopics)
		if n := c.Rate * c.Duration.Seconds(); n > maxRemoteJoins {
			fault("--rate and --duration: %.0f joins, limit is %d", n, maxRemoteJoins)
		}
	}
	return faults
}

// socketURL returns the WebSocket URL of a server given by an http or ws URL, with
// or without the socket's path. Query parameters are kept. The host must be a
// loopback address.
func socketURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("--url %q: not a URL", text)
	}
	switch u.Scheme {
	case "http", "ws":
		u.Scheme = "ws"
	default:
		return nil, fmt.Errorf("--url %q: must begin with http:// or ws://", text)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/socket/websocket"
	}
	host, port := u.Hostname(), u.Port()
	if host == "localhost" {
		host = "127.0.0.1"
	}
	if ip := net.ParseIP(host).To4(); ip == nil || !ip.IsLoopback() || port == "" {
		return nil, fmt.Errorf("--url %q: must have an address in 127.0.0.0/8, such as 127.0.0.1, and a port: only this machine may be loaded", text)
	}
	u.Host = net.JoinHostPort(host, port)
	query := u.Query()
	query.Set("vsn", "2.0.0")
	u.RawQuery = query.Encode()
	return u, nil
}
