//go:build unix

package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// waitLimit is for whatever has to happen soon.
const waitLimit = 40 * time.Second

// program is a process whose output is awaited line by line.
type program struct {
	t     *testing.T
	cmd   *exec.Cmd
	input io.Writer
	lines chan string // closed with its output
	seen  []string    // lines that were passed over
}

func start(t *testing.T, path string, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: exec.Command(path, args...), lines: make(chan string, 1000)}
	p.cmd.Stderr = os.Stderr
	output, err := p.cmd.StdoutPipe()
	require.NoError(t, err)
	p.input, err = p.cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, p.cmd.Start())
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(p.lines)
		for scanner := bufio.NewScanner(output); scanner.Scan(); {
			p.lines <- scanner.Text()
		}
	}()
	t.Cleanup(func() {
		p.kill()
		<-read
	})
	return p
}

// kill ends it, if it has not ended.
func (p *program) kill() {
	if p.cmd.ProcessState == nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	}
}

// await is what follows start in the first line that begins with it, and of
// which found is true.
func (p *program) await(start string, found func(rest string) bool) string {
	p.t.Helper()
	late := time.After(waitLimit)
	for {
		select {
		case line, ok := <-p.lines:
			require.True(p.t, ok, "ended without %q; it said %q", start, p.seen)
			if rest, ok := strings.CutPrefix(line, start); ok && (found == nil || found(rest)) {
				return rest
			}
			p.seen = append(p.seen, line)
		case <-late:
			require.Fail(p.t, "late", "no %q; it said %q", start, p.seen)
		}
	}
}

// ask has a client push an event, and returns how it was answered.
func (p *program) ask(event, payload string) string {
	p.t.Helper()
	_, err := fmt.Fprintln(p.input, event, payload)
	require.NoError(p.t, err)
	return p.await("reply ", nil)
}

// people asks for the list until it has these keys with as many metas each.
func (p *program) people(want map[string]int) string {
	p.t.Helper()
	for {
		text, ok := strings.CutPrefix(p.ask("list", "{}"), "ok ")
		require.True(p.t, ok, text)
		var list map[string]struct{ Metas []any }
		require.NoError(p.t, json.Unmarshal([]byte(text), &list))
		got := map[string]int{}
		for key, entry := range list {
			got[key] = len(entry.Metas)
		}
		if fmt.Sprint(got) == fmt.Sprint(want) {
			return text
		}
	}
}

// TestPhx has the client in Go, github.com/nshafer/phx, do what the other clients
// do in client_kinds.test.mjs. Its presence is the application's business.
func TestPhx(t *testing.T) {
	client := filepath.Join(t.TempDir(), "phxclient")
	run(t, "phxclient", "go", "build", "-o", client, ".")
	rollcall := build(t, "cmd/rollcall")
	serve := func(address string) (*program, string) {
		p := start(t, rollcall, "serve", "--log-level", "error", "--listen", address)
		return p, p.await("rollcall: listening at http://", nil)
	}
	server, address := serve("127.0.0.1:0")
	join := func(key string) *program {
		p := start(t, client, "ws://"+address+"/socket", "room:1", key)
		p.await("joined", nil)
		return p
	}
	has := func(parts ...string) func(string) bool {
		return func(text string) bool {
			for _, part := range parts {
				if !strings.Contains(text, part) {
					return false
				}
			}
			return true
		}
	}

	bob := join("bob")
	bob.await("presence_", has(`"bob"`))
	phone := join("alice")
	bob.await("presence_diff ", has(`"joins":{"alice"`, `"leaves":{}`))
	laptop := join("alice")
	bob.await("presence_diff ", has(`"joins":{"alice"`, `"leaves":{}`))
	for _, p := range []*program{bob, phone, laptop} {
		p.people(map[string]int{"alice": 2, "bob": 1})
	}

	require.Contains(t, bob.ask("dance", "{}"), `error {"reason":"unknown event \"dance\"`)
	require.Equal(t, "ok {}", phone.ask("broadcast", `{"event":"say","payload":{"text":"hé"}}`))
	for _, p := range []*program{bob, laptop} {
		require.Equal(t, `{"text":"hé"}`, p.await("say ", nil))
	}

	require.Contains(t, phone.ask("update_meta", `{"meta":{"away":true}}`), `ok {"phx_ref":`)
	bob.await("presence_diff ", has(`"joins":{"alice"`, `"away":true`, `"leaves":{"alice"`))
	require.Contains(t, bob.people(map[string]int{"alice": 2, "bob": 1}), `"away":true`)

	server.kill()
	laptop.kill()
	serve(address)
	for _, p := range []*program{bob, phone} {
		p.await("joined", nil)
		require.NotContains(t, p.people(map[string]int{"alice": 1, "bob": 1}), "away", "a fresh state without ghosts")
	}
	require.Equal(t, "ok {}", bob.ask("broadcast", `{"event":"say","payload":{"text":"back"}}`))
	phone.await("say ", has(`{"text":"back"}`))
}
