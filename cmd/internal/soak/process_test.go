//go:build unix

package soak

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rollcall-go/rollcall/presence"
	"github.com/rollcall-go/rollcall/transport/natsbus"
)

// asPart holds the JSON of a part where this test binary is to be one, instead
// of running tests.
const asPart = "ROLLCALL_SOAK_PART"

// part says what a process is: a replica, or a NATS server.
type part struct {
	Replica string        // its name
	URL     string        // of its NATS server
	Beat    time.Duration // 0 for the defaults of all periods
	Queue   int           // bytes of the bus's queue, 0 for the default

	Server  string // its name
	Client  int    // its port for clients
	Cluster int    // its port for routes
	Routes  []int  // ports of routes that it opens
}

func TestMain(m *testing.M) {
	if text := os.Getenv(asPart); text != "" {
		var p part
		err := json.Unmarshal([]byte(text), &p)
		if err == nil {
			err = p.run()
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

func (p part) run() error {
	if p.Server != "" {
		return p.runServer()
	}
	return p.runReplica()
}

func (p part) runServer() error {
	opts := &server.Options{
		ServerName: p.Server, Host: "127.0.0.1", Port: p.Client, NoSigs: true, NoLog: true,
		Cluster: server.ClusterOpts{
			Name: "soak", Host: "127.0.0.1", Port: p.Cluster, NoAdvertise: true,
			// Servers tell each other where they are: nobody is at that address, so
			// that all routes lead through the proxies.
			Advertise: "127.0.0.1:1",
		},
	}
	for _, port := range p.Routes {
		opts.Routes = append(opts.Routes, &url.URL{Scheme: "nats-route", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return err
	}
	s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return fmt.Errorf("server %s is not ready", p.Server)
	}
	fmt.Println("ready")
	_, _ = io.Copy(io.Discard, os.Stdin) // until the test ends
	s.Shutdown()
	s.WaitForShutdown()
	return nil
}

// told is a line that a replica writes.
type told struct {
	Event   *event          `json:",omitempty"`
	Members map[string]bool `json:",omitempty"` // the others that may come back: whether they are up
	Dropped uint64          `json:",omitempty"` // messages that the bus dropped, for want of room
	Lost    uint64          `json:",omitempty"` // times that the replica was told so
}

// event is a presence.Event: keys by ref.
type event struct {
	Topic         string
	State         map[string]string // nil in a diff
	Joins, Leaves map[string]string
	Complete      bool
}

func byRef(list []presence.Presence) map[string]string {
	refs := map[string]string{}
	for _, p := range list {
		for _, m := range p.Metas {
			refs[m.Ref] = p.Key
		}
	}
	return refs
}

// runReplica does what its standard input says, line by line: "watch topic",
// "track topic key", "untrack topic key", "refresh", "members", "lost", "close".
func (p part) runReplica() error {
	nc, err := nats.Connect(p.URL, append(natsbus.Options(), nats.IgnoreDiscoveredServers(), nats.RetryOnFailedConnect(false))...)
	if err != nil {
		return err
	}
	defer nc.Close()
	if p.Queue > 0 {
		runtime.GOMAXPROCS(1) // who empties the queue waits for who fills it
	}
	bus, err := natsbus.New(nc, natsbus.Config{QueueBytes: p.Queue})
	if err != nil {
		return err
	}
	cfg := presence.Config{Name: p.Replica, Bus: bus}
	if p.Beat > 0 {
		cfg.BeatPeriod, cfg.DownPeriod, cfg.PermdownPeriod, cfg.IsolatedPeriod = p.Beat, 4*p.Beat, 12*p.Beat, 8*p.Beat
	}
	tracker, err := presence.Start(context.Background(), cfg)
	if err != nil {
		return err
	}
	lines := make(chan told, 1<<16)
	go func() {
		out := json.NewEncoder(os.Stdout)
		for line := range lines {
			_ = out.Encode(line)
		}
	}()
	session := tracker.NewSession()
	var watches []*presence.Watch
	in := bufio.NewScanner(os.Stdin)
	fmt.Println("ready")
	for in.Scan() {
		f := strings.Fields(in.Text())
		switch f[0] {
		case "watch":
			var w *presence.Watch
			w, err = tracker.Watch(f[1], func(e presence.Event) {
				line := event{Topic: e.Topic, Joins: byRef(e.Diff.Joins), Leaves: byRef(e.Diff.Leaves), Complete: e.Complete}
				if e.State != nil {
					line.State = byRef(e.State.Presences)
				}
				lines <- told{Event: &line}
			})
			watches = append(watches, w)
		case "track":
			_, err = session.Track(f[1], f[2], nil)
		case "untrack":
			err = session.Untrack(f[1], f[2])
		case "refresh":
			for _, w := range watches {
				w.Refresh()
			}
		case "members":
			up := map[string]bool{}
			for _, m := range tracker.Status().Replicas {
				up[m.Name] = m.Up
			}
			lines <- told{Members: up}
		case "lost":
			lines <- told{Dropped: bus.Stats().Dropped, Lost: tracker.Status().Stats.Lost}
		case "close":
			err = tracker.Close(context.Background())
			_ = bus.Close()
			_ = nc.Flush()
			return err
		}
		if err != nil {
			return fmt.Errorf("%s: %w", in.Text(), err)
		}
	}
	return nil // the test has ended
}

// process is a running part.
type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.WriteCloser
	lines *bufio.Reader
}

// spawn starts a part and waits until it is ready. It is killed when life, which is
// t or the test that t is part of, ends, at the latest.
func spawn(t, life *testing.T, p part) *process {
	t.Helper()
	text, err := json.Marshal(p)
	require.NoError(t, err)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asPart+"="+string(text))
	cmd.Stderr = os.Stderr
	x := &process{name: p.Replica + p.Server, cmd: cmd}
	x.stdin, err = cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	x.lines = bufio.NewReader(stdout)
	require.NoError(t, cmd.Start())
	life.Cleanup(x.kill)
	line, err := x.lines.ReadString('\n')
	require.NoError(t, err, "%s starts", x.name)
	require.Equal(t, "ready\n", line)
	return x
}

func (x *process) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	require.NoError(t, x.cmd.Process.Signal(s))
}

// kill ends the process without a word.
func (x *process) kill() {
	_ = x.cmd.Process.Kill()
	_ = x.cmd.Wait() // "signal: killed", or it was waited for already
	_ = x.stdin.Close()
}
