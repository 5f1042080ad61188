package behaviour_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestOnlyPublicPackagesAreImported(t *testing.T) {
	files, err := filepath.Glob("*.go")
	require.NoError(t, err)
	public := 0
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			require.NoError(t, err)
			rest, ours := strings.CutPrefix(path, "github.com/rollcall-go/rollcall/")
			if !ours {
				continue
			}
			public++
			require.NotContains(t, "/"+rest+"/", "/internal/", "%s imports %s", name, path)
		}
	}
	require.Positive(t, public)
}
