//go:build unix

package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pointingPartyWeb is where the page of the pointing party lies.
const pointingPartyWeb = "../../pointingparty/web"

// pointingParty builds the command, page and all, and returns its path.
func pointingParty(t *testing.T) string {
	t.Helper()
	npmCI(t, pointingPartyWeb)
	return build(t, "cmd/pointingparty")
}

// build builds the command in a directory of this repository, with the race
// detector when the tests have it, and returns its path.
func build(t *testing.T, command string) string {
	t.Helper()
	dependOnSources(t)
	path := filepath.Join(t.TempDir(), filepath.Base(command))
	run(t, "../../../"+command, "go", "build", fmt.Sprintf("-race=%t", raceDetector), "-o", path, ".")
	return path
}

// dependOnSources looks at every file that a command is built of or a test is
// run from, so that the go command does not take the result of a former run for
// this one's when one of them has changed: it knows what a test has looked at.
func dependOnSources(t *testing.T) {
	t.Helper()
	looked := 0
	err := filepath.WalkDir("../../..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "bin" || d.Name() == "node_modules"):
			return fs.SkipDir
		case d.Type().IsRegular():
			looked++
			_, err = os.Stat(path)
		}
		return err
	})
	require.NoError(t, err)
	require.Greater(t, looked, 50)
}

// npmCI installs what a directory's lock file says, unless that is there.
func npmCI(t *testing.T, dir string) {
	t.Helper()
	installed, err := os.Stat(filepath.Join(dir, "node_modules", ".package-lock.json"))
	if err == nil {
		wanted, err := os.Stat(filepath.Join(dir, "package-lock.json"))
		require.NoError(t, err)
		if !installed.ModTime().Before(wanted.ModTime()) {
			return
		}
	}
	run(t, dir, "npm", "ci", "--no-audit", "--no-fund", "--loglevel=error")
}

// run runs a program that is expected to succeed.
func run(t *testing.T, dir, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s:\n%s", cmd, out)
}

// runNode runs Node with additional environment variables. Whatever Node
// started is killed when it ends, however it ends.
func runNode(t *testing.T, args []string, env ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", args...)
	cmd.Env = append(os.Environ(), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	group := func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.Cancel = group
	cmd.WaitDelay = 10 * time.Second // for its output, should a process of another group keep that
	out, err := cmd.CombinedOutput()
	if cmd.Process != nil {
		if err := group(); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("Node left processes behind (kill: %v)", err)
		}
	}
	t.Logf("%s", out)
	require.NoError(t, err)
}
