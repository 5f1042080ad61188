package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// loadSecret is what the service does with args and the variable, unset if nil.
func loadSecret(t *testing.T, variable *string, args ...string) (*secret, error) {
	var f secretFlags
	fs := flag.NewFlagSet("test", flag.ContinueOnError)
	f.register(fs)
	require.NoError(t, fs.Parse(args))
	return f.load(func(name string) (string, bool) {
		require.Equal(t, "ROLLCALL_SECRET", name)
		if variable == nil {
			return "", false
		}
		return *variable, true
	})
}

func TestSecretComesFromAFlagAFileOrTheVariable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "secret")
	require.NoError(t, os.WriteFile(file, []byte("\n from file \n"), 0o600))
	variable := "from variable"
	tests := []struct {
		name     string
		variable *string
		args     []string
		want     string
	}{
		{"flag", nil, []string{"--secret", " from flag"}, " from flag"},
		{"file", nil, []string{"--secret-file", file}, "from file"},
		{"variable", &variable, nil, "from variable"},
		{"flag before variable", &variable, []string{"--secret", "x"}, "x"},
		{"file before variable", &variable, []string{"--secret-file", file}, "from file"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s, err := loadSecret(t, test.variable, test.args...)
			require.NoError(t, err)
			require.True(t, s.is(test.want))
			for _, other := range []string{"", test.want + " ", test.want[1:], "X" + test.want} {
				require.False(t, s.is(other), "%q", other)
			}
		})
	}
	s, err := loadSecret(t, nil)
	require.NoError(t, err)
	require.Nil(t, s)
}

func TestSecretThatCannotBeIsAnError(t *testing.T) {
	file := filepath.Join(t.TempDir(), "empty")
	require.NoError(t, os.WriteFile(file, []byte(" \n"), 0o600))
	nothing, something := "", "x"
	tests := []struct {
		name     string
		variable *string
		args     []string
		want     string
	}{
		{"empty flag", &something, []string{"--secret", ""}, "--secret: the secret is empty"},
		{"empty file", nil, []string{"--secret-file", file}, file + ": the secret is empty"},
		{"empty variable", &nothing, nil, "ROLLCALL_SECRET: the secret is empty"},
		{"no file", nil, []string{"--secret-file", file + "x"}, "--secret-file: open " + file + "x: no such file"},
		{"not ASCII", nil, []string{"--secret", "sésame"}, "--secret: the secret must be printable ASCII"},
		{"two lines", nil, []string{"--secret", "a\nb"}, "--secret: the secret must be printable ASCII"},
		{"two", nil, []string{"--secret", "x", "--secret-file", file}, "give one of them"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := loadSecret(t, test.variable, test.args...)
			require.ErrorContains(t, err, test.want)
		})
	}
}
