package channel

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// B043: requirements mean what Elixir's Version means by them.
func TestRequirementsOfVersions(t *testing.T) {
	for text, want := range map[string]struct{ in, out []string }{
		"~> 2.0.0":                       {[]string{"2.0.0", "2.0.7"}, []string{"1.9.9", "2.1.0", "3.0.0"}},
		"~> 2.0":                         {[]string{"2.0.0", "2.9.7"}, []string{"1.9.9", "3.0.0"}},
		"~> 2.1.3":                       {[]string{"2.1.3", "2.1.4"}, []string{"2.1.2", "2.2.0"}},
		"~>2.1":                          {[]string{"2.1.0", "2.7.0"}, []string{"2.0.9", "3.1.0"}},
		"3.1.4":                          {[]string{"3.1.4"}, []string{"3.1.3", "3.1.5"}},
		"== 3.1.4":                       {[]string{"3.1.4"}, []string{"3.1.3", "3.1.5"}},
		"!= 3.1.4":                       {[]string{"3.1.3", "4.0.0"}, []string{"3.1.4"}},
		">= 1.2.0 and < 2.0.0":           {[]string{"1.2.0", "1.99.0"}, []string{"1.1.9", "2.0.0"}},
		"> 1.2.0 and <= 2.0.0":           {[]string{"1.2.1", "2.0.0"}, []string{"1.2.0", "2.0.1"}},
		"~> 1.0 or >= 3.0.0 and < 4.0.0": {[]string{"1.5.0", "3.5.0"}, []string{"2.0.0", "4.0.0"}},
	} {
		r, err := parseRequirement(text)
		require.NoError(t, err, text)
		for _, vsn := range want.in {
			v, err := parseVersion(vsn)
			require.NoError(t, err)
			require.True(t, r.allows(v), "%s %s", text, vsn)
		}
		for _, vsn := range want.out {
			v, err := parseVersion(vsn)
			require.NoError(t, err)
			require.False(t, r.allows(v), "%s %s", text, vsn)
		}
	}
	for _, text := range []string{"", "~>", "~> 2", ">= 2.0", "2", "2.0", "2.0.x", "~> 2.0.0.0", "~> 2.0 and", "or ~> 2.0", "=> 1.0.0", "~> 2.0,~> 3.0", "~> 02.0"} {
		_, err := parseRequirement(text)
		require.ErrorContains(t, err, "is no requirement", text)
	}
	for i, text := range []string{"~> 2.0.0", "~> 1.0.0"} { // what the table of ours says
		r, err := parseRequirement(text)
		require.NoError(t, err)
		require.Equal(t, r, dialects[i].versions)
	}
}
