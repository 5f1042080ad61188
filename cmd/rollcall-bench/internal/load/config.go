package load

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"
)

// Modes are what Config.Mode may be.
var Modes = []string{"conns", "fanout", "presence", "remote", "kill", "fresh", "hostile"}

// Config says what to run. What is zero gets the default of the mode. The names
// in the comments are those of the flags, which errors use.
type Config struct {
	Mode string

	// Self (--self) has servers started, with Command: a program and its first
	// arguments, behind which come flags of "rollcall serve". Without, URLs
	// (--url) are the servers', of one cluster: one, or two for remote; and PIDs
	// (--pid) their processes, if what they use is to be measured.
	Self    bool
	Command []string
	URLs    []string
	PIDs    []int

	// Floor (--floor) has fanout and conns done with servers of gorilla/websocket
	// alone, too, in turn with the replica: see [ServeFloor], which FloorCommand
	// followed by the kind of floor has to run. It needs Self.
	Floor        bool
	FloorCommand []string

	// QuietCommand followed by a URL and a topic has to run [ServeQuietRoom], for
	// presence and kill.
	QuietCommand []string

	// Clients (--clients) is how many connect, 1 to 50,000. Default 5,000 for
	// conns, 1,000 for fanout and presence, 200 for kill and fresh, 100 for hostile,
	// beside those that are. For remote it is those
	// who watch, default 10; for presence at most 20,000, for kill, fresh and
	// remote 10,000.
	Clients int
	// PerTopic (--per-topic) is how many clients of conns and kill share a topic.
	// Default 1 and 100; at most 100 for conns, 1,000 for kill: what they are told
	// of each other grows with its square.
	PerTopic int
	// Hold (--hold) is how long the clients of conns are idle before memory is read
	// once more, and those of fresh before another server starts. Default 5 s, at
	// most 10 min. Go gives memory back to the system slowly.
	Hold time.Duration
	// Hostile (--hostile) is how many hostile clients of a kind there are at a time.
	// Default 5, at most 100.
	Hostile int
	// Reconnect (--reconnect) has the clients of kill connect to the other server,
	// with the pauses of phoenix.js, and join again.
	Reconnect bool

	// Windows (--window) are numbers of publishes outstanding, 1 to 1,024, each a
	// step of fanout; Rate (--rate) is publishes a second, 0.1 to 10,000, one
	// step more. Default 1, 8, 32 and 20/s if neither is given. For hostile Rate is
	// that of all steps, default 20. For remote Rate
	// is joins a second, default 20, at most 1,000.
	Windows []int
	Rate    float64
	// Topics (--topics) is over how many topics the joins of remote are spread, in
	// turn. Default as many as 4 s of joins, so that each topic is quiet: only then
	// is a change told at once, and not merged with others. With 1 there is a busy
	// one. At most 1,000.
	Topics int
	// Publishers (--publishers) is how many of the clients publish, in turn.
	// Default 1, at most 100.
	Publishers int
	// Payload (--payload) is the bytes of a published payload, 32 to 65,536,
	// default 128.
	Payload int
	// Duration (--duration) is how long a step of fanout is measured, after a
	// fifth of it that is not, and how long remote joins. Default 5 s and 10 s; 3 s
	// for each step of hostile without hostile clients, and as long with them;
	// 100 ms to 10 min.
	Duration time.Duration

	// JoinRate (--join-rate) is joins a second of presence; 0 is all at once.
	JoinRate float64
	// ChurnRate (--churn-rate) is how many leave a second, and join again half a
	// second later. Default 20. Churn (--churn) is for how long, default 10 s, at
	// most 10 min; negative is not at all.
	ChurnRate float64
	Churn     time.Duration

	// Repeat (--repeat) is how often everything is done, with new servers if they
	// are started here. Default 1, at most 100. The report has medians.
	Repeat int
	// Timeout (--timeout) bounds the run. Default 10 min, at most 2 h.
	Timeout time.Duration
	// Progress gets a line now and then; nil for none.
	Progress io.Writer
}

// Limits of counts.
const (
	maxClients      = 50_000
	maxRoom         = 20_000 // presence: each keeps a bit for each
	maxSmall        = 10_000 // kill, fresh and remote
	maxWindow       = 1024
	maxPayload      = 64 << 10
	maxStep         = 10 * time.Minute
	maxRun          = 2 * time.Hour
	spareFiles      = 100
	away            = 500 * time.Millisecond // from leave to join in the churn
	shown           = time.Second            // from join to leave in remote
	quietTopics     = 4 * time.Second        // between two joins of a topic in remote
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

// Validate returns every fault in the config, or nil.
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
		fault("--self starts the servers: --url and --pid are for servers that run")
	case c.Self && len(c.Command) == 0:
		fault("--self: no command to start a server with")
	case c.Self:
	case c.Mode == "kill":
		fault("kill needs --self: only what was started here is killed")
	case c.Mode == "fresh":
		fault("fresh needs --self: one more server of the cluster is started")
	case len(c.URLs) != servers:
		fault("%s needs --self, or --url for each of %d servers", c.Mode, servers)
	case len(c.PIDs) > 0 && len(c.PIDs) != len(c.URLs):
		fault("--pid: there must be one for each --url")
	}
	switch {
	case !c.Floor:
	case len(floorsOf[c.Mode]) == 0:
		fault("--floor: there is none for %s, only for fanout and conns", c.Mode)
	case !c.Self || len(c.FloorCommand) == 0:
		fault("--floor needs --self: both servers are started in turn")
	}
	for _, text := range c.URLs {
		if _, err := socketURL(text); err != nil {
			faults = append(faults, err)
		}
	}
	for _, pid := range c.PIDs {
		if !usageOf([]int{pid}).known {
			fault("--pid %d: there is no such process, or no /proc", pid)
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
		fault("unknown mode %q: there are conns, fanout, presence, remote, kill, fresh and hostile", c.Mode)
		return faults
	}
	within("--clients", float64(c.Clients), 1, float64(most))
	// Of a server on this machine the same is likely to hold.
	if files := maxFiles(); c.Clients+spareFiles > files {
		fault("--clients %d: only %d files may be open (ulimit -n), and each client is one here and one in the server", c.Clients, files)
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
			// Nobody may be asked to leave again before they have joined again.
			within("--churn-rate", c.ChurnRate, 0.1, max(0.1, float64(c.Clients)/2))
			if n := c.ChurnRate * c.Churn.Seconds(); n > maxChurnedTimes {
				fault("--churn-rate for --churn: %.0f leaves, at most %d are allowed", n, maxChurnedTimes)
			}
		}
	case "remote":
		within("--rate", c.Rate, 0.1, 1000)
		within("--topics", float64(c.Topics), 1, maxTopics)
		if n := c.Rate * c.Duration.Seconds(); n > maxRemoteJoins {
			fault("--rate for --duration: %.0f joins, at most %d are allowed", n, maxRemoteJoins)
		}
	}
	return faults
}

// socketURL is the URL of the socket of a server, which is given as http or ws,
// with or without the path of the socket, and with the parameters that the
// server wants. Its host must be a loopback address.
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
		return nil, fmt.Errorf("--url %q: must name 127.0.0.1, or another address of 127.0.0.0/8, and a port: load is for this machine only", text)
	}
	u.Host = net.JoinHostPort(host, port)
	query := u.Query()
	query.Set("vsn", "2.0.0")
	u.RawQuery = query.Encode()
	return u, nil
}
