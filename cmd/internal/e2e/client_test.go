//go:build unix

package e2e

import (
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var onlyNode = flag.String("node", "", "the name of the one test in client_*.test.mjs that TestClient runs")

// TestClient runs the tests in client_*.test.mjs, or one of them.
func TestClient(t *testing.T) {
	_, err := exec.LookPath("node")
	require.NoError(t, err, "these tests need Node")
	npmCI(t, ".")
	files, err := filepath.Glob("client_*.test.mjs")
	require.NoError(t, err)
	args := []string{"--test", "--test-reporter=spec", "--test-concurrency=1", "--test-timeout=120000"}
	env := []string{"ROLLCALL_SERVICE=" + build(t, "cmd/rollcall"), "ROLLCALL_REFSERVER=" + build(t, "channel/channeltest/refserver")}
	if *onlyNode == "" {
		env = append(env, "ROLLCALL_POINTINGPARTY="+pointingParty(t))
	} else {
		args = append(args, "--test-name-pattern=^"+regexp.QuoteMeta(*onlyNode)+"$")
		files = containing(t, files, `test("`+*onlyNode+`"`)
	}
	require.NotEmpty(t, files)
	runNode(t, append(args, files...), env...)
}

// containing are the files that have a text in them.
func containing(t *testing.T, files []string, text string) (found []string) {
	t.Helper()
	for _, file := range files {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		if strings.Contains(string(source), text) {
			found = append(found, file)
		}
	}
	return found
}
