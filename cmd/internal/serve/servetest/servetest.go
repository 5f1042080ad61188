// Package servetest runs a command of package serve within a test. A command
// that is started here is stopped, and waited for, when its test ends.
package servetest

import (
	"bytes"
	"context"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rollcall-go/rollcall/cmd/internal/serve"
)

// timeout is for whatever has to happen soon.
const timeout = 30 * time.Second

// Command is a command that runs. Its methods may be called concurrently.
type Command struct {
	// URL is the address that it printed, such as "http://127.0.0.1:41234".
	URL string
	// AdminURL is the same of its admin address, if it has one.
	AdminURL string
	// ClusterAddr is where its embedded NATS server takes routes, if it does.
	ClusterAddr string

	t              testing.TB
	stdout, stderr *output
	cancel         context.CancelFunc
	done           chan struct{}
	code           int // when done is closed
}

// Start runs app with args, and "--listen 127.0.0.1:0" in front of them, and
// waits until it listens. The test fails if it does not come to that.
func Start(t testing.TB, app serve.App, args ...string) *Command {
	t.Helper()
	c := StartOnly(t, app, append([]string{"--listen", "127.0.0.1:0"}, args...)...)
	c.URL = c.stdout.await(c, `: listening at (\S+)\n`)
	printed := func(pattern string) string {
		if m := regexp.MustCompile(pattern).FindStringSubmatch(c.stdout.String()); m != nil {
			return m[1]
		}
		return ""
	}
	c.ClusterAddr = printed(`: cluster at (\S+)\n`)
	c.AdminURL = printed(`: admin at (\S+)\n`)
	return c
}

// StartOnly runs app with args and does not wait.
func StartOnly(t testing.TB, app serve.App, args ...string) *Command {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Command{t: t, stdout: newOutput(), stderr: newOutput(), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		c.code = serve.Run(ctx, app, args, c.stdout, c.stderr)
	}()
	t.Cleanup(func() {
		cancel()
		<-c.done
		if t.Failed() {
			t.Logf("log of %s:\n%s", c.URL, c.stderr)
		}
	})
	return c
}

// WebSocket is the URL of its socket for protocol V2, with query appended.
func (c *Command) WebSocket(query string) string {
	return "ws" + strings.TrimPrefix(c.URL, "http") + "/socket/websocket?vsn=2.0.0" + query
}

// Signal asks it to end, as SIGTERM does, and returns at once.
func (c *Command) Signal() { c.cancel() }

// Wait waits for its end and returns its exit code.
func (c *Command) Wait() int {
	c.t.Helper()
	select {
	case <-c.done:
		return c.code
	case <-time.After(timeout):
		c.t.Fatalf("%s has not ended; its log:\n%s", c.URL, c.stderr)
		return 0
	}
}

// Stop is Signal and Wait.
func (c *Command) Stop() int {
	c.t.Helper()
	c.Signal()
	return c.Wait()
}

// Stdout and Stderr are what it has printed so far.
func (c *Command) Stdout() string { return c.stdout.String() }
func (c *Command) Stderr() string { return c.stderr.String() }

// AwaitLog waits until its log matches a regular expression.
func (c *Command) AwaitLog(pattern string) {
	c.t.Helper()
	c.stderr.await(c, pattern)
}

// output is a buffer that can be waited for.
type output struct {
	mu      sync.Mutex
	buf     bytes.Buffer
	changed chan struct{} // closed and replaced with each write
}

func newOutput() *output { return &output{changed: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	close(o.changed)
	o.changed = make(chan struct{})
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// await returns the first group of the first match, empty without groups.
func (o *output) await(c *Command, pattern string) string {
	c.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.After(timeout)
	done := c.done
	for {
		o.mu.Lock()
		m := re.FindStringSubmatch(o.buf.String())
		changed := o.changed
		o.mu.Unlock()
		switch {
		case len(m) > 1:
			return m[1]
		case m != nil:
			return ""
		case done == nil:
			c.t.Fatalf("ended with %d without %q; its log:\n%s", c.code, pattern, c.stderr)
		}
		select {
		case <-changed:
		case <-done:
			done = nil // look once more
		case <-deadline:
			c.t.Fatalf("no %q; its log:\n%s", pattern, c.stderr)
		}
	}
}
