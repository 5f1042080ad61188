package mutant

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A Rule is one row of a table.
type Rule struct {
	Name   string
	Killer string // says which test must fail; in words of the table's owner
	edits  []edit
}

// edit replaces lines of a file that must be there exactly once.
type edit struct {
	file     string // from the module's directory
	old, new string // whole lines
}

// Read reads a table.
func Read(path string) ([]Rule, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	rules, err := parse(string(data))
	if err != nil {
		return nil, fmt.Errorf("%s:%w", path, err)
	}
	return rules, nil
}

func parse(text string) ([]Rule, error) {
	var rules []Rule
	file, adding := "", false
	n := 0
	for line := range strings.Lines(text) {
		n++
		line = strings.TrimSuffix(line, "\n")
		var last *Rule
		if len(rules) > 0 {
			last = &rules[len(rules)-1]
		}
		header, isRule := strings.CutPrefix(line, "rule ")
		switch {
		case line == "" || line[0] == '#':
		case isRule:
			name, killer, ok := strings.Cut(header, ": ")
			if !ok {
				return nil, fmt.Errorf("%d: rule name: killer", n)
			}
			rules = append(rules, Rule{Name: name, Killer: killer})
			adding = true // an edit begins at the next -
		case last == nil:
			return nil, fmt.Errorf("%d: a table begins with a rule", n)
		case line[0] == '-':
			if adding || len(last.edits) == 0 {
				last.edits = append(last.edits, edit{file: file})
				adding = false
			}
			last.edits[len(last.edits)-1].old += line[1:] + "\n"
		case line[0] == '+':
			if len(last.edits) == 0 {
				return nil, fmt.Errorf("%d: + before -", n)
			}
			last.edits[len(last.edits)-1].new += line[1:] + "\n"
			adding = true
		default:
			file, adding = line, true
		}
	}
	return rules, nil
}

// Apply returns the files of the mutant, by their paths from root, which is the
// module's directory. It fails the test if the lines are not there, or not once.
func (r Rule) Apply(t testing.TB, root string) map[string]string {
	t.Helper()
	require.NotEmpty(t, r.edits)
	mutated := map[string]string{}
	for _, e := range r.edits {
		source, ok := mutated[e.file]
		if !ok {
			read, err := os.ReadFile(filepath.Join(root, e.file))
			require.NoError(t, err)
			source = string(read)
		}
		require.Equal(t, 1, strings.Count(source, "\n"+e.old), "%s has this once:\n%s", e.file, e.old)
		mutated[e.file] = strings.Replace(source, "\n"+e.old, "\n"+e.new, 1)
	}
	return mutated
}

// A Mutant is a package's tests, built with a rule removed.
type Mutant struct {
	dir, binary, overlay string
}

// Kill builds the mutant of a package (a directory below root), and requires
// that the tests of a pattern fail on it: see [Mutant.Kill].
func (r Rule) Kill(t testing.TB, root, pkg, pattern string) {
	t.Helper()
	r.Build(t, root, pkg).Kill(t, r.Killer, pattern)
}

// Build builds the tests of a package (a directory below root) with the rule
// removed. It fails the test if they do not build.
func (r Rule) Build(t testing.TB, root, pkg string) *Mutant {
	t.Helper()
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, source := range r.Apply(t, root) {
		original, err := filepath.Abs(filepath.Join(root, file))
		require.NoError(t, err)
		copied := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		require.NoError(t, os.WriteFile(copied, []byte(source), 0o600))
		overlay.Replace[original] = copied
	}
	encoded, err := json.Marshal(overlay)
	require.NoError(t, err)
	m := &Mutant{dir: filepath.Join(root, pkg), binary: filepath.Join(dir, "mutant"), overlay: filepath.Join(dir, "overlay.json")}
	require.NoError(t, os.WriteFile(m.overlay, encoded, 0o600))
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-ldflags=-s -w", "-o", m.binary, "-overlay", m.overlay, ".")
	build.Dir = m.dir
	out, err := build.CombinedOutput()
	require.NoError(t, err, "the mutant builds:\n%s", out)
	return m
}

// Kill runs the tests of a pattern, as -test.run takes it, with further arguments
// if there are any. It fails the test if they pass, or if something other than a
// test fails, and returns what they said. What they build themselves, with the go
// command, is built without the rule too.
func (m *Mutant) Kill(t testing.TB, killer, pattern string, args ...string) string {
	t.Helper()
	run := exec.CommandContext(t.Context(), m.binary, append([]string{"-test.run", pattern, "-test.timeout", "5m"}, args...)...)
	run.Dir = m.dir
	run.Env = append(os.Environ(), "GOFLAGS="+strings.TrimSpace(os.Getenv("GOFLAGS")+" -overlay="+m.overlay))
	out, err := run.CombinedOutput()
	var exit *exec.ExitError
	if err == nil {
		t.Fatalf("survived: %s passes without this rule", killer)
	}
	require.True(t, errors.As(err, &exit), "%v", err)
	require.Contains(t, string(out), "--- FAIL: ", "the test fails, rather than the program:\n%s", out)
	for line := range bytes.Lines(out) {
		// A bubble in which nothing can happen any more waits for what the rule does.
		if bytes.HasPrefix(line, []byte("panic: ")) && !bytes.Contains(line, []byte("deadlock")) {
			t.Fatalf("the test fails, rather than the program:\n%s", out)
		}
	}
	t.Log(gist(out))
	return string(out)
}

// gist is the first line that says what was wrong.
func gist(out []byte) string {
	for line := range bytes.Lines(out) {
		for _, mark := range []string{"VIOLATED", "violated", "seed ", "expected:", "Error:  "} {
			if bytes.Contains(line, []byte(mark)) {
				return string(bytes.TrimSpace(line))
			}
		}
	}
	return "fails"
}
