//go:build unix

package e2e

import (
	"errors"
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
	return build(t, "pointingparty")
}

// build builds a command of this repository and returns its path.
func build(t *testing.T, command string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), command)
	run(t, "../../"+command, "go", "build", "-o", path, ".")
	return path
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
