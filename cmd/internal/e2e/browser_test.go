//go:build unix

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBrowser runs the tests in browser_*.test.mjs.
func TestBrowser(t *testing.T) {
	if os.Getenv("ROLLCALL_NO_BROWSER") == "1" {
		t.Log("left out: ROLLCALL_NO_BROWSER is 1")
		return
	}
	browser := chromium(t)
	npmCI(t, ".")
	files, err := filepath.Glob("browser_*.test.mjs")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	runNode(t, append([]string{"--test", "--test-reporter=spec", "--test-concurrency=2"}, files...),
		"ROLLCALL_CHROMIUM="+browser, "ROLLCALL_POINTINGPARTY="+pointingParty(t))
}

// chromium finds the browser, or installs it where that is possible.
func chromium(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("ROLLCALL_CHROMIUM"); path != "" {
		return path
	}
	find := func() string {
		for _, name := range []string{"/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome"} {
			if path, err := exec.LookPath(name); err == nil {
				return path
			}
		}
		return ""
	}
	if path := find(); path != "" {
		return path
	}
	if apt, err := exec.LookPath("apt-get"); err == nil && os.Geteuid() == 0 {
		t.Log("no Chromium is installed: installing it")
		run(t, ".", apt, "update", "-q")
		run(t, ".", apt, "install", "-q", "-y", "chromium")
	}
	path := find()
	require.NotEmpty(t, path, "no Chromium is installed: install it, name it in ROLLCALL_CHROMIUM, or leave the browser out with ROLLCALL_NO_BROWSER=1")
	return path
}
