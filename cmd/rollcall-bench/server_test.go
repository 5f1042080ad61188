package main

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// built is the directory of the rollcall binary, once rollcall has been called.
var built string

var buildServer = sync.OnceValues(func() (out []byte, err error) {
	if built, err = os.MkdirTemp("", "rollcall-bench"); err != nil {
		return nil, err
	}
	return exec.Command("go", "build", "-o", built, "../rollcall").CombinedOutput()
})

func removeServer() {
	if built != "" {
		os.RemoveAll(built)
	}
}

// rollcall builds the service and returns its path.
func rollcall(t *testing.T) string {
	t.Helper()
	dependOnServer(t)
	out, err := buildServer()
	require.NoError(t, err, "%s", out)
	return filepath.Join(built, "rollcall")
}

// dependOnServer looks at each source file of the service. The go command records
// which files a test looks at, and reuses its result only while they are the same.
func dependOnServer(t *testing.T) {
	t.Helper()
	list := exec.Command("go", "list", "-deps", "-f", `{{if .Module}}{{if .Module.Main}}{{$dir := .Dir}}{{range .GoFiles}}{{$dir}}/{{.}}{{"\n"}}{{end}}{{end}}{{end}}`, "../rollcall")
	out, err := list.Output()
	require.NoError(t, err)
	files := strings.Fields(string(out))
	require.NotEmpty(t, files)
	for _, file := range append(files, "../../go.mod") {
		_, err := os.Stat(file)
		require.NoError(t, err)
	}
}

// serve runs the service until the test ends and returns its URL.
func serve(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.Command(rollcall(t), append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Stderr = t.Output()
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		require.NoError(t, cmd.Wait())
	})
	for lines := bufio.NewScanner(stdout); lines.Scan(); {
		if _, url, ok := strings.Cut(lines.Text(), ": listening at "); ok {
			return url
		}
	}
	require.Fail(t, "the service ended before it listened")
	return ""
}

func TestTheServerIsTheGivenOneThenTheOneBesideThenTheOneInPATH(t *testing.T) {
	executable := func(name string) string {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, nil, 0o755))
		return path
	}
	inPath, beside := executable("rollcall"), executable("rollcall")
	self := filepath.Join(filepath.Dir(beside), "rollcall-bench")
	t.Setenv("PATH", filepath.Dir(inPath))

	given := executable("another")
	t.Chdir(filepath.Dir(given))
	for _, flag := range []string{given, "another", "./another"} {
		path, err := findServer(flag, self)
		require.NoError(t, err)
		require.Equal(t, given, path)
	}
	path, err := findServer("", self)
	require.NoError(t, err)
	require.Equal(t, beside, path)

	require.NoError(t, os.Remove(beside))
	path, err = findServer("", self)
	require.NoError(t, err)
	require.Equal(t, inPath, path)

	require.NoError(t, os.Chmod(inPath, 0o644))
	_, err = findServer("", self)
	require.EqualError(t, err, "--self: no rollcall binary: --server is not set, and there is none in "+filepath.Dir(beside)+" or PATH; build it with: go build -o bin/ ./cmd/rollcall")
}

// A wrong --server is an error, although another binary could be found.
func TestAServerThatIsGivenAndMissingIsAnError(t *testing.T) {
	t.Setenv("PATH", filepath.Dir(rollcall(t)))
	_, err := findServer("rollcall", "/nonexistent/rollcall-bench")
	require.ErrorContains(t, err, "--server rollcall: ")
	require.ErrorIs(t, err, os.ErrNotExist)
}
