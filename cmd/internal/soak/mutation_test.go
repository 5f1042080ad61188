//go:build unix

package soak

import (
	"flag"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/internal/mutant"
)

var mutants = flag.Bool("mutants", false, "TestMutants builds each mutant and runs its killer on it, which takes minutes")

// root is the module's directory, seen from this package.
const root = "../../.."

// Each of these tests is seen to fail when what it is about is removed. The table is
// checked always; with -mutants the tests are run, with a shorter wait limit.
func TestMutants(t *testing.T) {
	rules, err := mutant.Read("testdata/mutants.txt")
	require.NoError(t, err)
	require.NotEmpty(t, rules)
	for _, r := range rules {
		t.Run(r.Name, func(t *testing.T) {
			r.Apply(t, root)
			if *mutants {
				r.Build(t, root, "cmd/internal/soak").Kill(t, r.Killer, "^"+strings.ReplaceAll(r.Killer, "/", "$/^")+"$", "-wait-limit=12s")
			}
		})
	}
}
