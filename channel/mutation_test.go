package channel

import (
	"cmp"
	"flag"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rollcall-go/rollcall/internal/mutant"
)

var mutants = flag.Bool("mutants", false, "TestMutants builds each mutant and runs its killers on it, which takes minutes")

// killers are the tests that a rule names: tests in Go, or one in Node.
func killers(r mutant.Rule, row contractRow) []string {
	if _, ok := row.test(r.Killer); ok { // its name may be several words
		return []string{r.Killer}
	}
	return strings.Fields(r.Killer)
}

// A test that is listed as proving a row of the contract fails when what the row
// says is removed. testdata/mutants.txt says how it was removed; the rules are
// named after their row, and killed by tests that contract.txt has for it, each
// of them. The table is checked always; with -mutants the tests are run.
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
			for _, killer := range killers(r, row) {
				_, ok := row.test(killer)
				require.True(t, ok, "%s: contract.txt has no %s", name, killer)
			}
			if !*mutants {
				return
			}
			t.Parallel()
			for _, killer := range killers(r, row) {
				test, _ := row.test(killer)
				m := r.Build(t, "..", cmp.Or(test.pkg, "channel"))
				if !test.node {
					m.Kill(t, killer, "^"+killer+"$")
					continue
				}
				said := m.Kill(t, killer, "^TestClient$", "-node", killer)
				require.Contains(t, said, "✖ "+killer, "the test in Node fails, rather than what runs it")
			}
		})
	}
}

// Every registration, a test that is said to prove a row, is one that a rule
// shows to fail without what the row says; or contract.txt says why there is
// nothing to be removed.
func TestEveryRegistrationIsKilledByARule(t *testing.T) {
	rules, err := mutant.Read("testdata/mutants.txt")
	require.NoError(t, err)
	contract, err := contractRows()
	require.NoError(t, err)
	killed := map[[2]string]bool{}
	for _, r := range rules {
		name, _, _ := strings.Cut(r.Name, " ")
		for _, killer := range killers(r, contract[name]) {
			killed[[2]string{name, killer}] = true
		}
	}
	var faults []string
	for name, row := range contract {
		var alive []string
		for _, test := range row.tests {
			if !killed[[2]string{name, test.name}] {
				alive = append(alive, name+": no rule shows that it fails: "+test.name)
			}
		}
		switch {
		case row.unkilled == "":
			faults = append(faults, alive...)
		case len(alive) == 0:
			faults = append(faults, name+": contract.txt says why there is no rule, and there is one")
		}
	}
	slices.Sort(faults)
	require.Empty(t, faults)
}
