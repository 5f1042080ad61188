//go:build unix

package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestClient runs the tests in client_*.test.mjs.
func TestClient(t *testing.T) {
	_, err := exec.LookPath("node")
	require.NoError(t, err, "these tests need Node")
	npmCI(t, ".")
	files, err := filepath.Glob("client_*.test.mjs")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	runNode(t, append([]string{"--test", "--test-reporter=spec", "--test-concurrency=1", "--test-timeout=120000"}, files...),
		"ROLLCALL_SERVICE="+build(t, "cmd/rollcall"), "ROLLCALL_POINTINGPARTY="+pointingParty(t),
		"ROLLCALL_REFSERVER="+build(t, "channel/channeltest/refserver"))
}
