package presencetest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var mutants = flag.Bool("mutants", false, "TestMutants builds each mutant and runs the suite on it, which takes minutes")

// root is the module's directory, seen from this package.
const root = "../.."

// A rule is one row of mutants.txt: a rule of the protocol, the edits that
// remove it, and the test that must then fail.
type rule struct {
	name   string
	killer string // a scenario, or a test of this package
	edits  []edit
}

// edit replaces lines of a file that must be there exactly once.
type edit struct {
	file     string // from the module's directory
	old, new string // whole lines
}

// Every rule that the protocol has is needed: without it, the suite fails. The
// table is checked always; with -mutants the suite is run on each mutant, which
// is built from the source through an overlay.
func TestMutants(t *testing.T) {
	rules, err := readRules("mutants.txt")
	require.NoError(t, err)
	require.NotEmpty(t, rules)
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			mutated := r.apply(t)
			if !r.killedByTest() {
				require.FileExists(t, filepath.Join(root, "testdata", "presence", r.killer+".txt"))
			}
			if *mutants {
				r.kill(t, mutated)
			}
		})
	}
}

func (r rule) killedByTest() bool { return strings.HasPrefix(r.killer, "Test") }

// apply returns the files of the mutant.
func (r rule) apply(t *testing.T) map[string]string {
	t.Helper()
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

// kill builds the mutant and requires that its killer fails.
func (r rule) kill(t *testing.T, mutated map[string]string) {
	t.Helper()
	dir := t.TempDir()
	overlay := struct{ Replace map[string]string }{map[string]string{}}
	for file, source := range mutated {
		original, err := filepath.Abs(filepath.Join(root, file))
		require.NoError(t, err)
		copied := filepath.Join(dir, strings.ReplaceAll(file, "/", "_"))
		require.NoError(t, os.WriteFile(copied, []byte(source), 0o600))
		overlay.Replace[original] = copied
	}
	encoded, err := json.Marshal(overlay)
	require.NoError(t, err)
	table, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "mutant")
	require.NoError(t, os.WriteFile(table, encoded, 0o600))
	out, err := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", binary, "-overlay", table, ".").CombinedOutput()
	require.NoError(t, err, "the mutant builds:\n%s", out)

	pattern := "^TestScenario$/^" + r.killer + "$"
	if r.killedByTest() {
		pattern = "^" + r.killer + "$"
	}
	out, err = exec.CommandContext(t.Context(), binary, "-test.run", pattern, "-test.timeout", "5m").CombinedOutput()
	var exit *exec.ExitError
	if err == nil {
		t.Fatalf("survived: %s passes without this rule", r.killer)
	}
	require.True(t, errors.As(err, &exit), "%v", err)
	require.Contains(t, string(out), "--- FAIL: ", "the test fails, rather than the program:\n%s", out)
	require.NotContains(t, string(out), "panic:", "the test fails, rather than the program")
	t.Log(gist(out))
}

// gist is the first line that says what was wrong.
func gist(out []byte) string {
	for line := range bytes.Lines(out) {
		for _, mark := range []string{"VIOLATED", "violated", "seed ", "expected:"} {
			if bytes.Contains(line, []byte(mark)) {
				return string(bytes.TrimSpace(line))
			}
		}
	}
	return "fails"
}

// readRules reads a table of rules, separated by empty lines:
//
//	# what the rule is for
//	rule name: killer
//	path/of/a/file.go
//	-the lines that are it
//	+what stands there without it, if anything
//
// More edits, in the same file or with another path before them, may follow.
// Lines that stay stand as both - and +.
func readRules(path string) ([]rule, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var rules []rule
	file, adding := "", false
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		line = strings.TrimSuffix(line, "\n")
		var last *rule
		if len(rules) > 0 {
			last = &rules[len(rules)-1]
		}
		header, isRule := strings.CutPrefix(line, "rule ")
		switch {
		case line == "" || line[0] == '#':
		case isRule:
			name, killer, ok := strings.Cut(header, ": ")
			if !ok {
				return nil, fmt.Errorf("%s:%d: rule name: killer", path, n)
			}
			rules = append(rules, rule{name: name, killer: killer})
			adding = true // an edit begins at the next -
		case last == nil:
			return nil, fmt.Errorf("%s:%d: a table begins with a rule", path, n)
		case line[0] == '-':
			if adding || len(last.edits) == 0 {
				last.edits = append(last.edits, edit{file: file})
				adding = false
			}
			last.edits[len(last.edits)-1].old += line[1:] + "\n"
		case line[0] == '+':
			if len(last.edits) == 0 {
				return nil, fmt.Errorf("%s:%d: + before -", path, n)
			}
			last.edits[len(last.edits)-1].new += line[1:] + "\n"
			adding = true
		default:
			file, adding = line, true
		}
	}
	return rules, nil
}
