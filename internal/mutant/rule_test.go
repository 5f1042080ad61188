package mutant

import (
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestATableIsRead(t *testing.T) {
	rules, err := parse(`# comment
rule one: TestOne
a.go
-	old
-	lines
+	new
-	other
b.go
-	third
+	fourth

rule two: TestTwo and words
b.go
-gone
`)
	require.NoError(t, err)
	require.Equal(t, []Rule{
		{"one", "TestOne", []edit{
			{"a.go", "\told\n\tlines\n", "\tnew\n"}, {"a.go", "\tother\n", ""}, {"b.go", "\tthird\n", "\tfourth\n"},
		}},
		{"two", "TestTwo and words", []edit{{"b.go", "gone\n", ""}}},
	}, rules)
}

func TestWhatIsNoTable(t *testing.T) {
	for text, fault := range map[string]string{
		"rule one\n":         "1: rule name: killer",
		"a.go\n-x\n":         "1: a table begins with a rule",
		"rule a: b\nx\n+y\n": "3: + before -",
	} {
		_, err := parse(text)
		require.EqualError(t, err, fault)
	}
}
