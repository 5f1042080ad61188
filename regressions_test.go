package rollcall_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// Every bug of testdata/regressions.txt names tests, and they exist, or says why it
// cannot happen.
func TestRegressionsNameTestsThatExist(t *testing.T) {
	text, err := os.ReadFile("testdata/regressions.txt")
	require.NoError(t, err)
	proofs := map[string]int{}
	bug := ""
	for line := range strings.Lines(string(text)) {
		switch line = strings.TrimRight(line, "\n"); {
		case line == "" || strings.HasPrefix(line, "#"):
		case !strings.HasPrefix(line, "  "):
			bug = line
			require.NotContains(t, proofs, bug)
			proofs[bug] = 0
		default:
			place, names, found := strings.Cut(strings.TrimSpace(line), ": ")
			require.True(t, found, line)
			if place == "cannot happen" {
				require.NotEmpty(t, names, line)
				proofs[bug]++
				continue
			}
			for _, name := range testNames(names) {
				require.True(t, testExists(t, place, name), "%s: %s has no %s", bug, place, name)
				proofs[bug]++
			}
		}
	}
	require.NotEmpty(t, proofs)
	for bug, n := range proofs {
		require.NotZero(t, n, "no test of: %s", bug)
	}
}

// testNames are words, or one text in quotes.
func testNames(s string) []string {
	if strings.HasPrefix(s, `"`) {
		return []string{strings.Trim(s, `"`)}
	}
	return strings.Fields(s)
}

func testExists(t *testing.T, place, name string) bool {
	t.Helper()
	if place == "testdata/presence" {
		_, err := os.Stat(filepath.Join(place, name+".txt"))
		return err == nil
	}
	pattern := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name) + `\(`)
	glob := "*_test.go"
	if strings.Contains(name, " ") {
		pattern = regexp.MustCompile(`test\(["` + "`]" + regexp.QuoteMeta(name))
		glob = "*.test.mjs"
	}
	files, err := filepath.Glob(filepath.Join(place, glob))
	require.NoError(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if pattern.Match(text) {
			return true
		}
	}
	return false
}
