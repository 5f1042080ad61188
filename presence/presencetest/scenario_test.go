package presencetest

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The nastiest things that can happen, as stories: testdata/presence.
func TestScenario(t *testing.T) {
	paths, err := filepath.Glob("../../testdata/presence/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, paths)
	for _, path := range paths {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) { RunScript(t, path) })
	}
}
