package main

import (
	"fmt"
	"os/exec"
	"path/filepath"
)

// findServer returns the path of the rollcall binary for --self: the file named
// by --server if that is given, else the one beside the executable self, else the
// one in PATH.
func findServer(flag, self string) (string, error) {
	if flag != "" {
		// Without a slash LookPath would search PATH instead of this directory.
		path, err := filepath.Abs(flag)
		if err == nil {
			path, err = exec.LookPath(path)
		}
		if err != nil {
			return "", fmt.Errorf("--server %s: %w", flag, err)
		}
		return path, nil
	}
	dir := filepath.Dir(self)
	if path, err := exec.LookPath(filepath.Join(dir, "rollcall")); err == nil {
		return path, nil
	}
	path, err := exec.LookPath("rollcall")
	if err != nil {
		return "", fmt.Errorf("--self: no rollcall binary: --server is not set, and there is none in %s or PATH; build it with: go build -o bin/ ./cmd/rollcall", dir)
	}
	return path, nil
}
