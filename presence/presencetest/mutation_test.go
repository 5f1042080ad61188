package presencetest

import (
	"flag"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/internal/mutant"
)

var mutants = flag.Bool("mutants", false, "TestMutants builds each mutant and runs the suite on it, which takes minutes")

// root is the module's directory, seen from this package.
const root = "../.."

// Every rule that the protocol has is needed: without it, the suite fails. The
// table is checked always; with -mutants the suite is run on each mutant. A killer
// is a scenario, or a test of this package.
func TestMutants(t *testing.T) {
	rules, err := mutant.Read("mutants.txt")
	require.NoError(t, err)
	require.NotEmpty(t, rules)
	for _, r := range rules {
		t.Run(r.Name, func(t *testing.T) {
			r.Apply(t, root)
			pattern := "^" + r.Killer + "$"
			if !strings.HasPrefix(r.Killer, "Test") {
				pattern = "^TestScenario$/" + pattern
				require.FileExists(t, filepath.Join(root, "testdata", "presence", r.Killer+".txt"))
			}
			if *mutants {
				r.Kill(t, root, "presence/presencetest", pattern)
			}
		})
	}
}
