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
	logTail      = 4 << 10 // bytes of a child's log that an error shows
)

// servers is what is measured, replicas of one cluster; or the one of a control.
type servers struct {
	name     string     // their names are this and a number
	targets  []*url.URL // their sockets
	pids     []int      // none: what they use is unknown
	children []*child   // none with Config.URLs
}

func (s *servers) usage() usage { return usageOf(s.pids) }

// startServers starts n replicas, or takes those of the config.
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
	return context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("the servers were not up within %v", startTimeout))
}

// startReplica starts one more, of a cluster with the first if it is clustered.
func (s *servers) startReplica(ctx context.Context, c *Config, clustered bool) error {
	args := []string{"--listen", "127.0.0.1:0", "--name", fmt.Sprintf("%s-%d", s.name, len(s.children)+1), "--log-level", "error"}
	if c.Mode == "fanout" { // whose clients do what they are there to be kept from
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

// start starts one more process.
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

// withEnded adds to err which of the servers have ended.
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

// close ends the children, all at a time.
func (s *servers) close() {
	var all sync.WaitGroup
	for _, child := range s.children {
		all.Go(child.stop)
	}
	all.Wait()
}

// child is a server that was started here.
type child struct {
	cmd      *exec.Cmd
	log      *tail
	url      string // printed by it
	cluster  string // the same, empty when it is alone
	finished chan struct{}
}

// startChild runs command with args and waits until it says that it listens.
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
		_ = c.cmd.Wait() // killed ones end with an error
	}()
	select {
	case <-listening:
		return c, nil
	case <-c.finished:
		err = errors.New("it ended")
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	c.kill()
	return nil, fmt.Errorf("start a server: %w; its log: %s", err, c.log)
}

// awaitRoutes waits until the child knows n other servers.
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

// kill ends the child at once, as kill -9 does, and waits for its end.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // it may have ended
	<-c.finished
}

// stop ends the child in order, or kills it.
func (c *child) stop() {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.finished:
	case <-time.After(stopTimeout):
		c.kill()
	}
}

// tail keeps the end of what is written.
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

// self is what this process uses.
func self() usage { return usageOf([]int{os.Getpid()}) }
