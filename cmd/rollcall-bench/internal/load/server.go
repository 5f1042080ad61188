package load

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 20 * time.Second
	logTail      = 4 << 10 // bytes of a child's log in an error
)

// servers are the replicas of one cluster that are measured, or the server of a
// control.
type servers struct {
	name     string     // replicas are named name-1, name-2, ...
	targets  []*url.URL // WebSocket URLs
	pids     []int      // empty: their usage is unknown
	children []*child   // empty with Config.URLs
}

func (s *servers) usage() usage { return usageOf(s.pids) }

// startServers starts n replicas, or uses those of Config.URLs.
func startServers(ctx context.Context, c *Config, n int) (*servers, error) {
	s := &servers{name: "bench", pids: c.PIDs}
	if !c.Self {
		for _, text := range c.URLs {
			target, err := socketURL(text)
			if err != nil {
				return nil, err
			}
			s.targets = append(s.targets, target)
		}
		return s, nil
	}
	ctx, cancel := startingUp(ctx)
	defer cancel()
	err := func() error {
		for range n {
			if err := s.startReplica(ctx, c, n > 1); err != nil {
				return err
			}
		}
		for _, child := range s.children {
			if err := child.awaitRoutes(ctx, n-1); err != nil {
				return err
			}
		}
		return nil
	}()
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func startingUp(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("the servers did not start within %v", startTimeout))
}

// startReplica starts another replica. If clustered, it joins the cluster of the
// first.
func (s *servers) startReplica(ctx context.Context, c *Config, clustered bool) error {
	args := []string{"--listen", "127.0.0.1:0", "--name", fmt.Sprintf("%s-%d", s.name, len(s.children)+1), "--log-level", "error"}
	if c.Mode == "fanout" { // its publishers exceed the default limits
		args = append(args, "--message-rate", "1000000", "--broadcast-rate", "1000000")
	}
	if c.Mode == "hostile" {
		args = append(args, "--max-connections-per-address", strconv.Itoa(perAddress))
	}
	if clustered {
		args = append(args, "--cluster-listen", "127.0.0.1:0")
		if len(s.children) > 0 {
			args = append(args, "--routes", s.children[0].cluster)
		}
	}
	return s.start(ctx, c.Command, args)
}

// startFloor starts a floor server instead of a replica.
func startFloor(ctx context.Context, c *Config, kind string) (*servers, error) {
	ctx, cancel := startingUp(ctx)
	defer cancel()
	s := &servers{}
	if err := s.start(ctx, c.FloorCommand, []string{kind}); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// start starts another process.
func (s *servers) start(ctx context.Context, command, args []string) error {
	child, err := startChild(ctx, command, args)
	if err != nil {
		return err
	}
	s.children = append(s.children, child)
	s.pids = append(s.pids, child.cmd.Process.Pid)
	target, err := socketURL(child.url)
	if err != nil {
		return err
	}
	s.targets = append(s.targets, target)
	return nil
}

// withEnded adds to err the servers that have ended, and their logs.
func (s *servers) withEnded(err error) error {
	for i, child := range s.children {
		select {
		case <-child.finished:
			err = fmt.Errorf("%w (server %d has ended; its log: %s)", err, i+1, child.log)
		default:
		}
	}
	return err
}

// close stops all children concurrently.
func (s *servers) close() {
	var all sync.WaitGroup
	for _, child := range s.children {
		all.Go(child.stop)
	}
	all.Wait()
}

// child is a server process.
type child struct {
	cmd      *exec.Cmd
	log      *tail
	url      string // as it printed it
	cluster  string // likewise; empty if unclustered
	finished chan struct{}
}

// startChild runs command with args and waits until it prints that it listens.
func startChild(ctx context.Context, command, args []string) (*child, error) {
	args = append(append([]string{}, command[1:]...), args...)
	c := &child{cmd: exec.Command(command[0], args...), log: &tail{}, finished: make(chan struct{})}
	c.cmd.Stderr = c.log
	stdout, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("start a server: %w", err)
	}
	listening := make(chan struct{})
	go func() {
		defer close(c.finished)
		up := false
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if _, address, ok := strings.Cut(lines.Text(), ": cluster at "); ok && !up {
				c.cluster = address
			}
			if _, address, ok := strings.Cut(lines.Text(), ": listening at "); ok && !up {
				c.url, up = address, true
				close(listening)
			}
		}
		_, _ = io.Copy(io.Discard, stdout)
		_ = c.cmd.Wait() // a killed process returns an error
	}()
	select {
	case <-listening:
		return c, nil
	case <-c.finished:
		select {
		case <-listening: // it did both before this goroutine ran
			return c, nil
		default:
		}
		err = errors.New("the process ended")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	c.kill()
	return nil, fmt.Errorf("start a server: %w; its log: %s", err, c.log)
}

// awaitRoutes waits until the child has routes to n other servers.
func (c *child) awaitRoutes(ctx context.Context, n int) error {
	if n == 0 {
		return nil
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for {
		req, err := http.NewRequestWithContext(ctx, "GET", c.url+"/healthz", nil)
		if err != nil {
			return err
		}
		if res, err := client.Do(req); err == nil {
			var health struct{ Routes int }
			err = json.NewDecoder(res.Body).Decode(&health)
			res.Body.Close()
			if err == nil && health.Routes >= n {
				return nil
			}
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// kill kills the child, as kill -9 does, and waits for its end.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.finished
}

// stop ends the child with SIGTERM, and kills it after stopTimeout.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.finished:
	case <-time.After(stopTimeout):
		c.kill()
	}
}

// tail keeps the last logTail bytes written.
type tail struct {
	mu   sync.Mutex
	data []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.data = append(t.data, p...)
	t.data = t.data[max(0, len(t.data)-logTail):]
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.data) == 0 {
		return "(empty)"
	}
	return strings.TrimSpace(string(t.data))
}

// self returns the usage of this process.
func self() usage { return usageOf([]int{os.Getpid()}) }
