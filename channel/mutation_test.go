package channel

import (
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/internal/mutant"
)

var mutants = flag.Bool("mutants", false, "TestMutants builds each mutant and runs its killer on it, which takes minutes")

// A test that is listed as proving a row of the contract fails when what the row
// says is removed. testdata/mutants.txt says how it was removed; the rules are
// named after their row, and killed by a test that contract.txt has for it. The
// table is checked always; with -mutants the tests are run.
func TestMutants(t *testing.T) {
	rules, err := mutant.Read("testdata/mutants.txt")
	require.NoError(t, err)
	require.NotEmpty(t, rules)
	contract, err := contractRows()
	require.NoError(t, err)
	for _, r := range rules {
		t.Run(r.Name, func(t *testing.T) {
			r.Apply(t, "..")
			name, _, _ := strings.Cut(r.Name, " ")
			row, ok := contract[name]
			require.True(t, ok, "%s is no row", name)
			require.True(t, slices.Contains(row.tests, r.Killer), "%s: contract.txt has no %s", name, r.Killer)
			if !*mutants {
				return
			}
			t.Parallel()
			pkg := row.pkg
			if pkg == "" {
				pkg = "channel"
			}
			r.Kill(t, "..", pkg, "^"+r.Killer+"$")
		})
	}
}
