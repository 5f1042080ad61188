package rollcall_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// An importer's go.mod lists few modules: what its packages need, and nothing that only
// other packages, tests or tools of this module need.
func TestImportersGetFewModules(t *testing.T) {
	root, err := os.Getwd()
	require.NoError(t, err)
	sums, err := os.ReadFile("go.sum") // with all sums, nothing is looked up
	require.NoError(t, err)
	version := goList(t, "-m", "-f", "{{.GoVersion}}")[0]
	for _, c := range []struct {
		packages, allowed []string
	}{
		{[]string{"presence"}, []string{"github.com/klauspost/compress"}},
		{[]string{"presence", "transport/membus"}, []string{"github.com/klauspost/compress"}},
	} {
		t.Run(strings.Join(c.packages, "+"), func(t *testing.T) {
			dir := t.TempDir()
			write := func(name, text string) {
				require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
			}
			write("go.mod", fmt.Sprintf("module example.com/importer\ngo %s\nrequire %s v0.0.0\nreplace %[2]s => %s\n", version, module, root))
			write("go.sum", string(sums))
			imports := ""
			for _, pkg := range c.packages {
				imports += fmt.Sprintf("import _ %q\n", module+"/"+pkg)
			}
			write("main.go", "package main\n"+imports+"func main() {}\n")
			tidy := exec.Command("go", "mod", "tidy")
			tidy.Dir, tidy.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
			out, err := tidy.CombinedOutput()
			require.NoError(t, err, "%s", out)
			edit := exec.Command("go", "mod", "edit", "-json")
			edit.Dir = dir
			out, err = edit.Output()
			require.NoError(t, err)
			var tidied struct{ Require []struct{ Path string } }
			require.NoError(t, json.Unmarshal(out, &tidied))
			for _, required := range tidied.Require {
				require.Contains(t, append(c.allowed, module), required.Path)
			}
		})
	}
}

// Tools are run by "go run module@version": a requirement would choose versions for
// importers.
func TestToolsAreNotRequired(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	require.NotRegexp(t, `(?m)^tool\b`, string(text))
}
